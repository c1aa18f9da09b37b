//! The thread that ticks: guests look at their engine's epoch at every loop and call, and give way when it has moved.
//!
//! It sleeps while no guest runs, so that an idle proxy wakes nobody.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst},
    },
    thread::{self, Thread},
    time::Duration,
};

use wasmtime::{Engine, EngineWeak};

/// The longest that a guest keeps its thread is two of these (see [`FIRST_SLICE`]).
pub const PERIOD: Duration = Duration::from_millis(1);

/// Ticks that a call has before it gives way for the first time. One would end it at once where the tick is near.
pub const FIRST_SLICE: u64 = 2;

/// Ticks without a guest before the thread sleeps.
const QUIET_TICKS: u32 = 200;

/// Ends with the last reference to it.
pub struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    engines: Mutex<Vec<EngineWeak>>,
    /// A guest ran since the last tick. Written at most once a tick by each worker.
    active: AtomicBool,
    asleep: AtomicBool,
    end: AtomicBool,
}

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ticking = shared.clone();
        let handle = thread::Builder::new().name("plugin-ticker".into()).spawn(move || ticking.run())?;
        Ok(Self { thread: handle.thread().clone(), shared })
    }

    /// Ticks for `engine` for as long as it lives.
    pub fn watch(&self, engine: &Engine) {
        self.shared.engines.lock().unwrap_or_else(PoisonError::into_inner).push(engine.weak());
    }

    /// To be called whenever a guest is about to run.
    #[inline]
    pub fn wake(&self) {
        if !self.shared.active.load(Relaxed) {
            self.shared.active.store(true, SeqCst);
            if self.shared.asleep.load(SeqCst) {
                self.thread.unpark();
            }
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.end.store(true, SeqCst);
        self.thread.unpark();
    }
}

impl Shared {
    fn run(&self) {
        let mut quiet = 0;
        while !self.end.load(SeqCst) {
            if quiet < QUIET_TICKS {
                thread::sleep(PERIOD);
            } else {
                self.asleep.store(true, SeqCst);
                // Whoever set `active` before this line may have seen us awake.
                if !self.active.load(SeqCst) && !self.end.load(SeqCst) {
                    thread::park();
                }
                self.asleep.store(false, SeqCst);
            }
            quiet = if self.active.swap(false, SeqCst) { 0 } else { quiet.saturating_add(1) };
            let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
            engines.retain(|engine| match engine.upgrade() {
                Some(engine) => {
                    engine.increment_epoch();
                    true
                }
                None => false,
            });
        }
    }
}
