//! The time. Grant: `clock`.
//!
//! `std::time::SystemTime::now` and `Instant::now` panic in a guest; these are what there is.

use std::time::Duration;

use super::imports::clock;

/// The time since 1970-01-01 00:00 UTC.
pub fn now() -> Duration {
    Duration::from_nanos(clock::now())
}

/// A time that only ever grows, from an arbitrary beginning: for measuring.
pub fn monotonic() -> Duration {
    Duration::from_nanos(clock::monotonic())
}
