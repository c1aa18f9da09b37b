//! Values by key, shared by all workers and instances of this plugin, kept over reloads, lost with the process. Grant: `key_value`.
//!
//! Every operation is atomic. Keys have 1 to 1024 bytes, values at most 64 KiB. Times to live are whole milliseconds; what is
//! between is rounded up.

use std::time::Duration;

use super::imports::key_value;
pub use crate::bindings::portcullis::filter::key_value::Error;

/// The value, if there is one. Of a number made by [`add`], its decimal digits.
///
/// # Errors
/// `size`, `unavailable`.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    key_value::get(key)
}

/// Sets the value, to be kept for `ttl` or, without, until it is deleted.
///
/// # Errors
/// `quota`, `size`, `unavailable`.
pub fn set(key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), Error> {
    key_value::set(key, value, ttl.map(milliseconds))
}

/// Sets the value if the present one is `expected` (None: if there is none), and says whether it did.
///
/// # Errors
/// `quota`, `size`, `unavailable`.
pub fn compare_and_swap(
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    ttl: Option<Duration>,
) -> Result<bool, Error> {
    key_value::compare_and_swap(key, expected, value, ttl.map(milliseconds))
}

/// Adds to a number and gives the sum. A key that is not there begins at 0 and is then kept for `ttl`. Saturates.
///
/// # Errors
/// `not_a_number`, `quota`, `size`, `unavailable`.
pub fn add(key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, Error> {
    key_value::add(key, delta, ttl.map(milliseconds))
}

/// Removes the value, if there is one.
///
/// # Errors
/// `size`, `unavailable`.
pub fn delete(key: &str) -> Result<(), Error> {
    key_value::delete(key)
}

fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
