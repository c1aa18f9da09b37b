//! `[[listener]]`: names and addresses that are there once, private addresses, TLS and TCP with what belongs to them.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;

use super::{
    backends::{Backends, Use},
    certificates::Certificates,
    limits::limits,
};
use crate::{
    diagnostic::Sink,
    limits::Limits,
    listener::{Listener, ListenerTls, Protocol, TlsVersion, UnknownSni},
    names::ListenerName,
    network::Networks,
    raw::{self, At, Field, Proto, Unknown},
    source::Span,
};

/// The listeners there are.
pub(super) struct Listeners {
    all: Vec<Checked>,
    by_name: HashMap<ListenerName, usize>,
    /// Whether some could not be read, so that one that is missed may be among them.
    unsure: bool,
}

/// A listener, and where its parts are written.
pub(super) struct Checked {
    pub(super) listener: Listener,
    /// Its `tls` key.
    pub(super) tls: Option<Span>,
    /// Its name, or its table.
    pub(super) named: Span,
}

impl Listeners {
    pub(super) fn check(
        file: &raw::File,
        base: &Limits,
        certificates: &Certificates,
        backends: &mut Backends,
        out: &mut Sink<'_>,
    ) -> Self {
        let tables = file.listener.get().map(|tables| tables.0.as_slice()).unwrap_or_default();
        let mut listeners =
            Self { all: Vec::new(), by_name: HashMap::new(), unsure: file.listener.is_broken() || tables.is_empty() };
        let mut bound = Bound::default();
        for at in tables {
            listeners.unsure |= at.value.name.is_broken() || at.value.address.is_broken();
            bound.add(&at.value, out);
            let checked = listener(at, base, certificates, backends, out);
            listeners.add(checked, at.value.name.is_written(), out);
        }
        listeners
    }

    fn add(&mut self, checked: Checked, has_name: bool, out: &mut Sink<'_>) {
        let name = checked.listener.name.clone();
        match self.by_name.get(&name) {
            Some(first) => {
                // Two without names share an address then, which is reported as such.
                if has_name {
                    out.error(checked.named, format!("two listeners are called `{name}`"))
                        .other(self.all[*first].named, "the first one is here");
                }
            }
            None => {
                self.by_name.insert(name, self.all.len());
            }
        }
        self.all.push(checked);
    }

    /// The listener of this name; one that is not there is reported.
    pub(super) fn find(&self, name: &At<ListenerName>, out: &mut Sink<'_>) -> Option<&Checked> {
        let found = self.by_name.get(&name.value).map(|index| &self.all[*index]);
        if found.is_none() && !self.unsure {
            let known = self.all.iter().map(|checked| checked.listener.name.as_str());
            super::unknown_name(name.span, "listener", name.value.as_str(), known, out);
        }
        found
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Checked> + Clone {
        self.all.iter()
    }

    /// Whether some could not be read.
    pub(super) fn is_unsure(&self) -> bool {
        self.unsure
    }

    pub(super) fn finish(self) -> Vec<Listener> {
        self.all.into_iter().map(|checked| checked.listener).collect()
    }
}

impl Checked {
    pub(super) fn speaks_http(&self) -> bool {
        self.listener.protocol == Protocol::Http
    }
}

fn listener(
    at: &At<raw::Listener>,
    base: &Limits,
    certificates: &Certificates,
    backends: &mut Backends,
    out: &mut Sink<'_>,
) -> Checked {
    let raw = &at.value;
    let binds = raw.address.get().map(|address| address.0.as_slice()).unwrap_or_default();
    let name = match (raw.name.get(), binds.first()) {
        (Some(name), _) => name.clone(),
        (None, Some(bind)) => ListenerName::new(&bind.value.written),
        (None, None) => ListenerName::new(""),
    };
    let addresses = binds.iter().flat_map(|bind| bind.value.addresses.iter().copied()).collect();
    if raw.private.get() == Some(&true) {
        for bind in binds {
            private(bind, raw.private.key, out);
        }
    }
    let listener = Listener {
        name,
        at: out.sources.locate(at.span),
        addresses,
        protocol: protocol(at, backends, out),
        tls: raw.tls.get().map(|tls| ListenerTls {
            min_version: tls.min_version.or(TlsVersion::Tls12),
            unknown_sni: match tls.unknown_sni.get() {
                None | Some(Unknown::Refuse) => UnknownSni::Refuse,
                Some(Unknown::Certificate(name)) => {
                    certificates.expect(name, out);
                    UnknownSni::Certificate(name.value.clone())
                }
            },
            handshake_time: tls.handshake_time.or(Duration::from_secs(10)),
            h2: tls.h2.or(true),
            local: tls.local.or(false),
        }),
        proxy_protocol: networks(&raw.proxy_protocol),
        allow: networks(&raw.allow),
        deny: networks(&raw.deny),
        private: raw.private.or(false),
        connections: raw.connections.get().map_or(16384, |connections| connections.to()),
        trusted: networks(&raw.trusted),
        limits: limits(raw.limits.get(), base.clone()),
    };
    Checked { listener, tls: raw.tls.key, named: raw.name.value.as_ref().map_or(at.span, |name| name.span) }
}

/// `protocol`, and the keys that only one of the two has.
fn protocol(at: &At<raw::Listener>, backends: &mut Backends, out: &mut Sink<'_>) -> Protocol {
    let raw = &at.value;
    match raw.protocol.or(Proto::Http) {
        Proto::Http => {
            if let Some(key) = raw.backend.key
                && !raw.protocol.is_broken()
            {
                out.error(key, "a listener that speaks HTTP has no backend of its own")
                    .help("write a `[[route]]` with this backend, or `protocol = \"tcp\"` to copy bytes to it");
            }
            Protocol::Http
        }
        Proto::Tcp => {
            if let Some(key) = raw.tls.key {
                out.error(key, "a `tcp` listener copies bytes as they are: it cannot terminate TLS")
                    .help("leave out `tls`, or leave out `protocol` to speak HTTP inside TLS");
            }
            if let Some(key) = raw.trusted.key {
                out.error(key, "a `tcp` listener sees no `Forwarded` fields").help("leave out `trusted`");
            }
            match &raw.backend.value {
                Some(backend) => {
                    backends.used(backend, Use::Tcp, out);
                    Protocol::Tcp { backend: backend.value.clone() }
                }
                None => {
                    if !raw.backend.is_written() {
                        out.error(at.span, "a `tcp` listener needs `backend`")
                            .expected("the name of a backend whose endpoints are written with `tcp://` or `tls://`");
                    }
                    // Only what comes after a mistake: it is in the report, and this value is never used.
                    Protocol::Http
                }
            }
        }
    }
}

fn networks(field: &Field<raw::List<IpNet>>) -> Networks {
    Networks(field.get().map(|list| list.0.iter().map(|at| at.value).collect()).unwrap_or_default())
}

fn private(bind: &At<raw::Bind>, key: Option<Span>, out: &mut Sink<'_>) {
    for address in &bind.value.addresses {
        if is_private(address.ip()) {
            continue;
        }
        let (message, help) = match address.ip().is_unspecified() {
            true => ("a private listener cannot listen on every address", "name the private address"),
            false => (
                "a private listener cannot listen on a public address",
                "name a private address, or leave out `private`",
            ),
        };
        let draft = out.error(bind.span, message);
        draft.expected("an address in a loopback, link-local, RFC 1918, RFC 4193 or RFC 6598 range").help(help);
        if let Some(key) = key {
            draft.other(key, "private by this");
        }
        return;
    }
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            // RFC 6598: 100.64.0.0/10, shared by carriers and overlay networks.
            address.is_loopback() || address.is_private() || address.is_link_local() || (a == 100 && b & 0xC0 == 64)
        }
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// The addresses that listeners have so far, by family and port.
#[derive(Default)]
struct Bound(HashMap<(bool, u16), Port>);

#[derive(Default)]
struct Port {
    unspecified: Option<Span>,
    /// The first specific address, for an unspecified one that comes later.
    first: Option<Span>,
    specific: HashMap<SocketAddr, Span>,
}

impl Bound {
    fn add(&mut self, raw: &raw::Listener, out: &mut Sink<'_>) {
        let binds = raw.address.get().map(|address| address.0.as_slice()).unwrap_or_default();
        let own = |span: Span| binds.iter().any(|bind| bind.span == span);
        for bind in binds {
            for address in &bind.value.addresses {
                let Some(other) = self.taken(*address, bind.span) else { continue };
                match own(other) {
                    true => {
                        out.error(bind.span, format!("{address} is here twice")).other(other, "it is in this already")
                    }
                    false => out
                        .error(bind.span, format!("two listeners want {address}"))
                        .other(other, "the first one is here")
                        .help("one listener can serve many hosts; routes tell them apart"),
                };
                break;
            }
        }
    }

    /// Takes an address; says who has it, or one that overlaps, already.
    fn taken(&mut self, address: SocketAddr, span: Span) -> Option<Span> {
        let port = self.0.entry((address.is_ipv4(), address.port())).or_default();
        if address.ip().is_unspecified() {
            let taken = port.unspecified.or(port.first);
            port.unspecified.get_or_insert(span);
            return taken;
        }
        let taken = port.unspecified.or(port.specific.get(&address).copied());
        port.first.get_or_insert(span);
        port.specific.entry(address).or_insert(span);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_ranges_are_those_of_the_rfcs() {
        for text in [
            "127.0.0.1",
            "10.1.1.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(is_private(text.parse().unwrap()), "{text}");
        }
        for text in ["0.0.0.0", "8.8.8.8", "172.32.0.1", "100.128.0.1", "::", "2001:db8::1"] {
            assert!(!is_private(text.parse().unwrap()), "{text}");
        }
    }
}
