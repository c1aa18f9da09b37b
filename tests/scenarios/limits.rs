//! Limits, all settable, each with the right status and a counter.
//!
//! - header bytes and count (431), target length (414), body size (413): [`sizes`]
//! - header time (408), idle time, silence in a body (408), request time (408, 504, an aborted response): [`times`]
//! - concurrent HTTP/2 streams, resets (GOAWAY): [`streams`]
//! - defaults hold where nothing is written: [`sizes`]

mod sizes;
mod streams;
mod times;

use portcullis_tests::{
    origin::Origin,
    proxy::{Plan, Proxy},
};

use crate::ground::PLAIN;

/// [`PLAIN`] with these limits on its listener.
async fn limited(origin: &Origin, limits: &str) -> Proxy {
    let text = PLAIN.replace("address =", &format!("limits = {{ {limits} }}\naddress ="));
    Plan::new(text).set("origin", origin.address()).start().await
}
