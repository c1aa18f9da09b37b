//! Which host a request is for: `Host`, `:authority` and the authority of an absolute target, checked and made alike.
//!
//! What is taken is narrower than RFC 3986: a host is a name of letters, digits, `-`, `_` and `.`, an IPv4 address, or an IPv6
//! address in brackets. No user name, no percent-encoding, no zone identifier, no empty port: two programs could read
//! those differently.

use std::{borrow::Cow, net::Ipv6Addr};

use http::{HeaderMap, header};

use super::bytes;

/// A host and, where one was written, a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// Lower case, without a trailing dot; an IPv6 address in brackets, in the form of RFC 5952.
    pub host: Cow<'a, str>,
    /// As written; 1 to 65535.
    pub port: Option<u16>,
}

/// Why a host cannot be taken. Answered with 400 (RFC 9112 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAuthority(
    /// One sentence, no trailing full stop.
    pub &'static str,
);

/// Longest name that DNS can hold (RFC 1035 section 2.3.4), as text.
const NAME_LENGTH: usize = 253;

impl<'a> Authority<'a> {
    /// Reads `host[:port]`. Allocates only for upper-case letters and for IPv6 addresses not written as RFC 5952 says.
    ///
    /// # Errors
    /// When it is empty or anything but a host with an optional port.
    pub fn parse(raw: &'a str) -> Result<Self, BadAuthority> {
        let (host, port) = split(raw.as_bytes())?;
        // `split` takes ASCII only, so its cut is a character boundary.
        let host = &raw[..host.len()];
        if host.starts_with('[') {
            let address = ipv6(host.as_bytes())?;
            let text = format!("[{address}]");
            return Ok(Self { host: if text == host { host.into() } else { text.into() }, port });
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.bytes().any(|b| b.is_ascii_uppercase()) {
            return Ok(Self { host: host.to_ascii_lowercase().into(), port });
        }
        Ok(Self { host: host.into(), port })
    }

    /// Whether both lead to the same host and port, a port that is not written being `default_port`.
    pub fn agrees(&self, other: &Authority<'_>, default_port: u16) -> bool {
        self.host == other.host && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }
}

/// The host a request is for: `authority` (of an HTTP/2 request or of an absolute target) and `Host`. `None` when there is
/// neither, which only HTTP/1.0 may do.
///
/// # Errors
/// When one of them cannot be taken, when there are several `Host` fields, and when both are there and lead to different places (RFC
/// 9113 section 8.3.1 lets a server treat that as malformed).
pub fn of_request<'a>(
    authority: Option<&'a str>,
    headers: &'a HeaderMap,
    default_port: u16,
) -> Result<Option<Authority<'a>>, BadAuthority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match hosts.next() {
        None => None,
        Some(value) => {
            let text = value.to_str().map_err(|_| BadAuthority("Host holds a byte that no host name has"))?;
            Some(Authority::parse(text)?)
        }
    };
    if hosts.next().is_some() {
        return Err(BadAuthority("several Host fields"));
    }
    let Some(authority) = authority else { return Ok(host) };
    let authority = Authority::parse(authority)?;
    match host {
        Some(host) if !host.agrees(&authority, default_port) => {
            Err(BadAuthority("Host and the target's authority differ"))
        }
        _ => Ok(Some(authority)),
    }
}

/// Cuts `host[:port]` and checks both; the host as written, brackets and trailing dot included.
pub(crate) fn split(raw: &[u8]) -> Result<(&[u8], Option<u16>), BadAuthority> {
    let (host, port) = if raw.first() == Some(&b'[') {
        let end = memchr::memchr(b']', raw).ok_or(BadAuthority("a host with an unclosed bracket"))?;
        let (host, rest) = raw.split_at(end + 1);
        ipv6(host)?;
        match rest {
            [] => (host, None),
            [b':', port @ ..] => (host, Some(port)),
            _ => return Err(BadAuthority("something other than a port after an IPv6 address")),
        }
    } else {
        let end = raw.iter().position(|&b| !bytes::is_host(b)).unwrap_or(raw.len());
        let (host, rest) = raw.split_at(end);
        name(host)?;
        match rest {
            [] => (host, None),
            [b':', port @ ..] => (host, Some(port)),
            [b'@', ..] => return Err(BadAuthority("a user name before the host")),
            _ => return Err(BadAuthority("a byte that no host name has")),
        }
    };
    Ok((host, port.map(parse_port).transpose()?))
}

fn name(host: &[u8]) -> Result<(), BadAuthority> {
    let host = host.strip_suffix(b".").unwrap_or(host);
    if host.is_empty() {
        return Err(BadAuthority("an empty host"));
    }
    if host.len() > NAME_LENGTH {
        return Err(BadAuthority("a host of more than 253 bytes"));
    }
    if host[0] == b'.' || host[host.len() - 1] == b'.' || memchr::memmem::find(host, b"..").is_some() {
        return Err(BadAuthority("a host with an empty label"));
    }
    Ok(())
}

/// `host` begins with a bracket and ends with the first closing one.
fn ipv6(host: &[u8]) -> Result<Ipv6Addr, BadAuthority> {
    let inside = &host[1..host.len() - 1];
    std::str::from_utf8(inside)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(BadAuthority("brackets around something that is no IPv6 address"))
}

fn parse_port(digits: &[u8]) -> Result<u16, BadAuthority> {
    const BAD: BadAuthority = BadAuthority("a port that is no number from 1 to 65535");
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    let number = digits.iter().fold(0u32, |number, digit| number * 10 + u32::from(digit - b'0'));
    u16::try_from(number).ok().filter(|&port| port != 0).ok_or(BAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(raw: &str) -> (String, Option<u16>) {
        let authority = Authority::parse(raw).unwrap();
        (authority.host.into_owned(), authority.port)
    }

    #[test]
    fn hosts_are_made_alike() {
        assert_eq!(parsed("Shop.Example.COM:8443"), ("shop.example.com".into(), Some(8443)));
        assert_eq!(parsed("shop.example.com."), ("shop.example.com".into(), None));
        assert_eq!(parsed("my_app"), ("my_app".into(), None));
        assert_eq!(parsed("127.0.0.1:80"), ("127.0.0.1".into(), Some(80)));
        assert_eq!(parsed("[2001:DB8:0:0::1]:443"), ("[2001:db8::1]".into(), Some(443)));
        assert!(matches!(Authority::parse("example.com").unwrap().host, Cow::Borrowed(_)));
        assert!(matches!(Authority::parse("[::1]").unwrap().host, Cow::Borrowed(_)));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for raw in [
            "",
            ".",
            ":80",
            "a..b",
            ".a",
            "a:",
            "a:0",
            "a:65536",
            "a:080000",
            "a:8a",
            "a b",
            "a,b",
            "user@a",
            "a/b",
            "a%41",
            "[::1",
            "[::1]x",
            "[]",
            "[fe80::1%eth0]",
            "[::1]:",
            "a:1:2",
            "ä",
            "a\0",
            "a\\b",
            "a?b",
            "a#b",
        ] {
            assert!(Authority::parse(raw).is_err(), "{raw:?}");
        }
        assert!(Authority::parse(&"a".repeat(254)).is_err());
        assert!(Authority::parse(&"a".repeat(253)).is_ok());
    }

    #[test]
    fn authority_and_host_must_agree() {
        let mut headers = HeaderMap::new();
        assert_eq!(of_request(None, &headers, 443), Ok(None));
        assert_eq!(of_request(Some("A"), &headers, 443).unwrap().unwrap().host, "a");
        headers.insert("host", "a:443".parse().unwrap());
        assert_eq!(of_request(Some("A."), &headers, 443).unwrap().unwrap().host, "a");
        assert!(of_request(Some("a"), &headers, 80).is_err());
        assert!(of_request(Some("b"), &headers, 443).is_err());
        headers.append("host", "a:443".parse().unwrap());
        assert!(of_request(None, &headers, 443).is_err());
    }
}
