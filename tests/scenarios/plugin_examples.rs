//! The plugins that come with portcullis, each through the proxy. What they compute is tested beside them, in `plugins/`.
//!
//! - they load, with the configuration that their READMEs show, and a mistake in it is an error that names plugin and key: [`loading`]
//! - `ip-policy` decides by the client that a trusted peer names, and by nothing that a client writes: [`ip_policy`]
//! - `rate-limit` counts over all workers, and over reloads: [`rate_limit`]
//! - `jwt` fetches keys from a backend, and serves on without it: [`jwt`]
//! - `basic-auth` lets in who knows the password, and hands on the name: [`basic_auth`]
//! - `headers`, `maintenance` and `rewrite-body` change what they should, and several in a chain work together: [`others`]

mod basic_auth;
mod ip_policy;
mod jwt;
mod loading;
mod others;
mod rate_limit;

use portcullis_tests::{proxy::Plan, repository};

/// Where modules are, as `make plugins` builds them.
///
/// # Panics
/// When they were not built.
fn folder() -> String {
    let path = repository::root().join("target/plugins");
    let path = path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}; run: make plugins", path.display()));
    path.display().to_string()
}

/// A plugin's module.
fn module(name: &str) -> String {
    format!("{}/{name}.wasm", folder())
}

/// A plain listener, `listener` being its other lines, and one route to `app` at `@origin@` through a plugin of that name, with
/// `table` as the rest of its table.
fn plan(name: &str, listener: &str, table: &str) -> Plan {
    Plan::new(text(name, listener, table)).set("module", module(name))
}

fn text(name: &str, listener: &str, table: &str) -> String {
    format!(
        r#"
[[listener]]
name = "http"
address = "127.0.0.1:@http@"
{listener}

[[route]]
backend = "app"
plugins = ["{name}"]

[backend.app]
endpoints = ["http://@origin@"]

[plugin.{name}]
module = "@module@"
{table}
"#
    )
}
