//! How a plugin fails.

use std::fmt;

use wasmtime::{Trap, WasmBacktrace};

use crate::{Plugin, instance::Instance, metered::Over};

/// Frames of a backtrace that are kept: a recursion without end has thousands.
const FRAMES_MAX: usize = 20;

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
    /// Its worker was too busy with other guests for as long as `limits.wait`. Not its doing.
    Busy,
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
            Self::Busy => "busy",
            Self::Memory => "memory",
            Self::Instances => "instances",
            Self::Invalid => "invalid",
            Self::Suspended => "suspended",
        }
    }
}

/// What it means that `phase` ended with `error`. `instance` is what ran, if it was made.
pub(crate) fn explain(error: &wasmtime::Error, phase: &str, plugin: &Plugin, instance: Option<&Instance>) -> Failure {
    let limits = &plugin.definition().limits;
    let memory_refused = instance.is_some_and(|instance| instance.store.data().memory.refused);
    let (kind, message) = match error.downcast_ref::<Over>() {
        Some(Over::Time) => (FailureKind::Time, format!("{phase} ran for longer than {:?} (limits.time)", limits.time)),
        Some(Over::Wait) => (FailureKind::Wait, format!("{phase} took longer than {:?} (limits.wait)", limits.wait)),
        Some(Over::Busy) => {
            let message = format!(
                "{phase} could not go on for {:?} (limits.wait): other guests kept its worker busy",
                limits.wait
            );
            (FailureKind::Busy, message)
        }
        None if memory_refused => {
            let limit = limits.memory >> 10;
            (FailureKind::Memory, format!("{phase} wanted more than {limit} KiB of memory (limits.memory)"))
        }
        None => (FailureKind::Trap, format!("{phase} trapped: {}", reason(error))),
    };
    let mut backtrace = backtrace(error);
    if let Some(said) = instance.map(Instance::stderr).filter(|said| !said.is_empty()) {
        backtrace = format!("{said}\n{backtrace}");
    }
    Failure { kind, message, backtrace }
}

/// What ended a guest, in one line.
pub(crate) fn reason(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => "it gave up (a panic, an abort, or no memory left)".to_owned(),
        Some(Trap::StackOverflow) => "it recursed too deep".to_owned(),
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    }
}

/// Functions of the guest, innermost first, one a line.
pub(crate) fn backtrace(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let frames = trace.frames();
    let mut lines: Vec<String> = frames
        .iter()
        .take(FRAMES_MAX)
        .map(|frame| match frame.func_name() {
            Some(name) => rustc_demangle::demangle(name).to_string(),
            None => format!("function {}", frame.func_index()),
        })
        .collect();
    if frames.len() > FRAMES_MAX {
        lines.push(format!("and {} more", frames.len() - FRAMES_MAX));
    }
    lines.join("\n")
}
