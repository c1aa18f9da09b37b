//! Moving requests: listeners, TLS, HTTP, routes, backends, names, reload, and the record of every exchange.
//!
//! `ARCHITECTURE.md` has the map. The way of one exchange is the function `exchange::run`.

#![forbid(unsafe_code)]

pub mod control;
pub mod dns;
pub mod error;
pub mod http;
pub mod log;
pub mod net;
pub mod record;
pub mod route;
pub mod tls;
