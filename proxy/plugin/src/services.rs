//! What guests may call, once granted.

pub mod calls;
pub mod files;
pub mod journal;
pub mod key_value;
pub mod lines;
pub mod metrics;
pub mod notes;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use self::{journal::Journaled, key_value::KeyValue, lines::Lines, metrics::Figures, notes::Notes};
use crate::host::Settings;

/// What plugins of one name share: over instances, workers and reloads.
pub struct Services {
    /// Shared values.
    pub key_value: KeyValue,
    /// Figures.
    pub figures: Figures,
    /// Lines for the log.
    pub lines: Lines,
    /// What is added to records.
    pub notes: Notes,
    /// Lines for a file.
    pub journaled: Journaled,
    /// Time and chance.
    pub world: World,
}

impl Services {
    /// Of the plugin `name`.
    pub fn new(name: &Arc<str>, settings: &Settings) -> Self {
        Self {
            key_value: KeyValue::new(0),
            figures: Figures::default(),
            lines: Lines::new(name.clone(), settings.lines.clone()),
            notes: Notes::default(),
            journaled: Journaled::default(),
            world: World::new(settings.fixed),
        }
    }
}

/// Time and chance: the machine's, or fixed ones for tests.
pub enum World {
    /// The machine's.
    Real {
        /// What `monotonic` counts from.
        since: Instant,
    },
    /// The same each time.
    Fixed {
        /// Nanoseconds since 1970; one more each time somebody asks.
        clock: AtomicU64,
        /// Where the numbers come from.
        random: Mutex<fastrand::Rng>,
    },
}

impl World {
    fn new(fixed: Option<(u64, u64)>) -> Self {
        match fixed {
            None => Self::Real { since: Instant::now() },
            Some((clock, seed)) => {
                Self::Fixed { clock: AtomicU64::new(clock), random: Mutex::new(fastrand::Rng::with_seed(seed)) }
            }
        }
    }

    /// Sets fixed ones to another beginning.
    pub fn set(&self, now: u64, seed: u64) {
        if let Self::Fixed { clock, random } = self {
            clock.store(now, Relaxed);
            random.lock().unwrap_or_else(std::sync::PoisonError::into_inner).seed(seed);
        }
    }

    /// Nanoseconds since 1970.
    pub fn now(&self) -> u64 {
        match self {
            Self::Real { .. } => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
            }
            Self::Fixed { clock, .. } => clock.fetch_add(1, Relaxed),
        }
    }

    /// Nanoseconds that only grow.
    pub fn monotonic(&self) -> u64 {
        match self {
            Self::Real { since } => u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX),
            Self::Fixed { clock, .. } => clock.fetch_add(1, Relaxed),
        }
    }

    /// Fills `bytes`.
    ///
    /// # Errors
    /// When the operating system has none to give.
    pub fn fill(&self, bytes: &mut [u8]) -> wasmtime::Result<()> {
        match self {
            Self::Real { .. } => getrandom::fill(bytes)
                .map_err(|error| wasmtime::Error::msg(format!("no random numbers from the system: {error}"))),
            Self::Fixed { random, .. } => {
                random.lock().unwrap_or_else(std::sync::PoisonError::into_inner).fill(bytes);
                Ok(())
            }
        }
    }
}
