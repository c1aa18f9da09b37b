//! `[acme]`: authorities that are there once, with what they need.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    time::Duration,
};

use super::process::path;
use crate::{
    acme::{Acme, Authority, Binding, Challenge, DnsUpdate, KeyKind, Secret, TsigAlgorithm, TsigKey},
    diagnostic::Sink,
    raw::{self, At, Directory, Field, Filled},
    source::Span,
};

pub(super) fn acme(field: &Field<raw::Acme>, out: &mut Sink<'_>) -> Option<Acme> {
    let at = field.value.as_ref()?;
    let raw = &at.value;
    let dns = raw.dns.value.as_ref().and_then(|at| dns(at, out));
    let challenges = once(&raw.challenge, out).unwrap_or_else(|| {
        let mut usual = vec![Challenge::TlsAlpn01, Challenge::Http01];
        usual.extend(dns.is_some().then_some(Challenge::Dns01));
        usual
    });
    if challenges.contains(&Challenge::Dns01)
        && !raw.dns.is_written()
        && let Some(key) = raw.challenge.key
    {
        out.error(key, "`dns-01` needs `dns`")
            .help("write `dns = { program = \"FILE\" }`, or `dns = { rfc2136 = { server = \"10.0.0.53\" } }`");
    }
    if !challenges.contains(&Challenge::Dns01)
        && !raw.challenge.is_broken()
        && let Some(key) = raw.dns.key
    {
        out.warn(key, "`dns` is used by no challenge").help("add \"dns-01\" to `challenge`");
    }
    Some(Acme {
        at: out.sources.locate(at.span),
        email: raw.email.get().map(|list| list.0.iter().map(|at| at.value.0.clone()).collect()).unwrap_or_default(),
        authorities: authorities(raw, out),
        keys: once(&raw.key, out).unwrap_or_else(|| vec![KeyKind::P256]),
        challenges,
        dns,
        state: path(&raw.state, out),
    })
}

fn dns(at: &At<raw::DnsUpdate>, out: &mut Sink<'_>) -> Option<DnsUpdate> {
    let raw = &at.value;
    match (path(&raw.program, out), &raw.rfc2136.value) {
        (Some(path), None) => Some(DnsUpdate::Program {
            path,
            arguments: raw
                .arguments
                .get()
                .map(|list| list.0.iter().map(|at| at.value.clone()).collect())
                .unwrap_or_default(),
            time: raw.time.or(Duration::from_secs(120)),
        }),
        (None, Some(table)) => {
            for key in [raw.arguments.key, raw.time.key].into_iter().flatten() {
                out.error(key, "this is for a `program`, and there is none");
            }
            rfc2136(&table.value, out)
        }
        (Some(_), Some(table)) => {
            out.error(table.span, "`program` and `rfc2136` both say how records come into the DNS")
                .help("leave one out");
            None
        }
        (None, None) => {
            if !raw.program.is_broken() && !raw.rfc2136.is_broken() {
                out.error(at.span, "`dns` needs `program` or `rfc2136`");
            }
            None
        }
    }
}

fn rfc2136(raw: &raw::Rfc2136, out: &mut Sink<'_>) -> Option<DnsUpdate> {
    let key = match &raw.key.value {
        None => None,
        Some(at) => {
            let secret = secret(at.span, &at.value.secret, &at.value.secret_file, ["secret", "secret_file"], out)?;
            Some(TsigKey {
                name: at.value.name.get()?.0.clone(),
                algorithm: at.value.algorithm.or(TsigAlgorithm::HmacSha256),
                secret,
            })
        }
    };
    Some(DnsUpdate::Rfc2136 { server: raw.server.get()?.0, zone: raw.zone.get().map(|zone| zone.0.clone()), key })
}

/// A secret in one of two keys.
fn secret(
    table: Span,
    text: &Field<String>,
    file: &Field<PathBuf>,
    [here, there]: [&str; 2],
    out: &mut Sink<'_>,
) -> Option<Secret> {
    match (text.get(), path(file, out)) {
        (Some(_), Some(_)) => {
            out.error(table, format!("`{here}` and `{there}` are the same thing")).help("leave one out");
            None
        }
        (Some(text), None) => Some(Secret::Text(text.clone())),
        (None, Some(path)) => Some(Secret::File(path)),
        (None, None) => {
            if !text.is_broken() && !file.is_broken() {
                out.error(table, format!("this needs `{here}` or `{there}`"));
            }
            None
        }
    }
}

/// The values of a list in which each makes sense once.
fn once<T: Copy + Eq + std::hash::Hash>(field: &Field<Filled<T>>, out: &mut Sink<'_>) -> Option<Vec<T>> {
    let list = field.get()?;
    let mut seen = HashSet::new();
    for at in &list.0 {
        if !seen.insert(at.value) {
            out.error(at.span, "it is in this list twice");
        }
    }
    Some(list.0.iter().map(|at| at.value).collect())
}

fn authorities(raw: &raw::Acme, out: &mut Sink<'_>) -> Vec<Authority> {
    let Some(list) = raw.directory.get() else { return vec![plain(&Directory::usual())] };
    let mut first = HashMap::new();
    let mut authorities = Vec::new();
    for at in &list.0 {
        let table = &at.value.0;
        let Some(directory) = &table.directory.value else { continue };
        if let Some(other) = first.insert(directory.value.url.clone(), directory.span) {
            out.error(directory.span, format!("the authority `{}` is here twice", directory.value.name))
                .other(other, "the first one is here");
        }
        if directory.value.binds && !table.eab.is_written() {
            let name = &directory.value.name;
            out.error(directory.span, format!("`{name}` makes accounts only with external account binding"))
                .help(format!("write `{{ directory = \"{name}\", eab = {{ id = \"...\", key_file = \"...\" }} }}`"));
        }
        authorities.push(Authority {
            ca: path(&table.ca, out),
            binding: table.eab.value.as_ref().and_then(|eab| binding(eab, out)),
            profile: table.profile.get().cloned(),
            ..plain(&directory.value)
        });
    }
    authorities
}

fn plain(directory: &Directory) -> Authority {
    Authority {
        name: directory.name.clone(),
        directory: directory.url.clone(),
        public: directory.known,
        ca: None,
        binding: None,
        profile: None,
    }
}

fn binding(at: &At<raw::Binding>, out: &mut Sink<'_>) -> Option<Binding> {
    let raw = &at.value;
    let key = secret(at.span, &raw.key, &raw.key_file, ["key", "key_file"], out)?;
    Some(Binding { id: raw.id.get()?.clone(), key })
}
