//! Figures, summed over all instances and shown as `plugin_<plugin>_<name>`. Grant: `metrics`.
//!
//! Names are `[a-z][a-z0-9_]*`, at most 64 bytes, at most 256 of them. Others are dropped and counted.

use super::imports::metrics;

/// Adds to a counter.
pub fn count(name: &str, delta: u64) {
    metrics::count(name, delta);
}

/// Sets a gauge.
pub fn gauge(name: &str, value: f64) {
    metrics::gauge(name, value);
}

/// Adds a value to a histogram with buckets by powers of two.
pub fn observe(name: &str, value: f64) {
    metrics::observe(name, value);
}
