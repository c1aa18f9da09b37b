//! A table of networks that finds the most specific one for an address.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, de};

/// One network in CIDR form; a bare address is a network of one.
///
/// IPv4 addresses mapped into IPv6 (`::ffff:192.0.2.1`) are the IPv4 addresses that they are. `::/0` holds all of IPv6, and no IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    four: bool,
    first: u128,
    last: u128,
}

impl Network {
    /// Whether it holds `address`.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (four, number) = number(address);
        four == self.four && (self.first..=self.last).contains(&number)
    }

    /// The network that a client is counted by: an IPv4 address by itself, an IPv6 address with its neighbours under `ipv6_prefix` (0 to
    /// 128), because one customer has at least a /64 to choose addresses from.
    pub fn of_client(address: IpAddr, ipv6_prefix: u32) -> Self {
        let (four, number) = number(address);
        let host_bits = if four { 0 } else { 128u32.saturating_sub(ipv6_prefix) };
        let mask = 1u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
        Self { four, first: number & !mask, last: number | mask }
    }

    fn new(address: IpAddr, prefix: u32) -> Option<Self> {
        let (address, prefix) = match address {
            IpAddr::V6(six) => match six.to_ipv4_mapped() {
                Some(four) if prefix >= 96 => (IpAddr::V4(four), prefix - 96),
                _ => (address, prefix),
            },
            IpAddr::V4(_) => (address, prefix),
        };
        let bits: u32 = if address.is_ipv4() { 32 } else { 128 };
        // Not `to_canonical` here: a mapped address with a short prefix is a network of IPv6.
        let first = match address {
            IpAddr::V4(four) => u128::from(four.to_bits()),
            IpAddr::V6(six) => six.to_bits(),
        };
        let host_bits = bits.checked_sub(prefix)?;
        let mask = 1u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
        (first & mask == 0).then_some(Self { four: bits == 32, first, last: first | mask })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host_bits = (self.last - self.first).count_ones();
        if self.four {
            write!(f, "{}/{}", Ipv4Addr::from_bits(self.first as u32), 32 - host_bits)
        } else {
            write!(f, "{}/{}", Ipv6Addr::from_bits(self.first), 128 - host_bits)
        }
    }
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// Neither an address nor a network.
    Syntax(String),
    /// There are bits set after the prefix. What was meant is probably the second.
    HostBits(String, String),
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(text) => {
                write!(
                    f,
                    "{text:?} is not a network: write one like \"192.0.2.0/24\", \"2001:db8::/32\" or \"192.0.2.1\""
                )
            }
            Self::HostBits(text, meant) => {
                write!(f, "{text:?} has bits after its prefix: write {meant:?}, or the address alone")
            }
        }
    }
}

impl std::error::Error for NetworkError {}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let syntax = || NetworkError::Syntax(text.chars().take(60).collect());
        let (address, prefix) = match text.split_once('/') {
            // `+8` and `08` are numbers to `parse`, and no prefixes.
            Some((_, prefix)) if prefix.starts_with('+') || (prefix.len() > 1 && prefix.starts_with('0')) => {
                return Err(syntax());
            }
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().map_err(|_| syntax())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| syntax())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        if prefix > bits {
            return Err(syntax());
        }
        Self::new(address, prefix).ok_or_else(|| {
            let meant = match address {
                IpAddr::V4(four) => {
                    Ipv4Addr::from_bits(four.to_bits() & u32::MAX.checked_shl(32 - prefix).unwrap_or(0)).to_string()
                }
                IpAddr::V6(six) => {
                    Ipv6Addr::from_bits(six.to_bits() & u128::MAX.checked_shl(128 - prefix).unwrap_or(0)).to_string()
                }
            };
            NetworkError::HostBits(text.to_owned(), format!("{meant}/{prefix}"))
        })
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Networks with a value each, of which the most specific one that holds an address decides, in whatever order they were written.
///
/// A look-up is a binary search: a list of a hundred thousand networks costs no more than about seventeen comparisons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks<T> {
    four: Vec<(u128, Option<T>)>,
    six: Vec<(u128, Option<T>)>,
}

impl<T: Copy + PartialEq> Networks<T> {
    /// A table of `entries`.
    ///
    /// # Errors
    ///
    /// The first network that is there twice with different values: neither of them is the more specific one.
    pub fn new(entries: impl IntoIterator<Item = (Network, T)>) -> Result<Self, Network> {
        let mut entries: Vec<_> = entries.into_iter().collect();
        // A network comes before those inside of it.
        entries.sort_by_key(|(network, _)| (network.four, network.first, u128::MAX - network.last));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1) {
            return Err(pair[0].0);
        }
        let (six, four): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(network, _)| !network.four);
        Ok(Self { four: flatten(&four), six: flatten(&six) })
    }

    /// The value of the most specific network that holds `address`, or nothing if none does.
    pub fn find(&self, address: IpAddr) -> Option<T> {
        let (four, number) = number(address);
        let ranges = if four { &self.four } else { &self.six };
        let after = ranges.partition_point(|(first, _)| *first <= number);
        ranges.get(after.checked_sub(1)?)?.1
    }
}

/// Makes nested networks, sorted, into ranges that follow each other: each one's first address, and the value up to the next.
fn flatten<T: Copy + PartialEq>(sorted: &[(Network, T)]) -> Vec<(u128, Option<T>)> {
    let mut ranges: Vec<(u128, Option<T>)> = Vec::new();
    let mut open: Vec<(Network, T)> = Vec::new();
    let begin = |ranges: &mut Vec<(u128, Option<T>)>, first: u128, value: Option<T>| match ranges.last_mut() {
        Some(last) if last.0 == first => last.1 = value,
        _ => ranges.push((first, value)),
    };
    for &(network, value) in sorted {
        close(&mut open, Some(network.first), |first, value| begin(&mut ranges, first, value));
        begin(&mut ranges, network.first, Some(value));
        open.push((network, value));
    }
    close(&mut open, None, |first, value| begin(&mut ranges, first, value));
    ranges.dedup_by(|next, last| next.1 == last.1);
    ranges
}

/// Ends the open networks that do not reach `until` (all of them, if there is none): after each, the one around it goes on.
fn close<T: Copy>(open: &mut Vec<(Network, T)>, until: Option<u128>, mut begin: impl FnMut(u128, Option<T>)) {
    while let Some((network, _)) = open.last() {
        if until.is_some_and(|until| until <= network.last) {
            return;
        }
        let last = network.last;
        open.pop();
        if let Some(next) = last.checked_add(1) {
            begin(next, open.last().map(|(_, value)| *value));
        }
    }
}

fn number(address: IpAddr) -> (bool, u128) {
    match address.to_canonical() {
        IpAddr::V4(four) => (true, u128::from(four.to_bits())),
        IpAddr::V6(six) => (false, six.to_bits()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, u8)]) -> Networks<u8> {
        Networks::new(entries.iter().map(|(network, value)| (network.parse().unwrap(), *value))).unwrap()
    }

    fn find(table: &Networks<u8>, address: &str) -> Option<u8> {
        table.find(address.parse().unwrap())
    }

    #[test]
    fn the_most_specific_network_decides() {
        let table = table(&[("10.1.0.0/16", 2), ("10.0.0.0/8", 1), ("10.1.2.3", 3), ("10.1.2.4", 1), ("0.0.0.0/0", 9)]);
        for (address, value) in [
            ("10.0.0.0", 1),
            ("10.0.255.255", 1),
            ("10.1.0.0", 2),
            ("10.1.2.2", 2),
            ("10.1.2.3", 3),
            ("10.1.2.4", 1),
            ("10.1.2.5", 2),
            ("10.1.255.255", 2),
            ("10.2.0.0", 1),
            ("10.255.255.255", 1),
            ("11.0.0.0", 9),
            ("255.255.255.255", 9),
            ("0.0.0.0", 9),
        ] {
            assert_eq!(find(&table, address), Some(value), "{address}");
        }
        assert_eq!(find(&table, "::1"), None);
    }

    #[test]
    fn it_agrees_with_looking_at_every_network() {
        // A small generator of its own, so that a failure repeats itself.
        let mut state = 7u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let mut entries: Vec<(Network, u8)> = Vec::new();
            for _ in 0..next(12) {
                let prefix = 24 + next(9) as u32;
                let first = (next(512) as u32) >> (32 - prefix) << (32 - prefix);
                let network = Network::new(IpAddr::V4(Ipv4Addr::from_bits(first)), prefix).unwrap();
                if entries.iter().all(|(other, _)| *other != network) {
                    entries.push((network, next(3) as u8));
                }
            }
            let table = Networks::new(entries.iter().copied()).unwrap();
            for number in 0..600u32 {
                let address = IpAddr::V4(Ipv4Addr::from_bits(number));
                let expected = entries
                    .iter()
                    .filter(|(network, _)| network.contains(address))
                    .min_by_key(|(network, _)| network.last - network.first)
                    .map(|(_, value)| *value);
                assert_eq!(table.find(address), expected, "{address} in {entries:?}");
            }
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        let table = table(&[("192.0.2.0/24", 1), ("::ffff:198.51.100.0/120", 2), ("::/0", 3)]);
        assert_eq!(find(&table, "::ffff:192.0.2.9"), Some(1));
        assert_eq!(find(&table, "198.51.100.7"), Some(2));
        assert_eq!(find(&table, "203.0.113.1"), None);
        assert_eq!(find(&table, "2001:db8::1"), Some(3));
        assert_eq!(find(&table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Some(3));
    }

    #[test]
    fn one_network_with_two_values_is_refused() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        assert_eq!(Networks::new([(network, 1), (network, 2)]), Err(network));
        assert!(Networks::new([(network, 1), (network, 1)]).is_ok());
    }

    #[test]
    fn text_that_is_no_network_is_refused_with_what_to_write() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "example.com", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/"]
        {
            assert!(matches!(text.parse::<Network>(), Err(NetworkError::Syntax(_))), "{text}");
        }
        let error = "10.1.2.3/8".parse::<Network>().unwrap_err();
        assert_eq!(
            error.to_string(),
            r#""10.1.2.3/8" has bits after its prefix: write "10.0.0.0/8", or the address alone"#
        );
        let error = "2001:db8::1/32".parse::<Network>().unwrap_err();
        assert!(error.to_string().contains("write \"2001:db8::/32\""), "{error}");
        assert!("10.0.0.1/0".parse::<Network>().is_err());
    }

    #[test]
    fn ipv6_clients_are_counted_by_network() {
        for (address, prefix, network) in [
            ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64"),
            ("2001:db8:1:2:3:4:5:6", 128, "2001:db8:1:2:3:4:5:6/128"),
            ("2001:db8:1:2::1", 48, "2001:db8:1::/48"),
            ("2001:db8:1:2::1", 0, "::/0"),
            ("192.0.2.1", 64, "192.0.2.1/32"),
            ("::ffff:192.0.2.1", 64, "192.0.2.1/32"),
        ] {
            assert_eq!(Network::of_client(address.parse().unwrap(), prefix).to_string(), network);
        }
    }

    #[test]
    fn networks_are_written_as_they_are_read() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "2001:db8::/32", "::/0", "::1/128"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }
}
