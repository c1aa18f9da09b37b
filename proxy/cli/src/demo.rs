//! What stands behind the proxy in `portcullis demo`: backends, a private DNS zone, and the files it runs with.
//!
//! Only loopback, only for trying things out. Nothing else in the executable uses it.

mod app;
mod certificate;
mod files;
mod private_app;
mod tour;
mod town;
mod zone;

#[cfg(test)]
mod tests;

pub(crate) use files::Files;
pub(crate) use tour::tour;
pub(crate) use town::Town;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The instances of the shop, behind one host, to see balancing.
const SHOP: [u16; 3] = [9101, 9102, 9103];

/// The blog: another host.
const BLOG: u16 = 9104;

/// The port of every instance of the private app. Instances differ by address, as containers do.
const PRIVATE: u16 = 9110;

/// The nameserver of the private zone.
const NAMESERVER: u16 = 9053;

/// The zone.
const ZONE: &str = "private-network.internal";

/// The private app's name in it.
const PRIVATE_NAME: &str = "web.ap-demo.pn-demo.private-network.internal";

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The `number`th of the loopback addresses that private instances move between.
fn container(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 71, number).into()
}
