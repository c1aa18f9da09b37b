//! `[backend.NAME]`: one scheme for all endpoints, and who uses which backend.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::process::path;
use crate::{
    backend::{Backend, BackendTls, Balance, Origin, PassiveHealth, Pool, Scheme, Times},
    diagnostic::Sink,
    names::BackendName,
    raw::{self, At},
    source::Span,
};

/// The backends there are.
pub(super) struct Backends {
    all: BTreeMap<BackendName, Backend>,
    facts: BTreeMap<BackendName, Facts>,
    used: BTreeSet<BackendName>,
    /// Whether some could not be read, so that one that is missed may be among them.
    unsure: bool,
}

/// What others need to know about a backend.
#[derive(Clone, Copy)]
struct Facts {
    key: Span,
    /// The first readable endpoint.
    scheme: Option<(Scheme, Span)>,
}

/// What a backend is to be used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A route forwards requests.
    Http,
    /// A TCP listener copies bytes.
    Tcp,
    /// A route passes TLS through.
    Passthrough,
    /// A plugin makes requests.
    Plugin,
}

impl Backends {
    pub(super) fn check(file: &raw::File, out: &mut Sink<'_>) -> Self {
        let entries = file.backend.get().map(|map| map.entries.as_slice()).unwrap_or_default();
        let mut backends = Self {
            all: BTreeMap::new(),
            facts: BTreeMap::new(),
            used: BTreeSet::new(),
            unsure: file.backend.is_broken() || file.backend.get().is_some_and(|map| map.incomplete),
        };
        for entry in entries {
            let name = entry.key.value.clone();
            let scheme = entry.value.as_ref().and_then(|raw| {
                let checked = backend(&name, entry.span, raw, out);
                let scheme = first_scheme(raw);
                backends.all.insert(name.clone(), checked);
                scheme
            });
            backends.facts.insert(name, Facts { key: entry.key.span, scheme });
        }
        backends
    }

    /// Notes a use of a backend, and reports one that is not there or cannot be used so.
    pub(super) fn used(&mut self, name: &At<BackendName>, purpose: Use, out: &mut Sink<'_>) {
        self.used.insert(name.value.clone());
        let Some(facts) = self.facts.get(&name.value) else {
            if !self.unsure {
                let known = self.facts.keys().map(BackendName::as_str);
                super::unknown_name(name.span, "backend", name.value.as_str(), known, out);
            }
            return;
        };
        let Some((scheme, endpoint)) = facts.scheme else { return };
        let name_text = &name.value;
        match (purpose, scheme) {
            (Use::Http | Use::Plugin, Scheme::Tcp | Scheme::Tls) => {
                let user = if purpose == Use::Plugin { "this plugin" } else { "this route" };
                out.error(name.span, format!("backend `{name_text}` does not speak HTTP, and {user} does"))
                    .other(endpoint, "its endpoint")
                    .help(match scheme {
                        Scheme::Tls => "write its endpoints with `https://`",
                        _ => "write its endpoints with `http://`, `https://` or `h2c://`",
                    });
            }
            (Use::Tcp, Scheme::Http | Scheme::Https | Scheme::H2c) => {
                out.error(name.span, format!("backend `{name_text}` speaks HTTP, and this listener only copies bytes"))
                    .other(endpoint, "its endpoint")
                    .help("write its endpoints with `tcp://HOST:PORT`, or with `tls://HOST:PORT` to add TLS");
            }
            (Use::Passthrough, Scheme::Tcp) | (Use::Http | Use::Plugin | Use::Tcp, _) => {}
            (Use::Passthrough, _) => {
                out.error(name.span, format!("backend `{name_text}` cannot take connections that are passed through"))
                    .other(endpoint, "its endpoint")
                    .help("the client's TLS goes to the endpoint as it is: write its endpoints with `tcp://HOST:PORT`");
            }
        }
    }

    /// Backends that nothing uses.
    pub(super) fn unused(&self) -> impl Iterator<Item = (&BackendName, Span)> {
        self.facts.iter().filter(|(name, _)| !self.used.contains(*name)).map(|(name, facts)| (name, facts.key))
    }

    pub(super) fn finish(self) -> BTreeMap<BackendName, Backend> {
        self.all
    }
}

fn first_scheme(raw: &raw::Backend) -> Option<(Scheme, Span)> {
    let endpoints = raw.endpoints.get()?;
    endpoints.0.iter().find_map(|at| at.value.url.as_ref()).map(|url| (url.value.scheme, url.span))
}

fn backend(name: &BackendName, table: Span, raw: &raw::Backend, out: &mut Sink<'_>) -> Backend {
    let pool = raw.pool.get().cloned().unwrap_or_default();
    let time = raw.time.get().cloned().unwrap_or_default();
    let health = raw.health.get().cloned().unwrap_or_default();
    let tls = raw.tls.get().cloned().unwrap_or_default();

    let scheme = first_scheme(raw);
    one_scheme(raw, out);
    if let Some((Scheme::Http | Scheme::H2c | Scheme::Tcp, endpoint)) = scheme
        && let Some(key) = raw.tls.key
    {
        out.warn(key, format!("`tls` of backend `{name}` has no effect"))
            .other(endpoint, "there is no TLS to this endpoint")
            .help("write `https://` or `tls://`");
    }
    if tls.verify.get() == Some(&false)
        && let Some(key) = tls.verify.key
    {
        out.warn(
            key,
            format!("backend `{name}` believes any certificate: whoever is in between can read and change everything"),
        )
        .help("`ca = \"FILE\"` names the authority to believe");
    }
    let eject = health.eject.or(Duration::from_secs(1));
    let eject_max = health.eject_max.or(Duration::from_secs(60));
    if eject > eject_max
        && let Some(key) = health.eject.key.or(health.eject_max.key)
    {
        out.error(key, format!("`eject` ({eject:?}) is longer than `eject_max` ({eject_max:?})"));
    }
    Backend {
        name: name.clone(),
        at: out.sources.locate(table),
        endpoints: origins(raw, out),
        balance: raw.balance.or(Balance::RoundRobin),
        pool: Pool {
            idle: pool.idle.get().map_or(256, |idle| idle.to()),
            idle_time: pool.idle_time.or(Duration::from_secs(30)),
            connections: pool.connections.get().map_or(1024, |connections| connections.to()),
            streams: pool.streams.get().map_or(100, |streams| streams.to()),
        },
        time: Times {
            connect: time.connect.or(Duration::from_secs(5)),
            first_byte: time.first_byte.or(Duration::from_secs(60)),
            idle: time.idle.or(Duration::from_secs(300)),
            total: time.total.get().copied(),
        },
        health: PassiveHealth { errors: health.errors.get().map_or(3, |errors| errors.to()), eject, eject_max },
        retries: raw.retries.get().map_or(2, |retries| retries.to()),
        tls: BackendTls {
            ca: path(&tls.ca, out),
            sni: tls.sni.get().map(|name| name.0.clone()),
            verify: tls.verify.or(true),
        },
        proxy_protocol: raw.proxy_protocol.get().copied(),
        allow_local: raw.allow_local.or(false),
    }
}

fn origins(raw: &raw::Backend, out: &Sink<'_>) -> Vec<Origin> {
    let endpoints = raw.endpoints.get().map(|endpoints| endpoints.0.as_slice()).unwrap_or_default();
    let origins = endpoints.iter().filter_map(|at| {
        let url = at.value.url.as_ref()?;
        Some(Origin {
            at: out.sources.locate(url.span),
            scheme: url.value.scheme,
            host: url.value.host.clone(),
            port: url.value.port,
            weight: at.value.weight,
        })
    });
    origins.collect()
}

/// All endpoints speak alike, and none is there twice.
fn one_scheme(raw: &raw::Backend, out: &mut Sink<'_>) {
    let endpoints = raw.endpoints.get().map(|endpoints| endpoints.0.as_slice()).unwrap_or_default();
    let mut urls = endpoints.iter().filter_map(|at| at.value.url.as_ref()).peekable();
    let Some(first) = urls.peek().copied() else { return };
    let mut seen = std::collections::HashMap::new();
    for url in urls {
        if url.value.scheme != first.value.scheme {
            out.error(url.span, "the endpoints of one backend speak alike; this one has another scheme")
                .other(first.span, "than this one")
                .help("make two backends, and a route with `backends` to share between them");
        }
        if let Some(other) = seen.insert((&url.value.host, url.value.port), url.span) {
            out.error(url.span, "this endpoint is here twice")
                .other(other, "the first one is here")
                .help("`{ url = \"...\", weight = 2 }` gives it a larger share");
        }
    }
}
