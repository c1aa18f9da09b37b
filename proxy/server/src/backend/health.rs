//! Passive health: an endpoint that fails several times in a row is left alone for a while, longer each time.
//!
//! Only what shows that the endpoint cannot answer counts (connect failures, resets, time-outs, garbage); a status of
//! 500 is an answer. After an ejection one exchange at a time may try it again ("probe"); a success clears all.

use std::{
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use portcullis_config::backend::PassiveHealth;

/// What is known of an endpoint's health. Written by any worker, but only when something changes: success after
/// success writes nothing.
#[derive(Debug, Default)]
pub struct Health {
    errors: AtomicU32,
    /// Responses in a row that broke off. Counted apart from `errors`, because their heads were successes.
    broken: AtomicU32,
    ejections: AtomicU32,
    /// Milliseconds since [`epoch`]; 0: not ejected.
    ejected_until: AtomicU64,
    /// The last failure's sentence, for messages and `status`.
    reason: Mutex<String>,
}

/// Whether an endpoint may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Good,
    /// Its ejection has ended; the next exchange shows whether it is back.
    Probe,
    /// Not before this much time has passed.
    Ejected(Duration),
}

impl Health {
    /// Whether the endpoint may be chosen at `now`.
    pub fn standing(&self, now: Instant) -> Standing {
        let until = self.ejected_until.load(Relaxed);
        if until == 0 {
            return Standing::Good;
        }
        let now = millis(now);
        if now < until { Standing::Ejected(Duration::from_millis(until - now)) } else { Standing::Probe }
    }

    /// Claims the one probe after an ejection: true for one caller, who must report how it went; the others see the
    /// endpoint ejected for as long as the last ejection was, should the prober never report.
    pub fn claim_probe(&self, now: Instant, policy: &PassiveHealth) -> bool {
        let until = self.ejected_until.load(Relaxed);
        let now = millis(now);
        until != 0
            && now >= until
            && self
                .ejected_until
                .compare_exchange(until, now + self.length(policy).as_millis() as u64, Relaxed, Relaxed)
                .is_ok()
    }

    /// The endpoint answered. Returns whether it had been ejected.
    pub fn success(&self) -> bool {
        if self.errors.load(Relaxed) == 0 && self.ejected_until.load(Relaxed) == 0 {
            return false;
        }
        self.errors.store(0, Relaxed);
        if self.broken.load(Relaxed) == 0 {
            self.ejections.store(0, Relaxed);
        }
        self.ejected_until.swap(0, Relaxed) != 0
    }

    /// A response came to its end.
    pub fn whole(&self) {
        if self.broken.load(Relaxed) != 0 {
            self.broken.store(0, Relaxed);
            self.ejections.store(0, Relaxed);
        }
    }

    /// A response broke off after its head. Returns how long the endpoint is now ejected, if this was the one that did it. Heads in
    /// between do not make up for it, whole responses do.
    pub fn broke_off(&self, now: Instant, policy: &PassiveHealth, reason: &str) -> Option<Duration> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).replace_range(.., reason);
        if policy.errors == 0 || self.ejected_until.load(Relaxed) != 0 {
            return None;
        }
        if self.broken.fetch_add(1, Relaxed).saturating_add(1) < policy.errors {
            return None;
        }
        // The count stays: the next one that breaks off after the ejection shows that nothing has changed.
        Some(self.eject(now, policy))
    }

    /// The endpoint failed; `probe` says whether the failed exchange was the claimed probe. Returns how long the
    /// endpoint is now ejected, if this was the error that did it.
    ///
    /// Exchanges that were on their way before it was ejected prove nothing new and change nothing.
    pub fn failure(&self, probe: bool, now: Instant, policy: &PassiveHealth, reason: &str) -> Option<Duration> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).replace_range(.., reason);
        if policy.errors == 0 {
            return None;
        }
        if probe {
            return Some(self.eject(now, policy));
        }
        if self.ejected_until.load(Relaxed) != 0 || self.errors.fetch_add(1, Relaxed).saturating_add(1) < policy.errors
        {
            return None;
        }
        Some(self.eject(now, policy))
    }

    /// Whether it has failed since it last answered.
    pub fn is_doubtful(&self) -> bool {
        self.errors.load(Relaxed) != 0 || self.ejected_until.load(Relaxed) != 0
    }

    /// What the last failure was; empty when there was none.
    pub fn last_failure(&self) -> String {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn eject(&self, now: Instant, policy: &PassiveHealth) -> Duration {
        let length = self.length(policy);
        self.errors.store(0, Relaxed);
        self.ejections.fetch_add(1, Relaxed);
        self.ejected_until.store(millis(now) + (length.as_millis() as u64).max(1), Relaxed);
        length
    }

    /// How long the next ejection is: doubled by each one since the last success.
    fn length(&self, policy: &PassiveHealth) -> Duration {
        let doublings = self.ejections.load(Relaxed).min(20);
        policy.eject.saturating_mul(1 << doublings).min(policy.eject_max)
    }
}

/// Milliseconds since a moment before any other that this file sees; at least 1.
fn millis(at: Instant) -> u64 {
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    at.saturating_duration_since(*EPOCH).as_millis() as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> PassiveHealth {
        PassiveHealth { errors: 3, eject: Duration::from_secs(1), eject_max: Duration::from_secs(3) }
    }

    #[test]
    fn errors_in_a_row_eject_and_a_success_between_them_does_not() {
        let (health, policy, now) = (Health::default(), policy(), Instant::now());
        assert_eq!(health.failure(false, now, &policy, "x"), None);
        assert_eq!(health.failure(false, now, &policy, "x"), None);
        health.success();
        assert_eq!(health.failure(false, now, &policy, "x"), None);
        assert_eq!(health.failure(false, now, &policy, "x"), None);
        assert_eq!(health.standing(now), Standing::Good);
        assert_eq!(health.failure(false, now, &policy, "x"), Some(Duration::from_secs(1)));
        assert!(matches!(health.standing(now), Standing::Ejected(_)));
    }

    #[test]
    fn responses_that_break_off_eject_though_their_heads_are_successes() {
        for errors in [1, 3] {
            let (health, policy, mut now) = (Health::default(), PassiveHealth { errors, ..policy() }, Instant::now());
            for _ in 1..errors {
                assert_eq!(health.broke_off(now, &policy, "x"), None);
                health.success();
            }
            for expected in [1, 2, 3] {
                assert_eq!(health.broke_off(now, &policy, "x"), Some(Duration::from_secs(expected)), "{errors}");
                assert_eq!(health.broke_off(now, &policy, "x"), None, "others that were on their way");
                now += Duration::from_secs(5);
                assert!(health.claim_probe(now, &policy));
                assert!(health.success());
            }
            health.whole();
            for _ in 1..errors {
                assert_eq!(health.broke_off(now, &policy, "x"), None);
            }
            assert_eq!(health.broke_off(now, &policy, "x"), Some(Duration::from_secs(1)));
        }
    }

    #[test]
    fn a_whole_response_makes_up_for_those_that_broke_off() {
        let (health, policy, now) = (Health::default(), policy(), Instant::now());
        for _ in 0..10 {
            assert_eq!(health.broke_off(now, &policy, "x"), None);
            assert_eq!(health.broke_off(now, &policy, "x"), None);
            health.whole();
        }
        assert_eq!(health.standing(now), Standing::Good);
    }

    #[test]
    fn late_failures_of_an_ejected_endpoint_change_nothing() {
        let (health, policy, now) = (Health::default(), policy(), Instant::now());
        for _ in 0..3 {
            health.failure(false, now, &policy, "x");
        }
        for _ in 0..10 {
            assert_eq!(health.failure(false, now, &policy, "x"), None);
        }
        assert_eq!(health.standing(now + Duration::from_millis(1001)), Standing::Probe);
    }

    #[test]
    fn one_probe_at_a_time_and_a_failed_one_doubles_up_to_the_maximum() {
        let (health, policy, mut now) = (Health::default(), policy(), Instant::now());
        for _ in 0..3 {
            health.failure(false, now, &policy, "x");
        }
        for expected in [2, 3, 3] {
            now += Duration::from_secs(5);
            assert_eq!(health.standing(now), Standing::Probe);
            assert!(health.claim_probe(now, &policy));
            assert!(!health.claim_probe(now, &policy));
            assert_eq!(health.failure(true, now, &policy, "x"), Some(Duration::from_secs(expected)));
        }
        now += Duration::from_secs(5);
        assert!(health.claim_probe(now, &policy));
        assert!(health.success());
        assert_eq!(health.standing(now), Standing::Good);
    }

    #[test]
    fn zero_errors_never_eject() {
        let (health, now) = (Health::default(), Instant::now());
        let policy = PassiveHealth { errors: 0, ..policy() };
        for _ in 0..100 {
            assert_eq!(health.failure(false, now, &policy, "x"), None);
        }
        assert_eq!(health.standing(now), Standing::Good);
    }
}
