//! Bytes below HTTP: bound sockets, the PROXY protocol, the ClientHello peek, and copying between two connections.
//!
//! What is said over TLS belongs to `tls`; who is spoken to belongs to the backend side.

pub mod bind;
pub mod copy;
pub mod hello;
mod ja4;
mod pipe;
pub mod proxy_protocol;
pub mod rewind;
pub mod splice;
pub mod tcp;
