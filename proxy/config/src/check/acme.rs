//! `[acme]`: authorities that are there once, with what they need.

use std::collections::{HashMap, HashSet};

use super::process::path;
use crate::{
    acme::{Acme, Authority, Binding, Challenge, KeyKind, Secret},
    diagnostic::Sink,
    raw::{self, At, Directory, Field, Filled},
};

pub(super) fn acme(field: &Field<raw::Acme>, out: &mut Sink<'_>) -> Option<Acme> {
    let at = field.value.as_ref()?;
    let raw = &at.value;
    Some(Acme {
        at: out.sources.locate(at.span),
        email: raw.email.get().map(|list| list.0.iter().map(|at| at.value.0.clone()).collect()).unwrap_or_default(),
        authorities: authorities(raw, out),
        keys: once(&raw.key, out).unwrap_or_else(|| vec![KeyKind::P256]),
        challenges: once(&raw.challenge, out).unwrap_or_else(|| vec![Challenge::TlsAlpn01, Challenge::Http01]),
        state: path(&raw.state, out),
    })
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
    let key = match (raw.key.get(), path(&raw.key_file, out)) {
        (Some(_), Some(_)) => {
            out.error(at.span, "`key` and `key_file` are the same thing").help("leave one out");
            return None;
        }
        (Some(key), None) => Secret::Text(key.clone()),
        (None, Some(path)) => Secret::File(path),
        (None, None) => {
            if !raw.key.is_broken() && !raw.key_file.is_broken() {
                out.error(at.span, "external account binding needs `key` or `key_file`");
            }
            return None;
        }
    };
    Some(Binding { id: raw.id.get()?.clone(), key })
}
