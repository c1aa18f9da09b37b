//! Who the client is behind trusted proxies, and what the backend is told of it: `X-Forwarded-For`, `-Proto`, `-Host` and
//! `Forwarded` (RFC 7239).
//!
//! What comes from a peer that is not trusted is replaced, and so are `X-Real-IP` and `X-Forwarded-Port`, which
//! backends believe as well. From a trusted peer the chain of addresses is read from its right end, over trusted proxies, to the first
//! address that is not one: the client. What stands left of that was written by the client and is cut off.

mod parse;

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    sync::OnceLock,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use portcullis_config::network::Networks;

/// What is the same for every exchange of a connection, made once.
#[derive(Debug)]
pub struct ConnectionHeaders {
    peer: SocketAddr,
    https: bool,
    trusted: bool,
    /// The peer's address.
    address: HeaderValue,
    /// Values for the first host that the connection asked for: mostly it asks for no other.
    host: OnceLock<HostHeaders>,
}

#[derive(Clone, Debug)]
struct HostHeaders {
    host: Box<str>,
    x_host: HeaderValue,
    forwarded: HeaderValue,
}

/// Who asks, and how.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The client: the peer, or what trusted proxies say. The port is 0 where they do not name it.
    pub client: SocketAddr,
    /// Whether the client came by https, to us or to the first trusted proxy.
    pub https: bool,
    /// What trusted proxies added, if any did.
    told: Option<Box<Told>>,
}

/// What trusted proxies told.
#[derive(Clone, Debug)]
struct Told {
    /// The client's address and the trusted ones behind it, without the peer.
    chain: String,
    /// The host that the client asked for, where they name one.
    host: Option<String>,
}

impl ConnectionHeaders {
    /// For a connection from `peer` (after a PROXY header), by https or not; `trusted` are the listener's.
    pub fn new(peer: SocketAddr, https: bool, trusted: &Networks) -> Self {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Self {
            peer,
            https,
            trusted: trusted.contains(peer.ip()),
            address: value(peer.ip().to_string()),
            host: OnceLock::new(),
        }
    }

    /// Who asks, by a request's fields as they came. Looks at none of them unless the peer is trusted. Where a trusted peer sends both
    /// `X-Forwarded-For` and `Forwarded`, the first counts: most proxies set that alone, and pass the other on
    /// as a client wrote it.
    pub fn origin(&self, headers: &HeaderMap, trusted: &Networks) -> Origin {
        let mut origin = Origin { client: self.peer, https: self.https, told: None };
        if !self.trusted {
            return origin;
        }
        let chain = match parse::Chain::read(headers) {
            Some(chain) => chain,
            None => return origin,
        };
        let hops = chain.until_client(|address| trusted.contains(address));
        let Some(client) = hops.first() else { return origin };
        origin.client = client.address;
        if let Some(https) = client.https {
            origin.https = https;
        }
        let mut text = String::new();
        for hop in &hops {
            text.push_str(&hop.address.ip().to_string());
            text.push_str(", ");
        }
        origin.told = Some(Box::new(Told { chain: text, host: client.host.clone() }));
        origin
    }

    /// Sets what the backend is told. `host` is the authority that the request came with, as it was written; empty where there was none.
    pub fn set(&self, origin: &Origin, host: &str, headers: &mut HeaderMap) {
        // Mostly neither is there; one look at the lengths is cheaper than two look-ups.
        if headers.keys().any(|name| matches!(name.as_str().len(), 9 | 16)) {
            headers.remove(X_REAL_IP);
            headers.remove(X_FORWARDED_PORT);
        }
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(if origin.https { "https" } else { "http" }));
        let Some(told) = &origin.told else {
            headers.insert(X_FORWARDED_FOR, self.address.clone());
            let made;
            let known = match self.host.get_or_init(|| self.host_headers(host)) {
                known if *known.host == *host => known,
                _ => {
                    made = self.host_headers(host);
                    &made
                }
            };
            if host.is_empty() {
                headers.remove(X_FORWARDED_HOST);
            } else {
                headers.insert(X_FORWARDED_HOST, known.x_host.clone());
            }
            headers.insert(header::FORWARDED, known.forwarded.clone());
            return;
        };
        let peer = self.peer.ip();
        headers.insert(X_FORWARDED_FOR, value(format!("{}{peer}", told.chain)));
        let host = told.host.as_deref().unwrap_or(host);
        if host.is_empty() {
            headers.remove(X_FORWARDED_HOST);
        } else {
            headers.insert(X_FORWARDED_HOST, value(host.to_owned()));
        }
        let mut forwarded = element(origin.client.ip(), host, origin.https);
        forwarded.push_str(", for=");
        forwarded.push_str(&node(peer));
        headers.insert(header::FORWARDED, value(forwarded));
    }

    fn host_headers(&self, host: &str) -> HostHeaders {
        HostHeaders {
            host: host.into(),
            x_host: value(host.to_owned()),
            forwarded: value(element(self.peer.ip(), host, self.https)),
        }
    }
}

/// An element of `Forwarded`.
fn element(client: IpAddr, host: &str, https: bool) -> String {
    let mut element = format!("for={}", node(client));
    if !host.is_empty() {
        // Of what a host may hold, a colon or a bracket is what makes quotes needed.
        let quote = if host.contains([':', '[']) { "\"" } else { "" };
        for part in [";host=", quote, host, quote] {
            element.push_str(part);
        }
    }
    element.push_str(if https { ";proto=https" } else { ";proto=http" });
    element
}

/// An address as `Forwarded` has it.
fn node(address: IpAddr) -> Cow<'static, str> {
    match address {
        IpAddr::V4(address) => address.to_string().into(),
        IpAddr::V6(address) => format!("\"[{address}]\"").into(),
    }
}

/// Addresses and checked hosts are visible ASCII; anything else would be left out of what the backend gets.
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

#[cfg(test)]
mod tests;
