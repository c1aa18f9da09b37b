//! The sliding window: how full it is, and when there is room again. Arithmetic only; counting is in `counter.rs`.
//!
//! Two counters approximate it: requests of the present fixed window, and of the one before, weighed by how much of it the sliding window
//! still covers. That is what Cloudflare described in 2017 ("How we built rate limiting capable of scaling to millions of domains"); it
//! assumes that the earlier requests came evenly, and needs two numbers for each client instead of a time for each request.

/// How many requests in how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests in any window. At least 1.
    pub requests: u64,
    /// Milliseconds. At least 1000.
    pub window: u64,
}

/// A moment in a quota's row of fixed windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The fixed window's number since 1970.
    pub number: u64,
    /// Milliseconds since it began.
    pub elapsed: u64,
}

/// What the counters say, the request in question included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// In the fixed window before.
    pub before: u64,
    /// In the present one.
    pub present: u64,
}

impl Quota {
    /// Where in its windows a time is, given in milliseconds since 1970.
    pub fn moment(&self, now: u64) -> Moment {
        Moment { number: now / self.window, elapsed: now % self.window }
    }

    /// Requests in the sliding window that ends at `moment`: what is left of the window before is rounded to the nearest number. Rounded
    /// down, a limit of one would let two pass a moment apart; rounded up, it would let one pass in two windows.
    pub fn used(&self, moment: Moment, count: Count) -> u64 {
        count.present.saturating_add(share(count.before, self.window - moment.elapsed, self.window))
    }

    /// Requests that are left after this one.
    pub fn remaining(&self, moment: Moment, count: Count) -> u64 {
        self.requests.saturating_sub(self.used(moment, count))
    }

    /// Milliseconds until one more request would pass, if none came meanwhile; `count` is without the one that was refused.
    pub fn wait(&self, moment: Moment, count: Count) -> u64 {
        if count.present < self.requests {
            // In this window: until so much of the one before has slid out.
            let room = self.requests - 1 - count.present;
            self.slides_to(count.before, room).saturating_sub(moment.elapsed)
        } else {
            // Not before the next one begins, in which the present one is the one before.
            (self.window - moment.elapsed) + self.slides_to(count.present, self.requests - 1)
        }
    }

    /// Milliseconds into a window after which at most `room` of `before` requests are left in the sliding window.
    fn slides_to(&self, before: u64, room: u64) -> u64 {
        if before <= room {
            return 0;
        }
        // The most that may still be covered: 2 * before * covered < (2 * room + 1) * window, which is `share` turned round.
        let left = (2 * u128::from(room) + 1) * u128::from(self.window);
        let covered = (left - 1) / (2 * u128::from(before));
        self.window - u64::try_from(covered).unwrap_or(u64::MAX).min(self.window)
    }
}

/// `count * part / whole`, rounded to the nearest.
fn share(count: u64, part: u64, whole: u64) -> u64 {
    let whole = u128::from(whole);
    u64::try_from((2 * u128::from(count) * u128::from(part) + whole) / (2 * whole)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota { requests: 50, window: 60_000 };

    #[test]
    fn the_window_before_counts_by_what_is_left_of_it() {
        // 42 requests in the minute before, 18 in the 15 seconds since: 42 * 45 / 60 + 18 is 49.5.
        let moment = Moment { number: 1, elapsed: 15_000 };
        assert_eq!(QUOTA.used(moment, Count { before: 42, present: 18 }), 50);
        assert_eq!(QUOTA.remaining(moment, Count { before: 42, present: 18 }), 0);
        assert_eq!(QUOTA.remaining(moment, Count { before: 41, present: 18 }), 1);
        assert_eq!(QUOTA.remaining(moment, Count { before: 42, present: 30 }), 0);
    }

    #[test]
    fn moments_are_windows_since_the_epoch() {
        assert_eq!(QUOTA.moment(0), Moment { number: 0, elapsed: 0 });
        assert_eq!(QUOTA.moment(125_001), Moment { number: 2, elapsed: 5_001 });
    }

    /// After the wait that was promised one request passes, and a millisecond earlier it does not.
    #[test]
    fn the_wait_is_exact() {
        for requests in [1, 2, 3, 7, 50] {
            for window in [1000, 1001, 60_000] {
                let quota = Quota { requests, window };
                for before in [0, 1, 2, 5, 7, 50, 51, 400] {
                    for present in [0, 1, 2, 6, 7, 49, 50] {
                        for elapsed in [0, 1, 500, 999] {
                            let moment = Moment { number: 9, elapsed };
                            let count = Count { before, present };
                            if present > requests || passes(quota, moment, count, 0) {
                                continue;
                            }
                            let wait = quota.wait(moment, count);
                            assert!(passes(quota, moment, count, wait), "{quota:?} {moment:?} {count:?} {wait}");
                            assert!(!passes(quota, moment, count, wait - 1), "{quota:?} {moment:?} {count:?} {wait}");
                        }
                    }
                }
            }
        }
    }

    fn passes(quota: Quota, moment: Moment, count: Count, wait: u64) -> bool {
        let then = quota.moment(moment.number * quota.window + moment.elapsed + wait);
        let (before, present) = match then.number - moment.number {
            0 => (count.before, count.present),
            1 => (count.present, 0),
            _ => (0, 0),
        };
        quota.used(then, Count { before, present: present + 1 }) <= quota.requests
    }

    #[test]
    fn great_numbers_do_not_overflow() {
        let quota = Quota { requests: u64::MAX, window: 1000 };
        let count = Count { before: u64::MAX, present: u64::MAX };
        assert_eq!(quota.used(Moment { number: 0, elapsed: 0 }, count), u64::MAX);
        quota.wait(Moment { number: 0, elapsed: 999 }, count);
        Quota { requests: 1, window: 1000 }.wait(Moment { number: 0, elapsed: 999 }, count);
    }
}
