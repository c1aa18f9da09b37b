//! Scenarios: an origin, the proxy (the real binary on free ports), a client, an assertion.
//!
//! One module for each paragraph of what portcullis promises; each begins with the list of its promises.
//!
//! | Module | What is promised |
//! |---|---|
//! | [`listeners`] | addresses, raw TCP, SNI passthrough, PROXY protocol, who may connect |
//! | [`tls`] | versions, certificates by name, resumption, TLS to backends |
//! | [`certificates`] | certificates that are ordered and renewed |
//! | [`http`] | versions, streaming, upgrades, gRPC, header fields |
//! | [`framing`] | what is ambiguous or malformed is refused |
//! | [`limits`] | what a client may ask for |
//! | [`routes`] | which route wins, and what is done |
//! | [`backends`] | balancing, pools, time limits, health, retries |
//! | [`dns`] | private zones, names that change, nameservers that fail |
//! | [`plugins`] | plugins in the way of exchanges |
//! | [`plugin_cli`] | projects, tests and figures for authors of plugins |
//! | [`hostile`] | plugins that attack |
//! | [`reload`] | a new configuration with nothing dropped |
//! | [`record`] | the access log and `explain` |
//! | [`bad_input`] | a clear error and nothing lost |
//! | [`shutdown`] | draining |
//! | [`cli`] | the commands |
//! | [`plugin_examples`] | the plugins that come with portcullis |
//! | [`waf`] | the web application firewall |
//! | [`plugin_languages`] | plugins in C, JavaScript and Python |
//! | [`memory`] | bounded memory |
//! | [`waf_crs`] | the Core Rule Set |
//! | [`review`] | what a review found stays found |
//! | [`fuzz`] | random bytes into everything that parses |
//! | [`docs`] | what the documentation shows is true |
//!
//! Names of tests are the sentences they prove.

// A scenario that unwraps fails with a message and a line, which is what a test is for.
#![allow(clippy::unwrap_used)]

mod ground;

mod backends;
mod bad_input;
mod certificates;
mod cli;
mod dns;
mod docs;
mod framing;
mod fuzz;
mod hostile;
mod http;
mod limits;
mod listeners;
mod memory;
mod plugin_cli;
mod plugin_examples;
mod plugin_languages;
mod plugins;
mod record;
mod reload;
mod review;
mod routes;
mod shutdown;
mod tls;
mod waf;
mod waf_crs;
