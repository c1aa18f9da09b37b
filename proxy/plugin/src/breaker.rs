//! A plugin that keeps failing is not asked for a while, so that its failures cost nothing.
//!
//! It is suspended after [`FAILURES`] failures without a success between them, first for [`FIRST`], each further time for twice as long up
//! to [`LONGEST`]. After that one exchange tries it: a success ends the suspension, a failure begins the next. Failures in a row, not a
//! share of them, because a client can send what makes a plugin fail, but cannot keep others from succeeding.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{Failure, FailureKind};

/// Failures in a row before the first suspension.
const FAILURES: u32 = 10;

/// How long suspensions last.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// How long one exchange tries before another one may.
const TRIAL: Duration = Duration::from_secs(1);

/// How a plugin does.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Exchanges it had a part in.
    pub exchanges: u64,
    /// Failures by [`crate::FailureKind::name`]; those that never happened are not there.
    pub failures: Vec<(&'static str, u64)>,
    /// The last failure.
    pub last: Option<String>,
    /// Whether it is not asked now, and for how long still. Zero: the next exchange tries it.
    pub suspended: Option<Duration>,
    /// Instances that exist.
    pub instances: u32,
}

/// Whether an exchange is the one that tries a plugin after a suspension.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trial(bool);

/// One plugin's failures. What is on the way of every exchange is one load each of two words that are rarely written.
pub struct Breaker {
    since: Instant,
    in_a_row: AtomicU32,
    /// Milliseconds from `since` until which it is suspended; 0: it is not.
    until: AtomicU64,
    failures: [AtomicU64; KINDS.len()],
    past: Mutex<Past>,
}

#[derive(Default)]
struct Past {
    suspensions: u32,
    last: Option<String>,
}

const KINDS: [FailureKind; 8] = [
    FailureKind::Trap,
    FailureKind::Time,
    FailureKind::Wait,
    FailureKind::Busy,
    FailureKind::Memory,
    FailureKind::Instances,
    FailureKind::Invalid,
    FailureKind::Suspended,
];

impl Default for Breaker {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            in_a_row: AtomicU32::new(0),
            until: AtomicU64::new(0),
            failures: std::array::from_fn(|_| AtomicU64::new(0)),
            past: Mutex::default(),
        }
    }
}

impl Breaker {
    /// Whether the plugin may be asked now, and whether whoever asks is the one that tries it after a suspension.
    ///
    /// # Errors
    /// [`FailureKind::Suspended`].
    pub fn admit(&self) -> Result<Trial, Failure> {
        let until = self.until.load(Relaxed);
        if until == 0 {
            return Ok(Trial(false));
        }
        let now = self.milliseconds(Instant::now());
        // The next one tries if this one is dropped without a result.
        let next = now + TRIAL.as_millis() as u64;
        if now >= until && self.until.compare_exchange(until, next, Relaxed, Relaxed).is_ok() {
            return Ok(Trial(true));
        }
        Err(Failure::new(FailureKind::Suspended, "it failed too often of late and is not asked for a while"))
    }

    /// A call went well.
    pub fn succeeded(&self, trial: Trial) {
        if self.in_a_row.load(Relaxed) != 0 {
            self.in_a_row.store(0, Relaxed);
        }
        if trial.0 && self.until.swap(0, Relaxed) != 0 {
            self.past.lock().unwrap_or_else(PoisonError::into_inner).suspensions = 0;
        }
    }

    /// A call failed. Gives the length of the suspension that begins with it, if one does.
    pub fn failed(&self, failure: &Failure, trial: Trial) -> Option<Duration> {
        self.count(failure.kind);
        if failure.kind == FailureKind::Suspended {
            // Why it was suspended is what the operator wants to read.
            return None;
        }
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.last = Some(failure.message.clone());
        if matches!(failure.kind, FailureKind::Busy | FailureKind::Instances) {
            // Not the guest's doing.
            return None;
        }
        let in_a_row = self.in_a_row.fetch_add(1, Relaxed).saturating_add(1);
        // Exchanges that were admitted before a suspension and fail during it add nothing to it.
        let is_suspended = self.until.load(Relaxed) != 0;
        let begins = if is_suspended { trial.0 } else { in_a_row >= FAILURES };
        if !begins {
            return None;
        }
        let lasts = FIRST.saturating_mul(1 << past.suspensions.min(10)).min(LONGEST);
        past.suspensions = past.suspensions.saturating_add(1);
        self.until.store(self.milliseconds(Instant::now()) + lasts.as_millis() as u64, Relaxed);
        Some(lasts)
    }

    /// Nothing has failed yet.
    pub fn forgive(&self) {
        self.in_a_row.store(0, Relaxed);
        self.until.store(0, Relaxed);
        self.past.lock().unwrap_or_else(PoisonError::into_inner).suspensions = 0;
    }

    /// Failures, and whether it is suspended.
    pub fn health(&self) -> Health {
        let until = self.until.load(Relaxed);
        let now = self.milliseconds(Instant::now());
        let failures = KINDS.iter().zip(&self.failures).map(|(kind, count)| (kind.name(), count.load(Relaxed)));
        Health {
            failures: failures.filter(|(_, count)| *count > 0).collect(),
            last: self.past.lock().unwrap_or_else(PoisonError::into_inner).last.clone(),
            suspended: (until != 0).then(|| Duration::from_millis(until.saturating_sub(now))),
            ..Health::default()
        }
    }

    fn count(&self, kind: FailureKind) {
        if let Some(at) = KINDS.iter().position(|known| *known == kind) {
            self.failures[at].fetch_add(1, Relaxed);
        }
    }

    /// From 1, because 0 says "not".
    fn milliseconds(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.since).as_millis() as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trap() -> Failure {
        Failure::new(FailureKind::Trap, "it trapped")
    }

    fn fail(breaker: &Breaker, times: u32) -> Option<Duration> {
        (0..times).filter_map(|_| breaker.failed(&trap(), Trial(false))).last()
    }

    #[test]
    fn failures_in_a_row_suspend_and_others_do_not() {
        let breaker = Breaker::default();
        assert_eq!(fail(&breaker, FAILURES - 1), None);
        breaker.succeeded(Trial(false));
        assert_eq!(fail(&breaker, FAILURES - 1), None, "a success was between them");
        assert!(breaker.admit().is_ok());
        let full = Failure::new(FailureKind::Instances, "none is free");
        assert_eq!(breaker.failed(&full, Trial(false)), None, "not the guest's doing");
        let busy = Failure::new(FailureKind::Busy, "others had the worker");
        assert_eq!(breaker.failed(&busy, Trial(false)), None, "nor this");
        assert_eq!(fail(&breaker, 1), Some(FIRST));
        assert_eq!(breaker.admit().expect_err("suspended").kind, FailureKind::Suspended);
        assert!(breaker.health().suspended.is_some_and(|left| left <= FIRST));
        assert_eq!(fail(&breaker, 50), None, "what was under way adds nothing");
    }

    #[test]
    fn one_exchange_tries_and_a_failed_trial_doubles() {
        let breaker = Breaker::default();
        fail(&breaker, FAILURES);
        let mut lasts = FIRST;
        for _ in 0..10 {
            breaker.until.store(1, Relaxed);
            let trial = breaker.admit().expect("its time is over");
            assert!(trial.0);
            assert!(breaker.admit().is_err(), "one tries");
            lasts = (lasts * 2).min(LONGEST);
            assert_eq!(breaker.failed(&trap(), trial), Some(lasts));
        }
        breaker.until.store(1, Relaxed);
        breaker.succeeded(breaker.admit().expect("its time is over"));
        assert!(breaker.admit().is_ok_and(|trial| !trial.0));
        assert_eq!(fail(&breaker, FAILURES), Some(FIRST), "a success makes the next suspension short again");
    }
}
