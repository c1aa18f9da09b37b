//! The file as written: every table and every key there is, read from the spanned tree into typed fields that know
//! their place. What one value may look like is decided here; what values mean together is decided in `check`.
//!
//! One declaration of a table (the `table!` macro) gives its struct, its reader, the names that a typo is compared with,
//! and its part of the JSON Schema. Reading goes on after a mistake: a field that could not be read is known to be written.

mod acme;
mod action;
mod backend;
mod choice;
mod dns;
mod endpoint;
mod field;
mod http;
mod json;
mod limits;
mod list;
mod listener;
mod map;
mod net;
mod number;
mod plugin;
mod process;
mod route;
mod table;
mod text;
mod unit;
mod waf;

pub(crate) use acme::{Acme, Binding, Directory, DnsUpdate, Rfc2136};
pub(crate) use action::{Fixed, HeaderEdits, Pattern, Redirection, ReplacePrefix, Rewriting, Share};
pub(crate) use backend::Backend;
pub(crate) use dns::Dns;
pub(crate) use endpoint::Host;
pub(crate) use field::{At, Field};
pub(crate) use limits::Limits;
pub(crate) use list::{Filled, List, Tables};
pub(crate) use listener::{Certificate, Listener, Proto, Unknown};
pub(crate) use map::Map;
pub(crate) use net::{Bind, Nameserver};
pub(crate) use plugin::{Grants, Module, PAGE, Plugin, PluginLimits};
pub(crate) use process::{Log, Server};
pub(crate) use route::{Route, ValuePattern};
pub(crate) use table::Read;
pub(crate) use text::written;
pub(crate) use waf::{Except, Tag};

table::table! {
    /// The configuration of portcullis.
    File {
        /// The process itself.
        server: Server,
        /// The access log and the error log.
        log: Log,
        /// What a client may ask of the proxy, on all listeners.
        limits: Limits,
        /// How names of backends are looked up.
        dns: Dns,
        /// Bound sockets, and how their bytes are read.
        listener: Tables<Listener>,
        /// Certificates for listeners with TLS. The names they are shown for are those inside them.
        certificate: Tables<Certificate>,
        /// Certificates that are ordered for the hosts of routes, and renewed.
        acme: Acme,
        /// What is matched, and what is done with it. The most specific route wins; their order does not matter.
        route: Tables<Route>,
        /// Named groups of origins with their policy.
        backend: Map<crate::names::BackendName, Backend>,
        /// WebAssembly guests in the way of exchanges, with what they may use and call.
        plugin: Map<crate::names::PluginName, Plugin>,
    }
}
