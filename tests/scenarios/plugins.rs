//! Plugins in the way of exchanges.
//!
//! - [`chains`]: the order of phases, what edits do and where they are seen, a plugin configured by its route
//! - [`bodies`]: streamed, held, replaced, over the limit, with trailers, of no length
//! - [`decisions`]: answering and closing, in each phase, on HTTP/1 and HTTP/2
//! - [`changes`]: a reload with plugins, and plugins that do not build
//! - [`said`]: the record, `explain`, `status`
//! - [`around`]: files that they read, the journal, notes, bodies that they take back
//!
//! The guests are those of `tests/guests`; `make plugins` builds them.

mod around;
mod bodies;
mod chains;
mod changes;
mod decisions;
mod said;

use portcullis_tests::{guests, origin::Origin, proxy::Plan};

use crate::ground::PLAIN;

/// [`PLAIN`] with plugins: their tables, and the names in the route's chain.
fn configuration(tables: &str, chain: &str) -> String {
    PLAIN.replace("backend = \"app\"\n", &format!("backend = \"app\"\nplugins = {chain}\n")) + tables
}

/// The table of a plugin that is the guest `good` with this configuration (the inside of an inline table).
pub(crate) fn good(name: &str, config: &str) -> String {
    format!("[plugin.{name}]\nmodule = \"{}\"\nconfig = {{ {config} }}\n", guest("good"))
}

/// For the guest `hostile`, which can ask for everything.
const GRANTS: &str =
    "grants = { log = true, metrics = true, clock = true, random = true, key_value = true, http = [] }";

/// The path of a guest.
pub(crate) fn guest(name: &str) -> String {
    guests::path(name).display().to_string()
}

/// A proxy with plugins in front of `origin`.
pub(crate) fn plan(origin: &Origin, tables: &str, chain: &str) -> Plan {
    Plan::new(configuration(tables, chain)).set("origin", origin.address())
}
