//! Who is on the other side, and where the exchange is. Needs no grant.

use std::net::IpAddr;

use super::imports::connection;
pub use crate::bindings::portcullis::filter::connection::{Facts, Tls};

/// The facts of this exchange. Traps outside of an exchange's phases, as in [`configure`](crate::Plugin::configure).
pub fn get() -> Facts {
    connection::get()
}

impl Facts {
    /// The client's address, parsed. IPv4 addresses that are mapped into IPv6 (`::ffff:192.0.2.1`) become what they are.
    pub fn client_address(&self) -> IpAddr {
        // The host writes what it parsed itself.
        self.client.parse::<IpAddr>().expect("the host gives an address").to_canonical()
    }
}
