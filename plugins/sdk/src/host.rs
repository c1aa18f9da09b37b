//! What the proxy offers, one module for each interface of the contract. Each is thin: on wasm32 it calls the import, natively the
//! host of the test ([`crate::testing`]).

pub mod clock;
pub mod connection;
pub mod http;
pub mod key_value;
pub mod log;
pub mod metrics;
pub mod random;

/// Where the calls go.
mod imports {
    #[cfg(target_family = "wasm")]
    pub(super) use crate::bindings::portcullis::filter::{clock, connection, http, key_value, log, metrics, random};
    #[cfg(not(target_family = "wasm"))]
    pub(super) use crate::testing::imports::{clock, connection, http, key_value, log, metrics, random};
}
