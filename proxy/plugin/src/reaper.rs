//! Dropping large instances somewhere else.
//!
//! Giving touched memory back to the kernel takes about 0.15 ms a mebibyte: a guest that has filled sixty of them would hold its worker for
//! ten milliseconds when it ends. Such an instance goes to a thread of its own, through a bounded queue; when that is full it is
//! dropped where it is, so that memory cannot pile up behind a slow thread.

use std::{io, sync::mpsc, thread};

use crate::instance::Instance;

/// Bytes of linear memory from which an instance is large. Smaller ones take less than the way to another thread is worth.
const LARGE: usize = 8 << 20;

/// Instances on their way.
const QUEUE: usize = 64;

/// The way to the thread, which ends with the last of these.
#[derive(Clone)]
pub struct Reaper(mpsc::SyncSender<Box<Instance>>);

impl Reaper {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start() -> io::Result<Self> {
        let (sender, instances) = mpsc::sync_channel::<Box<Instance>>(QUEUE);
        thread::Builder::new().name("plugin-reaper".into()).spawn(move || instances.into_iter().for_each(drop))?;
        Ok(Self(sender))
    }

    /// Drops `instance`, here or there.
    pub fn take(&self, instance: Box<Instance>) {
        if instance.store.data().memory.used >= LARGE {
            // Full, or gone: it comes back in the error and is dropped with it.
            drop(self.0.try_send(instance));
        }
    }
}
