//! What a certificate is for: a DNS name, a wildcard, an address.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// A name that a certificate can be ordered for. Lower case, ASCII, without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// `shop.example.com`.
    Name(Arc<str>),
    /// `*.example.com`, without its `*.`. Only dns-01 can prove it (RFC 8555 section 7.1.3).
    Wildcard(Arc<str>),
    /// RFC 8738.
    Address(IpAddr),
}

/// Why no public authority gives a certificate for a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No name at all.
    #[error("{name:?} is no host name: {reason}")]
    Malformed {
        /// As given, cut after 100 characters.
        name: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A name that only means something in a private place.
    #[error(
        "{name} is not public ({reason}): no public authority gives a certificate for it; import one, or use tls = {{ local = true }}"
    )]
    Private {
        /// The name.
        name: String,
        /// What makes it private.
        reason: &'static str,
    },
}

/// Suffixes that are not delegated in the public DNS, with the document that says so.
const PRIVATE: &[(&str, &str)] = &[
    ("localhost", "RFC 6761"),
    ("local", "multicast DNS, RFC 6762"),
    ("test", "RFC 6761"),
    ("example", "RFC 6761"),
    ("invalid", "RFC 6761"),
    ("home.arpa", "RFC 8375"),
    ("internal", "reserved by ICANN for private use"),
    ("onion", "RFC 7686"),
    ("alt", "RFC 9476"),
];

impl Subject {
    /// Reads `name`, `*.name` or an address, in any case.
    ///
    /// # Errors
    /// When it is none of them (RFC 1123 section 2.1: letters, digits and hyphens; 63 bytes a label, 253 in all; `_` is not allowed
    /// in certificates).
    pub fn parse(text: &str) -> Result<Self, Unfit> {
        let malformed = |reason| Unfit::Malformed { name: text.chars().take(100).collect(), reason };
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(Self::Address(address));
        }
        let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (wildcard, name) = match lower.strip_prefix("*.") {
            Some(parent) => (true, parent),
            None => (false, lower.as_str()),
        };
        if name.is_empty() {
            return Err(malformed("it is empty"));
        }
        if name.len() > 253 {
            return Err(malformed("it is longer than 253 bytes"));
        }
        for label in name.split('.') {
            if label.is_empty() {
                return Err(malformed("a label is empty"));
            }
            if label.len() > 63 {
                return Err(malformed("a label is longer than 63 bytes"));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(malformed("a label begins or ends with a hyphen"));
            }
            if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return Err(malformed(
                    "labels are of letters, digits and hyphens; other scripts are written as xn--...",
                ));
            }
        }
        if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(malformed("its last label is a number"));
        }
        Ok(if wildcard { Self::Wildcard(name.into()) } else { Self::Name(name.into()) })
    }

    /// Whether a public authority could give a certificate for it at all.
    ///
    /// # Errors
    /// The reason why not.
    pub fn public(&self) -> Result<(), Unfit> {
        let private = |reason| Err(Unfit::Private { name: self.to_string(), reason });
        match self {
            Self::Address(IpAddr::V4(address)) if !public_v4(*address) => {
                private("an address of a private or special range")
            }
            Self::Address(IpAddr::V6(address)) if !public_v6(*address) => {
                private("an address of a private or special range")
            }
            Self::Address(_) => Ok(()),
            Self::Name(name) | Self::Wildcard(name) => {
                for (suffix, reason) in PRIVATE {
                    if name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) {
                        return private(reason);
                    }
                }
                if name.contains('.') { Ok(()) } else { private("it has a single label") }
            }
        }
    }

    /// The name whose `_acme-challenge` record proves it; none for an address.
    pub fn dns(&self) -> Option<&str> {
        match self {
            Self::Name(name) | Self::Wildcard(name) => Some(name),
            Self::Address(_) => None,
        }
    }

    /// Whether a certificate for it is good for `host` (lower case).
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Name(name) => **name == *host,
            Self::Wildcard(parent) => {
                host.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && *rest == **parent)
            }
            Self::Address(address) => host.trim_start_matches('[').trim_end_matches(']').parse() == Ok(*address),
        }
    }
}

/// Not in one of the ranges of RFC 6890 and its successors that are not globally reachable.
fn public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0xfe == 18)
        || a >= 240)
}

/// Global unicast (RFC 4291: 2000::/3) without documentation, benchmarking and what embeds private IPv4.
fn public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    first & 0xe000 == 0x2000
        && !(first == 0x2001 && (second == 0x0db8 || second < 0x0200))
        && !(first == 0x3fff && second < 0x1000)
}

/// As it stands in certificates, in logs and in names of documents.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_wildcards_and_addresses_are_told_apart() {
        assert_eq!(Subject::parse("Shop.Example.COM."), Ok(Subject::Name("shop.example.com".into())));
        assert_eq!(Subject::parse("*.example.com"), Ok(Subject::Wildcard("example.com".into())));
        assert_eq!(Subject::parse("[2606:4700::1]").unwrap().to_string(), "2606:4700::1");
        assert_eq!(Subject::parse("9.9.9.9").unwrap().to_string(), "9.9.9.9");
    }

    #[test]
    fn what_is_no_name_says_why() {
        for (text, reason) in [
            ("", "it is empty"),
            ("a..b", "a label is empty"),
            ("-a.b", "a label begins or ends with a hyphen"),
            ("a_b.example.com", "labels are of letters"),
            ("a.*.example.com", "labels are of letters"),
            ("1.2.3.4.5", "its last label is a number"),
        ] {
            let error = Subject::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(Subject::parse(&"a".repeat(64)).is_err());
        assert!(Subject::parse(&["a"; 128].join(".")).is_err());
    }

    #[test]
    fn private_names_and_addresses_are_not_ordered() {
        for text in [
            "localhost",
            "a.internal",
            "b.home.arpa",
            "router",
            "10.0.0.1",
            "100.64.1.1",
            "::1",
            "fd00::1",
            "2001:db8::1",
        ] {
            assert!(matches!(Subject::parse(text).unwrap().public(), Err(Unfit::Private { .. })), "{text}");
        }
        for text in ["example.com", "*.example.com", "notlocal.io", "9.9.9.9", "2606:4700::1111"] {
            assert_eq!(Subject::parse(text).unwrap().public(), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        let wildcard = Subject::parse("*.example.com").unwrap();
        assert!(wildcard.covers("a.example.com"));
        assert!(!wildcard.covers("a.b.example.com"));
        assert!(!wildcard.covers("example.com"));
        assert!(!wildcard.covers(".example.com"));
    }
}
