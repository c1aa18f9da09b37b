//! Operators that look an address up in a list.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Making, lines, read_files};

/// A list of addresses and networks.
///
/// IPv4 and IPv6 are two worlds, but that an address of IPv4 in IPv6's clothes (`::ffff:192.0.2.1`, RFC 4291 section 2.5.5.2) is also
/// looked up as what it is: whoever lists an address means it however it comes.
#[derive(Debug, Default)]
pub struct Addresses {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl Addresses {
    /// Of `@ipMatch`: addresses and networks with commas between them.
    ///
    /// # Errors
    /// When one is neither, or there is none.
    pub(super) fn new(argument: &str) -> Result<Self, String> {
        let mut list = Self::default();
        for word in
            argument.split(|char: char| char == ',' || char.is_ascii_whitespace()).filter(|word| !word.is_empty())
        {
            list.add(word)?;
        }
        if list.v4.0.is_empty() && list.v6.0.is_empty() {
            return Err("there is no address to look for".to_owned());
        }
        Ok(list.sorted())
    }

    /// Of `@ipMatchFromFile`: one address or network a line, or several with commas between them. Lines that begin with `#` are
    /// comments.
    ///
    /// # Errors
    /// When a file cannot be read, or something in it is neither.
    pub(super) fn from_files(argument: &str, making: &Making<'_>) -> Result<Self, String> {
        let mut list = Self::default();
        for (name, file) in read_files(argument, making)? {
            for (number, line) in lines(&file) {
                let line = String::from_utf8_lossy(line);
                // A word that begins with `#` is a comment up to the end of the line.
                let words = line.split(|char: char| char == ',' || char.is_ascii_whitespace());
                for word in words.take_while(|word| !word.starts_with('#')).filter(|word| !word.is_empty()) {
                    list.add(word).map_err(|why| format!("{name}, line {number}: {why}"))?;
                }
            }
        }
        Ok(list.sorted())
    }

    fn add(&mut self, word: &str) -> Result<(), String> {
        let network = IpNet::from_str(word).or_else(|_| IpAddr::from_str(word).map(IpNet::from));
        match network.map_err(|_| format!("{word} is neither an address nor a network like 192.0.2.0/24"))? {
            IpNet::V4(network) => self.v4.add(v4_range(network)),
            IpNet::V6(network) => self.v6.add(v6_range(network)),
        }
        Ok(())
    }

    fn sorted(mut self) -> Self {
        self.v4.sort();
        self.v6.sort();
        self
    }

    pub(super) fn judge(&self, value: &[u8]) -> bool {
        // The longest address has 45 characters; longer values are not even looked at.
        let Some(text) = Some(value.trim_ascii()).filter(|text| text.len() <= 45) else { return false };
        match std::str::from_utf8(text).map(IpAddr::from_str) {
            Ok(Ok(IpAddr::V4(address))) => self.v4.contains(address.to_bits()),
            Ok(Ok(IpAddr::V6(address))) => match address.to_ipv4_mapped() {
                Some(inner) => self.v4.contains(inner.to_bits()) || self.v6.contains(address.to_bits()),
                None => self.v6.contains(address.to_bits()),
            },
            _ => false,
        }
    }
}

fn v4_range(network: Ipv4Net) -> (u32, u32) {
    let bits = Ipv4Addr::to_bits;
    (bits(network.network()), bits(network.broadcast()))
}

fn v6_range(network: Ipv6Net) -> (u128, u128) {
    let bits = Ipv6Addr::to_bits;
    (bits(network.network()), bits(network.broadcast()))
}

/// Ranges of numbers, both ends included.
#[derive(Debug)]
struct Ranges<T>(Vec<(T, T)>);

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Ord> Ranges<T> {
    fn add(&mut self, range: (T, T)) {
        self.0.push(range);
    }

    /// By their beginnings, none in reach of another: looking up needs one step of a binary search each.
    fn sort(&mut self) {
        self.0.sort_unstable();
        self.0.dedup_by(|next, previous| {
            let overlaps = next.0 <= previous.1;
            if overlaps {
                previous.1 = previous.1.max(next.1);
            }
            overlaps
        });
    }

    fn contains(&self, number: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after > 0 && number <= self.0[after - 1].1
    }
}
