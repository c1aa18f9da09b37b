//! What the proxy offers, one module for each interface of the contract. Each is thin: on wasm32 it calls the import, natively the
//! host of the test ([`crate::testing`]).

pub mod bodies;
pub mod clock;
pub mod connection;
pub mod files;
pub mod http;
pub mod journal;
pub mod key_value;
pub mod log;
pub mod metrics;
pub mod notes;
pub mod random;

/// Where the calls go.
mod imports {
    #[cfg(target_family = "wasm")]
    pub(super) use crate::bindings::portcullis::filter::{
        bodies, clock, connection, files, http, journal, key_value, log, metrics, notes, random,
    };
    #[cfg(not(target_family = "wasm"))]
    pub(super) use crate::testing::imports::{
        bodies, clock, connection, files, http, journal, key_value, log, metrics, notes, random,
    };
}
