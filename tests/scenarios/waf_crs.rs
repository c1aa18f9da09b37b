//! The OWASP Core Rule Set in front of an origin, through the real binary and real sockets.
//!
//! - every regression test of CRS 4 that is shared passes, as its authors run it (paranoia level 4, nothing blocked): [`conformance`]
//! - Debian's CRS 3.3 loads from where its package puts it, unchanged; stock CRS lets ordinary traffic pass and refuses attacks: [`traffic`]
//! - rules change under traffic with nothing dropped, and event streams are not held back: [`service`]
//!
//! The rules and tests of CRS 4 are shared test data; where they are not there, or a package is not installed, these scenarios say so and pass.

mod conformance;
mod service;
mod traffic;

use std::{path::Path, time::Duration};

use portcullis_tests::{
    proxy::{Plan, Proxy},
    shared,
};

/// Everything through the WAF to `@origin@`. `@rules@` is a list in TOML, `@waf@` more lines of the plugin's table.
const GUARDED: &str = r#"
[[listener]]
name = "http"
address = "127.0.0.1:@http@"

[[route]]
name = "guarded"
backend = "app"
plugins = ["waf"]

[backend.app]
endpoints = ["http://@origin@"]

[plugin.waf]
module = "builtin:waf"
limits = { memory = "128MiB" }

[plugin.waf.config]
rules = [@rules@]
@waf@
"#;

/// How long it may take until rules are in force: the plugin is compiled with its image, by a compiler that was itself not optimised, on a
/// machine that may be busy.
const COMPILED: Duration = Duration::from_secs(120);

fn guarded(rules: &[String], settings: &str, origin: impl ToString) -> Plan {
    let list: Vec<_> = rules.iter().map(|rule| format!("{rule:?}")).collect();
    let plan = Plan::new(GUARDED).within(COMPILED);
    plan.set("rules", list.join(", ")).set("waf", settings).set("origin", origin)
}

/// The rules of CRS 4 in the order that its authors load them, with `setup` in between.
fn crs4(crs: &Path, setup: &str) -> Vec<String> {
    let at = |name: &str| crs.join(name).display().to_string();
    vec![at("crs-setup.conf.example"), setup.to_owned(), at("rules/*.conf")]
}

/// The folder of CRS 4, if it is there.
fn crs4_folder() -> Option<std::path::PathBuf> {
    shared::folder("waf/crs-v4.28.0")
}

/// Debian's file that loads its CRS, if the package is installed.
fn debian_crs() -> Option<String> {
    let path = shared::there("/usr/share/modsecurity-crs/owasp-crs.load", "Debian's package modsecurity-crs")?;
    Some(path.display().to_string())
}

/// The lines of the audit log, as JSON.
fn audit_log(proxy: &Proxy) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(proxy.folder().join("audit.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
