//! The log phase: after the end, when nobody waits any more.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use portcullis_plugin::{Phase, Summary};
use smallvec::SmallVec;

use super::{Chain, Spent};
use crate::{
    record::Record,
    worker::{View, Worker},
};

/// Exchanges of one worker whose plugins are still to be told of the end. More than these are not: what has ended must not fill the
/// memory that what is under way needs.
const WAITING_MAX: usize = 1024;

/// Tells the plugins of `chain`, which are those of `view`, what became of the exchange: each in turn, on a task of its own.
pub fn last_words(worker: &Rc<Worker>, chain: Rc<Chain>, record: &Record, view: &View) {
    if !chain.any(chain.len(), |wants| wants.log) {
        return;
    }
    // At the drain deadline nothing more is waited for.
    let place = if worker.shared.end.is_cancelled() { None } else { Place::take(worker) };
    let Some(place) = place else {
        worker.counters.plugin_logs_dropped.up();
        return;
    };
    let ended = Ended::of(record);
    let spent: SmallVec<[Arc<Spent>; 2]> = chain.positions().map(|position| view.spent[position].clone()).collect();
    let index = worker.index;
    worker.spawn(async move {
        let _place = place;
        for at in 0..chain.len() {
            if let Some(mut run) = chain.run(at).await {
                // A failure is counted and written down where it happens; there is nothing left to refuse.
                let _ = run.log(ended.summary()).await;
                if let Some(spent) = spent.get(at) {
                    let costs = run.costs();
                    let log = Phase::Log as usize;
                    spent.add_phase(index, Phase::Log, costs.calls[log], costs.time[log]);
                }
            }
        }
    });
}

/// One of [`WAITING_MAX`].
struct Place(Rc<Worker>);

impl Place {
    fn take(worker: &Rc<Worker>) -> Option<Self> {
        let waiting = worker.plugin_logs.get();
        (waiting < WAITING_MAX).then(|| {
            worker.plugin_logs.set(waiting + 1);
            Self(worker.clone())
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.plugin_logs.set(self.0.plugin_logs.get() - 1);
    }
}

/// What is kept of a record for its summary.
struct Ended {
    status: u16,
    received: u64,
    sent: u64,
    duration: Duration,
    backend: Option<Arc<str>>,
    endpoint: Option<SocketAddr>,
    error: Option<&'static str>,
    decided_by: Option<Arc<str>>,
}

impl Ended {
    fn of(record: &Record) -> Self {
        // The last one answered, if it did not fail.
        let answered = record.attempts.last().filter(|attempt| attempt.error.is_none());
        Self {
            status: record.status,
            received: record.received,
            sent: record.sent,
            duration: record.total,
            backend: record.backend.clone(),
            endpoint: answered.map(|attempt| attempt.address),
            error: record.error.as_ref().map(|error| error.kind.name()),
            decided_by: record.decided_by.clone(),
        }
    }

    fn summary(&self) -> Summary<'_> {
        Summary {
            status: self.status,
            received: self.received,
            sent: self.sent,
            duration: self.duration,
            backend: self.backend.as_deref(),
            endpoint: self.endpoint,
            error: self.error,
            decided_by: self.decided_by.as_deref(),
        }
    }
}
