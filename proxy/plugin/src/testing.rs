//! Runs recorded exchanges through a plugin and compares its answers with those that were written down.
//!
//! What `portcullis plugin test` does, for whoever else wants to: a [`Case`] is an exchange in a file of HTTP text with what is expected
//! in a file of TOML beside it; a [`Suite`] runs cases in every way that traffic may take (each division of a body, each kind of
//! end, fresh and used instances) and writes a [`Report`].
//!
//! Nothing here opens a socket or reads a clock that a plugin could see: requests of plugins are answered from a script, time and chance
//! are fixed.

mod base64;
mod case;
mod diff;
mod exchange;
pub mod message;
mod outcome;
mod report;
mod reset;
mod script;
mod shape;
mod suite;

pub use self::{
    case::{Case, Connection, Tls, table_as_json},
    message::{Message, Recorded},
    outcome::{Answer, Outcome, Text, Word},
    report::{CaseReport, PhaseReport, Problem, Report},
    script::{Reply, Scripted},
    suite::Suite,
};
