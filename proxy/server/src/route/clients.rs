//! Client networks as sorted ranges: one binary search, however long the list.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_config::network::Networks;

/// A set of addresses.
#[derive(Debug)]
pub(super) struct Clients {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Clients {
    pub(super) fn new(networks: &Networks) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in &networks.0 {
            match network {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Self { v4: merged(v4), v6: merged(v6) }
    }

    /// As [`Networks::contains`].
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => holds(&self.v4, address.to_bits()),
            IpAddr::V6(address) => holds(&self.v6, address.to_bits()),
        }
    }
}

/// Sorted, and without one inside another; networks never overlap in any other way.
fn merged<N: Ord + Copy>(mut ranges: Vec<(N, N)>) -> Box<[(N, N)]> {
    ranges.sort_unstable_by_key(|&(first, last)| (first, std::cmp::Reverse(last)));
    let mut merged: Vec<(N, N)> = Vec::new();
    for range in ranges {
        if merged.last().is_none_or(|outer| range.1 > outer.1) {
            merged.push(range);
        }
    }
    merged.into()
}

fn holds<N: Ord + Copy>(ranges: &[(N, N)], address: N) -> bool {
    let after = ranges.partition_point(|range| range.0 <= address);
    after > 0 && address <= ranges[after - 1].1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_the_list(
            nets in prop::collection::vec((0..=255u8, 0..=3u8, 6..=32u8, any::<bool>()), 0..12),
            address in (0..=255u8, 0..=3u8, any::<bool>()),
        ) {
            let ip = |a: u8, b: u8, six: bool| -> IpAddr {
                if six { [0xfd00, u16::from(a), u16::from(b), 0, 0, 0, 0, 1].into() } else { [10, b, a, b].into() }
            };
            let nets: Vec<IpNet> = nets
                .into_iter()
                .map(|(a, b, length, six)| IpNet::new(ip(a, b, six), length).unwrap().trunc())
                .collect();
            let networks = Networks(nets);
            let address = ip(address.0, address.1, address.2);
            prop_assert_eq!(Clients::new(&networks).contains(address), networks.contains(address));
        }
    }
}
