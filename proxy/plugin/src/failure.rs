//! How a plugin fails.

use std::fmt;

/// Why a plugin's part in an exchange ended.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// One sentence for the operator.
    pub message: String,
    /// Where in the guest, innermost first; empty when it was not running.
    pub backtrace: String,
}

impl Failure {
    /// A failure outside of the guest.
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), backtrace: String::new() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It executed something that ends a guest: a panic, an access out of bounds, too deep a recursion.
    Trap,
    /// It ran longer than `limits.time`.
    Time,
    /// A call took longer than `limits.wait`.
    Wait,
    /// It wanted more than `limits.memory`.
    Memory,
    /// All `limits.instances` were in use for as long as `limits.wait`.
    Instances,
    /// It answered with something that is not valid there.
    Invalid,
    /// It failed too often of late and is not asked (see [`crate::Health`]).
    Suspended,
}

impl FailureKind {
    /// The word in logs and figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Time => "time",
            Self::Wait => "wait",
            Self::Memory => "memory",
            Self::Instances => "instances",
            Self::Invalid => "invalid",
            Self::Suspended => "suspended",
        }
    }
}
