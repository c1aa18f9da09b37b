//! What a plugin has cost, summed over all exchanges.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use portcullis_plugin::{Costs, Phase};
use serde_json::{Map, Value, json};

/// Calls and time by phase. Each worker has a part of its own, so that adding is a load and a store.
#[derive(Debug)]
pub struct Spent(Box<[Part]>);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Part {
    calls: [AtomicU64; Phase::ALL.len()],
    nanoseconds: [AtomicU64; Phase::ALL.len()],
}

impl Spent {
    /// Nothing yet, in a process with `workers` workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Part::default()).collect())
    }

    /// Adds what one exchange has cost. Only the thread of `worker` may call this.
    pub fn add(&self, worker: usize, costs: &Costs) {
        for phase in Phase::ALL {
            let calls = costs.calls[phase as usize];
            if calls > 0 {
                self.add_phase(worker, phase, calls, costs.time[phase as usize]);
            }
        }
    }

    /// Adds calls of one phase, under the same rule.
    pub fn add_phase(&self, worker: usize, phase: Phase, calls: u32, time: Duration) {
        let Some(part) = self.0.get(worker) else { return };
        let add = |sum: &AtomicU64, more: u64| sum.store(sum.load(Relaxed).wrapping_add(more), Relaxed);
        add(&part.calls[phase as usize], calls.into());
        add(&part.nanoseconds[phase as usize], u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// `{"request_head": {"calls": 3, "time_us": 12}, ...}`, without phases that never came.
    pub fn to_json(&self) -> Value {
        let sum = |of: fn(&Part) -> &[AtomicU64; 5], phase: Phase| -> u64 {
            self.0.iter().map(|part| of(part)[phase as usize].load(Relaxed)).sum()
        };
        let mut phases = Map::new();
        for phase in Phase::ALL {
            let calls = sum(|part| &part.calls, phase);
            if calls > 0 {
                let time = sum(|part| &part.nanoseconds, phase) / 1000;
                phases.insert(phase.name().to_owned(), json!({ "calls": calls, "time_us": time }));
            }
        }
        phases.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_spend_is_summed_by_phase() {
        let spent = Spent::new(2);
        let mut costs = Costs::default();
        costs.calls[Phase::RequestHead as usize] = 1;
        costs.time[Phase::RequestHead as usize] = Duration::from_micros(7);
        spent.add(0, &costs);
        spent.add(1, &costs);
        spent.add_phase(1, Phase::Log, 3, Duration::from_micros(2));
        spent.add(2, &costs);
        let expected = json!({
            "request_head": { "calls": 2, "time_us": 14 },
            "log": { "calls": 3, "time_us": 2 },
        });
        assert_eq!(spent.to_json(), expected);
    }
}
