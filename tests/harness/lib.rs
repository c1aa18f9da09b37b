//! What scenarios are made of: an origin, a proxy (the real binary on free ports), a client, and tools from outside.
//!
//! | Module | What it gives |
//! |---|---|
//! | [`scenario`] | the runtime of all scenarios, and waiting that is always "eventually, within" |
//! | [`proxy`] | `portcullis run` on a configuration with placeholders, its logs, its control socket |
//! | [`origin`] | origins in this process: scripted HTTP/1.1 and HTTP/2, raw bytes, WebSocket, gRPC |
//! | [`client`] | clients in this process: raw bytes, HTTP/1.1, HTTP/2, bare HTTP/2 frames, WebSocket, gRPC |
//! | [`certificates`] | a certificate authority of the process, and leaves from it |
//! | [`guests`] | plugins for tests, built when they are not there |
//! | [`nameserver`] | a nameserver in this process whose records change at once |
//! | [`unbound`], [`named`], [`nginx`] | the real ones |
//! | [`pebble`] | an authority for certificates, with its nameserver |
//! | [`plugin`] | plugins in other languages than Rust, built |
//! | [`plugin_host`] | the host of plugins by itself, for the tests of `proxy/plugin` |
//! | [`raw_plugin`] | core modules written by hand, with what no compiler would make |
//! | [`registry`] | docker-registry, for modules |
//! | [`shared`] | test data that is no part of the repository |
//! | [`tool`] | programs that end: curl, h2load, openssl |
//! | [`process`] | programs that go on beside the scenario |
//! | [`repository`] | the files of the project: what its documentation says is tested too |
//!
//! Everything binds loopback addresses on ports that the system chose, waits with a deadline, and ends with the value
//! that stands for it. A failing scenario prints the proxy's configuration and logs.

#![forbid(unsafe_code)]

pub mod binary;
pub mod certificates;
pub mod client;
pub mod guests;
pub mod named;
pub mod nameserver;
pub mod nginx;
pub mod origin;
pub mod pebble;
pub mod plugin;
pub mod plugin_host;
pub mod port;
pub mod process;
pub mod proxy;
pub mod raw_plugin;
pub mod registry;
pub mod repository;
pub mod scenario;
pub mod shared;
pub mod tool;
pub mod unbound;
