//! The record of every exchange.
//!
//! - [`access_log`]: one line for each exchange with the documented fields; JSON or for eyes; to standard output or a file
//!   that survives rotation; never in the way of an exchange
//! - [`refusals`]: refused handshakes and malformed requests have a line too
//! - [`explain`]: the same record by its id, and what would become of a request
//! - [`status`]: the process as it is

mod access_log;
mod explain;
mod refusals;
mod status;
