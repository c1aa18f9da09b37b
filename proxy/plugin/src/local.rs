//! What one worker has of a plugin.

use std::{rc::Rc, sync::Arc};

use crate::{Facts, OutboundSender, Plugin, Run};

/// A plugin on one worker, with instances that wait to be used again.
pub struct Local {
    plugin: Arc<Plugin>,
    #[expect(dead_code)]
    outbound: OutboundSender,
}

impl Local {
    /// `plugin` on the calling worker, whose outbound requests go to `outbound`.
    pub fn new(plugin: Arc<Plugin>, outbound: OutboundSender) -> Rc<Self> {
        Rc::new(Self { plugin, outbound })
    }

    /// The plugin.
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Begins its part in an exchange.
    pub fn begin(self: &Rc<Self>, facts: impl FnOnce() -> Facts) -> Run {
        Run::new(self.clone(), facts)
    }

    /// To be called about once a second: gives back instances that nobody used since the last time.
    pub fn tick(&self) {}
}
