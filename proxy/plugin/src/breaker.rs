//! A plugin that keeps failing is not asked for a while, so that its failures cost nothing.

use std::time::Duration;

/// How a plugin does.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Exchanges it had a part in.
    pub exchanges: u64,
    /// Failures by [`crate::FailureKind::name`]; those that never happened are not there.
    pub failures: Vec<(&'static str, u64)>,
    /// The last failure.
    pub last: Option<String>,
    /// Whether it is not asked now, and for how long still.
    pub suspended: Option<Duration>,
    /// Instances that exist.
    pub instances: u32,
}
