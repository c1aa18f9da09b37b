//! Reading `X-Forwarded-For` and `Forwarded` as trusted proxies send them.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue, header};

use super::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::http::target::Authority;

/// One proxy's word about who spoke to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// Port 0 where none is named.
    pub(super) address: SocketAddr,
    /// Whether it was spoken to by https.
    pub(super) https: Option<bool>,
    /// The host that was asked for.
    pub(super) host: Option<String>,
}

/// A chain of proxies, the nearest last. What cannot be read is `None`: whoever stands left of it is unknown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain(Vec<Option<Hop>>);

/// More proxies than this in a row are not believed.
const HOPS: usize = 32;

impl Chain {
    /// The chain in a request's fields, if there is one.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(X_FORWARDED_FOR) {
            // One proxy is meant to set these two, about what the client asked for: a list says that several did, and
            // then nobody knows whose the first is.
            let https = single(headers, &X_FORWARDED_PROTO).and_then(scheme);
            let host = single(headers, &X_FORWARDED_HOST).and_then(host);
            let mut chain = Self::collect(headers, &X_FORWARDED_FOR, |element| {
                Some(Hop { address: address(element)?, https: None, host: None })
            });
            for hop in chain.0.iter_mut().flatten() {
                (hop.https, hop.host) = (https, host.clone());
            }
            Some(chain)
        } else if headers.contains_key(header::FORWARDED) {
            Some(Self::collect(headers, &header::FORWARDED, forwarded_element))
        } else {
            None
        }
    }

    /// The rightmost elements, at most [`HOPS`].
    fn collect(headers: &HeaderMap, name: &http::HeaderName, read: impl Fn(&str) -> Option<Hop>) -> Self {
        let mut hops = Vec::new();
        let values: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
        for value in values.into_iter().rev() {
            let Ok(text) = value.to_str() else {
                hops.push(None);
                break;
            };
            let Some(elements) = split_quoted(text, b',') else {
                hops.push(None);
                break;
            };
            hops.extend(elements.into_iter().rev().take(HOPS).map(&read));
            if hops.len() >= HOPS {
                break;
            }
        }
        hops.truncate(HOPS);
        hops.reverse();
        Self(hops)
    }

    /// The client and the trusted proxies behind it: from the right, up to the first address that is not trusted. Up to the last
    /// one that can be read where all are trusted, or where one cannot be read.
    pub(super) fn until_client(self, trusted: impl Fn(IpAddr) -> bool) -> Vec<Hop> {
        let mut hops = Vec::new();
        for hop in self.0.into_iter().rev() {
            let Some(hop) = hop else { break };
            let go_on = trusted(hop.address.ip());
            hops.push(hop);
            if !go_on {
                break;
            }
        }
        hops.reverse();
        hops
    }
}

/// Splits at `separator` outside of quoted strings; `None` when a quote is not closed.
fn split_quoted(text: &str, separator: u8) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == separator && !quoted => {
                parts.push(text[start..at].trim_ascii());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim_ascii());
    (!quoted).then_some(parts)
}

/// RFC 7239 section 4: pairs with semicolons between them. An element without an address that can be read is `None`.
fn forwarded_element(element: &str) -> Option<Hop> {
    let (mut found, mut https, mut named) = (None, None, None);
    for pair in split_quoted(element, b';')? {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = unquote(value)?;
        if name.eq_ignore_ascii_case("for") {
            found = Some(address(&value)?);
        } else if name.eq_ignore_ascii_case("proto") {
            https = scheme(&value);
        } else if name.eq_ignore_ascii_case("host") {
            named = host(&value);
        }
    }
    Some(Hop { address: found?, https, host: named })
}

/// The value of a token or a quoted string.
fn unquote(value: &str) -> Option<String> {
    let Some(inside) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let inside = inside.strip_suffix('"')?;
    let (mut text, mut escaped) = (String::with_capacity(inside.len()), false);
    for character in inside.chars() {
        if character == '\\' && !escaped {
            escaped = true;
        } else {
            text.push(character);
            escaped = false;
        }
    }
    Some(text)
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`. Not `unknown`, and not the names that RFC 7239
/// section 6.3 lets proxies hide behind: nothing can be decided by those.
fn address(text: &str) -> Option<SocketAddr> {
    let address = if let Ok(address) = text.parse::<IpAddr>() {
        SocketAddr::new(address, 0)
    } else if let Ok(address) = text.parse::<SocketAddr>() {
        address
    } else {
        SocketAddr::new(IpAddr::V6(text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?), 0)
    };
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn scheme(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("https") => Some(true),
        _ if text.eq_ignore_ascii_case("http") => Some(false),
        _ => None,
    }
}

fn host(text: &str) -> Option<String> {
    Authority::parse(text).is_ok().then(|| text.to_owned())
}

/// The value of a field that is there once.
fn single<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
