//! `[log]`: the access log and the error log.

use std::path::PathBuf;

/// What is logged, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// One line an exchange; default JSON.
    pub access: AccessFormat,
    /// Where access lines go: `None` is standard output. A file is opened again when it was moved away (log
    /// rotation), looked at once a second.
    pub file: Option<PathBuf>,
    /// How loud the error log on standard error is. Default info.
    pub level: Level,
}

/// The form of an access line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// A JSON object a line.
    Json,
    /// For eyes.
    Human,
    /// No access log; `explain` still knows the last exchanges.
    Off,
}

/// The least severe event that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What an operator must act on.
    Error,
    /// What an operator should know.
    Warn,
    /// Reloads, listeners, endpoints that come and go.
    Info,
    /// Per connection.
    Debug,
    /// Everything.
    Trace,
}
