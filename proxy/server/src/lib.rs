//! Moving requests: listeners, TLS, HTTP, routes, backends, names, reload, and the record of every exchange.
//!
//! `ARCHITECTURE.md` has the map. The way of one exchange is the function `exchange::run`.

#![forbid(unsafe_code)]

mod accept;
mod acme;
mod alarm;
mod answers;
mod backend;
pub mod check;
mod client_io;
mod connection;
pub mod control;
mod counters;
pub mod dns;
mod download;
pub mod error;
mod exchange;
mod explain;
mod flight;
mod forward;
pub mod http;
mod lifeline;
mod local;
pub mod log;
pub mod net;
mod plugins;
mod process;
pub mod record;
mod refused;
mod reload;
mod respond;
pub mod route;
mod running;
mod shared;
mod snapshot;
mod tape;
pub mod tls;
mod tunnel;
mod upload;
mod watch;
mod worker;

pub use process::{Options, StartError, run};
