//! The access log: one line for every [`Record`], as JSON or for eyes, to standard output or to a file.
//!
//! [`json`] and [`human`] turn a record into bytes. [`Writer`] owns the thread that writes them; each worker has an
//! [`AccessLog`], which collects lines without a lock and hands them over in pieces.
//!
//! [`Record`]: crate::record::Record

mod access;
mod human;
mod journal;
mod json;
mod text;
mod timestamp;
mod writer;

#[cfg(test)]
mod tests;

pub use access::AccessLog;
pub use human::human;
pub use journal::Journals;
pub use json::json;
pub use writer::{Target, Writer};
