//! What one worker has of a plugin.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::sync::OwnedSemaphorePermit;

use crate::{Facts, Failure, FailureKind, Isolation, OutboundSender, Plugin, Run, instance::Instance};

/// Exchanges after which an instance is not used again: what it has leaked or made a mess of goes with it.
const USES_MAX: u32 = 10_000;

/// Instances given back by one [`Local::tick`]: each costs some microseconds.
const GIVEN_BACK_MAX: usize = 64;

/// A plugin on one worker, with instances that wait to be used again.
pub struct Local {
    plugin: Arc<Plugin>,
    pub(crate) outbound: OutboundSender,
    #[expect(clippy::vec_box, reason = "they go from here into runs and back, as pointers")]
    idle: RefCell<Vec<Box<Instance>>>,
    /// The fewest that waited at any time since the last tick: nobody needed these.
    fewest: Cell<usize>,
    /// Exchanges begun here. Written by this worker alone.
    exchanges: Arc<AtomicU64>,
}

impl Local {
    /// `plugin` on the calling worker, whose outbound requests go to `outbound`.
    pub fn new(plugin: Arc<Plugin>, outbound: OutboundSender) -> Rc<Self> {
        let exchanges = plugin.count_exchanges();
        Rc::new(Self { plugin, outbound, idle: RefCell::default(), fewest: Cell::new(0), exchanges })
    }

    /// The plugin.
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Begins its part in an exchange.
    pub fn begin(self: &Rc<Self>, facts: impl FnOnce() -> Facts) -> Run {
        self.exchanges.store(self.exchanges.load(Relaxed) + 1, Relaxed);
        Run::new(self.clone(), facts)
    }

    /// To be called about once a second: gives back instances that nobody used since the last time.
    pub fn tick(&self) {
        let mut idle = self.idle.borrow_mut();
        // One stays, so that the next exchange need not make one.
        let unused = self.fewest.get().saturating_sub(1).min(GIVEN_BACK_MAX).min(idle.len());
        let gone: Vec<_> = idle.drain(..unused).collect();
        self.fewest.set(idle.len());
        drop(idle);
        drop(gone);
    }

    /// An instance that has waited, if there is one.
    pub(crate) fn take(&self) -> Option<Box<Instance>> {
        let mut idle = self.idle.borrow_mut();
        let instance = idle.pop();
        self.fewest.set(self.fewest.get().min(idle.len()));
        instance
    }

    /// Takes an instance back after an exchange, or drops it.
    pub(crate) fn give_back(&self, mut instance: Box<Instance>) {
        let definition = self.plugin.definition();
        let memory = definition.limits.memory as usize;
        instance.uses += 1;
        let is_good = definition.isolation == Isolation::Worker
            && !instance.is_running
            && instance.uses < USES_MAX
            && instance.store.data().memory.used <= memory - memory / 4;
        // What waits here cannot be used elsewhere: never more than this worker's share.
        let share = (definition.limits.instances as usize / definition.workers.max(1)).max(1);
        let mut idle = self.idle.borrow_mut();
        if is_good && idle.len() < share {
            instance.store.data_mut().leave();
            idle.push(instance);
        } else {
            drop(idle);
            self.plugin.host.reaper.take(instance);
        }
    }

    /// A place among the plugin's instances; waits for one, but not longer than `limits.wait`.
    pub(crate) async fn place(&self) -> Result<OwnedSemaphorePermit, Failure> {
        if let Some(place) = self.plugin.try_place() {
            return Ok(place);
        }
        let limits = &self.plugin.definition().limits;
        match tokio::time::timeout(limits.wait, self.plugin.place()).await {
            Ok(Some(place)) => Ok(place),
            _ => Err(Failure::new(
                FailureKind::Instances,
                format!(
                    "all {} instances (limits.instances) were in use for {:?} (limits.wait)",
                    limits.instances, limits.wait
                ),
            )),
        }
    }
}
