//! TLS: certificates and which one is shown, handshakes with clients, handshakes with endpoints.
//!
//! Reading a ClientHello off the wire, and what is done with one that is passed through, belong to `net`.

pub mod certificates;
pub mod client;
pub mod handshake;
pub(crate) mod provider;
pub mod server;
pub mod store;
#[cfg(test)]
mod testing;
pub(crate) mod verify;
