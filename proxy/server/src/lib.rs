//! Moving requests: listeners, TLS, HTTP, routes, backends, names, reload, and the record of every exchange.
//!
//! `ARCHITECTURE.md` has the map. The way of one exchange is the function `exchange::run`.

#![forbid(unsafe_code)]

mod accept;
mod alarm;
mod backend;
mod client_io;
mod connection;
pub mod control;
mod counters;
pub mod dns;
mod download;
pub mod error;
mod exchange;
mod flight;
mod forward;
pub mod http;
mod lifeline;
mod local;
pub mod log;
pub mod net;
pub mod record;
mod respond;
pub mod route;
mod shared;
mod snapshot;
pub mod tls;
mod tunnel;
mod upload;
mod worker;
