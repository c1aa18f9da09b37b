//! Figures that plugins count.

use std::sync::Arc;

/// One figure of one plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The plugin's name in the configuration.
    pub plugin: Arc<str>,
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: Value,
}

/// What a figure says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(f64),
    /// How many values, their sum, and how many were at most 2^i for i from -10 to 20, each by itself.
    Histogram {
        /// How many.
        count: u64,
        /// Their sum.
        sum: f64,
        /// By bucket; the last holds what is larger.
        buckets: Vec<u64>,
    },
}
