//! Who is on the other side, and where the exchange is. Needs no grant.

use std::net::IpAddr;

use super::imports::connection;
pub use crate::bindings::portcullis::filter::connection::{Facts, Socket, Tls};

/// The facts of this exchange. Traps outside of an exchange's phases, as in [`configure`](crate::Plugin::configure).
pub fn get() -> Facts {
    connection::get()
}

/// The proxy's own end: the address and port that the client reached. Traps outside of an exchange's phases.
pub fn server() -> Socket {
    connection::server()
}

/// The target of the request as the client sent it, where that was an absolute one: `http://example.com/a?b`. Of all others
/// [`RequestHead::target`](crate::RequestHead::target) is the whole. Traps outside of an exchange's phases.
pub fn absolute_target() -> Option<String> {
    connection::absolute_target()
}

impl Socket {
    /// The address, parsed. IPv4 addresses that are mapped into IPv6 become what they are.
    pub fn ip(&self) -> IpAddr {
        self.address.parse::<IpAddr>().expect("the host gives an address").to_canonical()
    }
}

impl Facts {
    /// The client's address, parsed. IPv4 addresses that are mapped into IPv6 (`::ffff:192.0.2.1`) become what they are.
    pub fn client_address(&self) -> IpAddr {
        // The host writes what it parsed itself.
        self.client.parse::<IpAddr>().expect("the host gives an address").to_canonical()
    }
}
