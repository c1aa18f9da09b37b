//! From a TOML file to checked values: `raw` (the file as written) to [`Config`] (checked, defaults in).
//!
//! No sockets, no async, no clock: what this crate says about a file depends on the file alone (and on the files it
//! names being readable is *not* checked here: certificates are loaded by the server's snapshot).
//! The server turns a [`Config`] into a snapshot; the command line prints the [`Report`](diagnostic::Report).

#![forbid(unsafe_code)]

pub mod acme;
pub mod backend;
mod check;
pub mod diagnostic;
pub mod dns;
pub mod limits;
pub mod listener;
pub mod load;
pub mod location;
pub mod log;
pub mod names;
mod nearest;
pub mod network;
pub mod plugin;
mod raw;
pub mod route;
pub mod schema;
pub mod server;
mod source;
mod tree;
pub mod units;
pub mod waf;

use std::collections::BTreeMap;

pub use location::Location;

/// Everything an operator has declared, checked, with defaults filled in.
///
/// Two configurations compare equal when they ask for the same thing: [`Location`]s do not count.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The process itself: workers, drain, control socket.
    pub server: server::Server,
    /// Where the access log goes, and how loud the error log is.
    pub log: log::Log,
    /// Bound sockets, in the order of the file.
    pub listeners: Vec<listener::Listener>,
    /// Certificate and key files, in the order of the file.
    pub certificates: Vec<listener::Certificate>,
    /// Routes, in the order of the file (order does not decide between them, see [`route`]).
    pub routes: Vec<route::Route>,
    /// Backends by name.
    pub backends: BTreeMap<names::BackendName, backend::Backend>,
    /// Plugins by name.
    pub plugins: BTreeMap<names::PluginName, plugin::Plugin>,
    /// How names are looked up.
    pub dns: dns::Dns,
    /// Certificates that are ordered; `None`: none are.
    pub acme: Option<acme::Acme>,
}
