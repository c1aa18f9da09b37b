//! Listeners.
//!
//! - TCP on IPv4 and IPv6, one or several addresses: [`addresses`]
//! - plain HTTP, TLS (also [`super::tls`]), raw TCP: [`tcp`]
//! - SNI passthrough on the port of termination, the ClientHello cut anyhow, copied both ways: [`passthrough`]
//! - PROXY protocol v1 and v2 in, from trusted networks only, and out: [`proxy_protocol`]
//! - `allow` and `deny`, `private`, connection limits: [`admission`]
//! - two listeners on one address name both lines, a port below 1024 without the right names the capability: [`addresses`]

mod addresses;
mod admission;
mod passthrough;
mod proxy_protocol;
mod tcp;
