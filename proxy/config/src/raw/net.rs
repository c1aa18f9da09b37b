//! Addresses, networks and host names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::{
    table::clip,
    text::{Problem, Written, examples},
};
use crate::route::HostPattern;

/// Where a listener binds: one socket address, or both unspecified ones for `:PORT`.
#[derive(Clone, Debug)]
pub(crate) struct Bind {
    pub(crate) addresses: Vec<SocketAddr>,
    /// As written: the name of a listener that has none.
    pub(crate) written: String,
}

impl Written for Bind {
    const KIND: &'static str = "an address to listen on";
    const EXAMPLES: &'static [&'static str] = &["0.0.0.0:443", "[::]:443", ":443"];

    fn parse(text: &str) -> Result<Self, Problem> {
        // Two colons begin an IPv6 address.
        let addresses = match text.strip_prefix(':').filter(|rest| !rest.starts_with(':')) {
            Some(digits) => {
                let port = port(digits)?;
                vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]
            }
            None => vec![socket(text, None, Self::for_host)?],
        };
        match addresses.iter().any(|address: &SocketAddr| address.port() == 0) {
            true => Err(Problem::new("port 0 is no port to listen on").expected("a port from 1 to 65535")),
            false => Ok(Self { addresses, written: text.to_owned() }),
        }
    }

    fn for_number(number: i64) -> Option<String> {
        Some(format!("\":{number}\" listens on this port of every address"))
    }
}

impl Bind {
    fn for_host(text: &str) -> Problem {
        let problem = Problem::new(format!("`{}` is not an address", clip(text))).expected(examples::<Self>());
        match text.rsplit_once(':') {
            Some(("localhost", port)) => {
                problem.help(format!("\"127.0.0.1:{port}\" and \"[::1]:{port}\" are the local host"))
            }
            Some(("*", port)) => problem.help(format!("\":{port}\" listens on this port of every address")),
            _ => problem,
        }
    }
}

/// A nameserver: an address, with port 53 unless another is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nameserver(pub(crate) SocketAddr);

impl Written for Nameserver {
    const KIND: &'static str = "the address of a nameserver";
    const EXAMPLES: &'static [&'static str] = &["10.0.0.53", "10.0.0.53:5353", "[fd00::53]:53"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let address = socket(text, Some(53), |text| {
            Problem::new(format!("`{}` is not an address", clip(text)))
                .expected(examples::<Self>())
                .help("a nameserver is written as an address: its name could not be looked up without it")
        })?;
        match address.port() {
            0 => Err(Problem::new("port 0 is no port to ask").expected("a port from 1 to 65535")),
            _ => Ok(Self(address)),
        }
    }
}

/// An address with its port, or with the default one.
fn socket(text: &str, default: Option<u16>, otherwise: impl Fn(&str) -> Problem) -> Result<SocketAddr, Problem> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match (bare.parse::<IpAddr>(), default) {
        (Ok(address), Some(port)) => Ok((address, port).into()),
        (Ok(IpAddr::V4(address)), None) => {
            Err(Problem::new("an address without a port").help(format!("write \"{address}:443\", for example")))
        }
        (Ok(IpAddr::V6(address)), None) => {
            Err(Problem::new("an address without a port").help(format!("write \"[{address}]:443\", for example")))
        }
        (Err(_), _) => Err(otherwise(text)),
    }
}

pub(super) fn port(text: &str) -> Result<u16, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|port| digits && *port != 0)
        .ok_or_else(|| Problem::new(format!("`{}` is not a port", clip(text))).expected("a port from 1 to 65535"))
}

impl Written for IpAddr {
    const KIND: &'static str = "an IP address";
    const EXAMPLES: &'static [&'static str] = &["10.0.0.1", "fd00::1"];

    fn parse(text: &str) -> Result<Self, Problem> {
        text.parse()
            .map_err(|_| Problem::new(format!("`{}` is not an IP address", clip(text))).expected(examples::<Self>()))
    }
}

impl Written for IpNet {
    const KIND: &'static str = "a network";
    const EXAMPLES: &'static [&'static str] = &["10.0.0.0/8", "192.0.2.7", "fd00::/8"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let network: Self = text
            .parse()
            .map_err(|_| Problem::new(format!("`{}` is not a network", clip(text))).expected(examples::<Self>()))?;
        match network.trunc() {
            same if same == network => Ok(network),
            whole => Err(Problem::new(format!("`{text}` has bits beyond its prefix"))
                .help(format!("\"{whole}\" is the network, \"{}\" the address alone", network.addr()))),
        }
    }
}

impl Written for HostPattern {
    const KIND: &'static str = "a host";
    const EXAMPLES: &'static [&'static str] = &["shop.example.com", "*.example.com", "*"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(suffix) = text.strip_prefix("*.") {
            return match is_ip_like(suffix) {
                true => Err(Problem::new("addresses have no wildcards").help("`client` matches networks")),
                false => host_name(suffix).map(Self::Wildcard),
            };
        }
        if text.contains('*') {
            return Err(Problem::new(format!("`{}` has its `*` in the wrong place", clip(text)))
                .expected("`*` alone, or `*.` in front: \"*.example.com\" holds every name below example.com"));
        }
        host(text).map(Self::Exact)
    }
}

/// A host without port: a name, an IPv4 address, an IPv6 address in brackets; the form in which it is compared.
pub(super) fn host(text: &str) -> Result<String, Problem> {
    if let Some(inner) = text.strip_prefix('[') {
        return match inner.strip_suffix(']').map(str::parse::<Ipv6Addr>) {
            Some(Ok(address)) => Ok(format!("[{address}]")),
            _ if inner.contains("]:") => Err(with_port(text)),
            _ => Err(Problem::new(format!("`{}` is not an IPv6 address in brackets", clip(text)))),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(Problem::new("an IPv6 address as a host").help(format!("write it in brackets: \"[{text}]\"")));
    }
    if is_ip_like(text) {
        return match text.parse::<Ipv4Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Err(Problem::new(format!("`{}` is neither an address nor a name", clip(text)))
                .help("a name does not end in a number")),
        };
    }
    host_name(text)
}

/// A name as DNS has it: lower case, without the dot at its end. Underscores are common below private zones.
pub(super) fn host_name(text: &str) -> Result<String, Problem> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err(Problem::new("an empty host name"));
    }
    if name.contains("://") {
        return Err(Problem::new("a host, not a URL").help("leave out the scheme and what follows the name"));
    }
    if let Some((start, digits)) = name.rsplit_once(':')
        && !start.contains(':')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(with_port(text));
    }
    if name.contains('/') {
        return Err(Problem::new("a host, not a path").help("the path has a key of its own, `path`"));
    }
    if !name.is_ascii() {
        return Err(Problem::new(format!("`{}` has characters that DNS does not have", clip(text)))
            .help("write the name in its ASCII form, as browsers send it: `xn--...`"));
    }
    if name.len() > 253 {
        return Err(Problem::new("a host name of more than 253 bytes"));
    }
    for label in name.split('.') {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if label.is_empty() {
            return Err(Problem::new(format!("`{}` has an empty part between its dots", clip(text))));
        }
        if label.len() > 63 {
            return Err(Problem::new(format!("`{}` has a part of more than 63 bytes", clip(text))));
        }
        if let Some(odd) = label.bytes().find(|byte| !plain(*byte)) {
            return Err(Problem::new(format!("`{}` is not allowed in a host name", char::from(odd).escape_default()))
                .expected("letters, digits, hyphens, underscores and dots"));
        }
    }
    Ok(name.to_ascii_lowercase())
}

fn with_port(text: &str) -> Problem {
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    Problem::new("a host without its port is expected here").help(format!("write \"{}\"", clip(host)))
}

/// Whether the last label is a number: then the whole is an IPv4 address or nothing (WHATWG URL, "ends in a number").
pub(super) fn is_ip_like(text: &str) -> bool {
    let last = text.strip_suffix('.').unwrap_or(text).rsplit('.').next().unwrap_or_default();
    !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_means_both_families() {
        let bind = Bind::parse(":443").unwrap();
        assert_eq!(bind.addresses, ["0.0.0.0:443".parse().unwrap(), "[::]:443".parse().unwrap()]);
        assert!(Bind::parse("10.0.0.1").unwrap_err().help.unwrap().contains("10.0.0.1:443"));
        assert!(Bind::parse("localhost:80").is_err());
        assert!(Bind::parse(":0").is_err());
        assert!(Bind::parse(":+80").is_err());
    }

    #[test]
    fn nameservers_have_port_53_unless_written() {
        assert_eq!(Nameserver::parse("10.0.0.53").unwrap().0, "10.0.0.53:53".parse().unwrap());
        assert_eq!(Nameserver::parse("::1").unwrap().0, "[::1]:53".parse().unwrap());
        assert_eq!(Nameserver::parse("[::1]").unwrap().0, "[::1]:53".parse().unwrap());
        assert_eq!(Nameserver::parse("[::1]:5353").unwrap().0, "[::1]:5353".parse().unwrap());
        assert!(Nameserver::parse("dns.example").is_err());
    }

    #[test]
    fn networks_are_whole() {
        assert_eq!(IpNet::parse("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert!(IpNet::parse("10.1.2.3/8").unwrap_err().help.unwrap().contains("10.0.0.0/8"));
    }

    #[test]
    fn hosts_are_names_addresses_or_wildcards() {
        assert_eq!(HostPattern::parse("Shop.Example.COM.").unwrap(), HostPattern::Exact("shop.example.com".into()));
        assert_eq!(HostPattern::parse("*.example.com").unwrap(), HostPattern::Wildcard("example.com".into()));
        assert_eq!(HostPattern::parse("[::0001]").unwrap(), HostPattern::Exact("[::1]".into()));
        assert_eq!(HostPattern::parse("10.0.0.1").unwrap(), HostPattern::Exact("10.0.0.1".into()));
        for text in [
            "",
            "a..b",
            "a*.b",
            "a.*.b",
            "shop.example.com:443",
            "::1",
            "10.0.0.256",
            "bücher.example",
            "a b",
            "[::1",
            "*.10.0.0.1",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
