//! Lists of IP networks, as `allow`, `deny`, `trusted` and `client` take them.

use std::net::IpAddr;

use ipnet::IpNet;

/// IP networks in CIDR form; a bare address is a network of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<IpNet>);

impl Networks {
    /// Whether any network holds `address`. An IPv4 address mapped into IPv6 (`::ffff:a.b.c.d`, what a dual-stack
    /// socket reports) counts as the IPv4 address it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether no network is listed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
