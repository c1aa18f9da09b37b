//! The control socket: how `portcullis status`, `reload`, `explain` and `dns` talk to the running process.
//!
//! A Unix socket that only its owner and root may use. A client connects, sends one [`Request`] as a line of JSON and
//! gets one [`Reply`] as a line of JSON. [`Socket`] is the running process's end, [`call`] the command's. What the
//! answers say is the business of whoever implements [`Control`].

mod client;
mod path;
mod protocol;
mod serve;
mod socket;

#[cfg(test)]
mod tests;

pub use client::{CallError, call};
pub use path::{default_path, path};
pub use protocol::{CertsRequest, ExplainRequest, Failure, RecordRequest, Reply, Request};
pub use serve::{Control, serve};
pub use socket::{BindError, Socket};
