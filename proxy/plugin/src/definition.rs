//! What the operator says of a plugin, and what the plugin says of itself.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;

/// A plugin as configured: everything that [`Plugin::build`](crate::Plugin::build) needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name in the configuration. Values and figures belong to the name, so that they outlive reloads.
    pub name: Arc<str>,
    /// A component, or a core module with a component type in it.
    pub module: Bytes,
    /// Its table as JSON text.
    pub config: String,
    /// What it may use.
    pub limits: Limits,
    /// What it may call.
    pub grants: Grants,
    /// How instances are used.
    pub isolation: Isolation,
    /// What becomes of an exchange when the plugin fails.
    pub on_failure: OnFailure,
    /// How many workers will use it.
    pub workers: usize,
}

/// What a plugin may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: u64,
    /// Of a processor, for one call of a phase.
    pub time: Duration,
    /// Wall clock for one call, host calls and waiting for an instance included.
    pub wait: Duration,
    /// Instances at once, over all workers.
    pub instances: u32,
    /// Bytes of shared values.
    pub key_value: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            time: Duration::from_millis(50),
            wait: Duration::from_secs(5),
            instances: 1000,
            key_value: 1 << 20,
        }
    }
}

/// What a plugin may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Lines in the log.
    pub log: bool,
    /// Figures.
    pub metrics: bool,
    /// The time.
    pub clock: bool,
    /// Random numbers.
    pub random: bool,
    /// Shared values.
    pub key_value: bool,
    /// Requests to these backends. `Some` of none: the interface is there, and every request is denied.
    pub http: Option<Vec<Arc<str>>>,
    /// Reading these files and what is below these folders, in `configure`. What the plugin's own table names under the keys of its
    /// manifest is granted beside them.
    pub files: Option<Vec<PathBuf>>,
    /// Adding lines to this file, where the plugin's own table names no other under the key of its manifest.
    pub journal: Option<PathBuf>,
}

/// How instances are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// A fresh one for each exchange.
    Exchange,
    /// Kept by each worker and used by one exchange after another.
    Worker,
}

/// What becomes of an exchange when the plugin fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused with 503.
    Refuse,
    /// It goes on without the plugin.
    Continue,
}

/// What a plugin, as configured, wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The request's head.
    pub request_head: bool,
    /// The response's head.
    pub response_head: bool,
    /// The end of the exchange.
    pub log: bool,
    /// The request's body.
    pub request_body: BodyMode,
    /// The response's body.
    pub response_body: BodyMode,
}

/// How a body is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyMode {
    /// Not at all.
    None,
    /// Piece by piece.
    Stream,
    /// In one piece; head and body pass after it.
    Hold {
        /// Bytes.
        limit: usize,
        /// What happens to more.
        at_limit: AtLimit,
    },
}

/// What happens to a held body that is over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLimit {
    /// Answered by the proxy.
    Refuse,
    /// As much as fits is shown, and the rest follows.
    Inspect,
}
