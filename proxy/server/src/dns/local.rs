//! Addresses that a public name may not lead to unless that is allowed.
//!
//! Whoever owns a public name can point it at our own host, and the proxy would carry requests to services that
//! trust whoever reaches them: loopback, link-local, and the metadata services of clouds. Private ranges (RFC 1918)
//! are not among them: public names for private addresses are common and wanted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of local address this is, in a word, if it is one.
pub fn local_kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => local_v4(address),
        IpAddr::V6(address) => local_v6(address),
    }
}

fn local_v4(address: Ipv4Addr) -> Option<&'static str> {
    // Alibaba Cloud's metadata service is the one that is not link-local.
    const METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
    match address.octets() {
        [0, ..] => Some("unspecified"),
        [127, ..] => Some("loopback"),
        [169, 254, ..] => Some("link-local"),
        [224..=239, ..] => Some("multicast"),
        [255, 255, 255, 255] => Some("broadcast"),
        _ if address == METADATA => Some("metadata"),
        _ => None,
    }
}

fn local_v6(address: Ipv6Addr) -> Option<&'static str> {
    // Amazon's metadata service over IPv6.
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    if address == METADATA {
        return Some("metadata");
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        // IPv4 within IPv6: compatible (RFC 4291 2.5.5.1), mapped (2.5.5.2), translated (RFC 6052).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            local_v4(Ipv4Addr::new(a, b, c, d))
        }
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(address: &str) -> Option<&'static str> {
        local_kind(address.parse().unwrap())
    }

    #[test]
    fn knows_local_addresses_in_every_notation() {
        for (address, expected) in [
            ("127.0.0.1", "loopback"),
            ("127.8.9.10", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("169.254.169.254", "link-local"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("100.100.100.200", "metadata"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::127.0.0.1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("64:ff9b::7f00:1", "loopback"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("ff02::1", "multicast"),
            ("fd00:ec2::254", "metadata"),
        ] {
            assert_eq!(kind(address), Some(expected), "{address}");
        }
    }

    #[test]
    fn leaves_private_and_public_addresses_alone() {
        for address in
            ["10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "93.184.216.34", "fd00::1", "2001:db8::1"]
        {
            assert_eq!(kind(address), None, "{address}");
        }
    }
}
