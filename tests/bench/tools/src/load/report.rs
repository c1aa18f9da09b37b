//! The line of JSON at the end of a run.

use std::time::Duration;

use serde_json::{Value, json};

use super::Results;

impl Results {
    pub(super) fn fail(&mut self, why: String) {
        *self.failures.entry(why).or_default() += 1;
    }

    pub(super) fn into_json(mut self, duration: Duration) -> Value {
        self.latencies.sort_unstable();
        let last = self.latencies.len().saturating_sub(1);
        let quantile = |share: f64| self.latencies.get((last as f64 * share) as usize).copied().unwrap_or(0);
        json!({
            "rps": self.latencies.len() as f64 / duration.as_secs_f64(),
            "requests": self.total,
            "p50_us": quantile(0.5),
            "p99_us": quantile(0.99),
            "max_us": quantile(1.0),
            "bytes": self.bytes,
            "connects": self.connects,
            "fails": self.failures.values().sum::<u64>(),
            "errors": self.failures,
        })
    }
}
