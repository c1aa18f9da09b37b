//! What all workers and the control thread share: the snapshot in force, and the words to stop.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Release},
};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::{snapshot::Snapshot, tape::Recorder};

/// Shared by all threads of the process.
pub struct Shared {
    /// The snapshot in force.
    pub snapshot: ArcSwap<Snapshot>,
    /// Its number, beside it so that a worker sees with one load that nothing has changed.
    pub generation: AtomicU64,
    /// How many finished exchanges each worker remembers.
    pub recent: AtomicUsize,
    /// Takes exchanges down for tests of plugins.
    pub recorder: Recorder,
    /// Cancelled when the process begins to drain: no more accepts, connections end after their exchange.
    pub stop: CancellationToken,
    /// Cancelled at the drain deadline: everything ends.
    pub end: CancellationToken,
}

impl Shared {
    /// With this snapshot in force.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            generation: AtomicU64::new(snapshot.generation),
            recent: AtomicUsize::new(snapshot.config.server.recent),
            snapshot: ArcSwap::new(snapshot),
            recorder: Recorder::default(),
            stop: CancellationToken::new(),
            end: CancellationToken::new(),
        }
    }

    /// Puts `snapshot` in force: exchanges that begin after this see it.
    pub fn swap(&self, snapshot: Arc<Snapshot>) {
        let generation = snapshot.generation;
        self.recent.store(snapshot.config.server.recent, std::sync::atomic::Ordering::Relaxed);
        self.snapshot.store(snapshot);
        self.generation.store(generation, Release);
    }
}
