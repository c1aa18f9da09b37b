//! `[[route]]`: what it matches, the one thing it does, and whether any listener can ever ask it.

use std::{collections::HashMap, hash::Hash};

use super::{
    action, backends::Backends, edits, listeners::Listeners, names::Names, plugins::Plugins, redirect, served::Served,
    waf,
};
use crate::{
    diagnostic::Sink,
    network::Networks,
    raw::{self, At, Field, Filled},
    route::{Action, FieldMatch, HostPattern, Match, PathPattern, Route},
    source::Span,
};

/// A route, and where it is written.
pub(super) struct Checked {
    pub(super) route: Route,
    pub(super) span: Span,
    /// Whether a part could not be used: then it is compared with no other.
    pub(super) broken: bool,
}

pub(super) fn check(
    file: &raw::File,
    listeners: &Listeners,
    backends: &mut Backends,
    plugins: &mut Plugins,
    out: &mut Sink<'_>,
) -> Vec<Checked> {
    let tables = file.route.get().map(|tables| tables.0.as_slice()).unwrap_or_default();
    let mut names = Names::of(tables, out);
    tables.iter().map(|at| route(at, &mut names, listeners, backends, plugins, out)).collect()
}

fn route(
    at: &At<raw::Route>,
    names: &mut Names,
    listeners: &Listeners,
    backends: &mut Backends,
    plugins: &mut Plugins,
    out: &mut Sink<'_>,
) -> Checked {
    let raw = &at.value;
    let action = action::action(at, backends, out);
    let served = Served::of(at, listeners, out);
    if raw.passthrough.is_written() {
        served.passthrough(at, listeners, out);
    } else {
        served.reachable(at, out);
    }
    if let Some(Action::Redirect(redirect)) = &action {
        redirect::loops(redirect, raw.redirect.key, &served, out);
    }
    let route = Route {
        name: names.of_route(raw),
        at: out.sources.locate(at.span),
        listeners: unique(&raw.listener, "listener", out, |name| name.clone()),
        priority: raw.priority.get().map_or(0, |priority| priority.to()),
        matches: matches(raw, out),
        edits: edits::edits(raw, out),
        plugins: plugins.chain(raw, out),
        waf: waf::waf(raw, plugins, out),
        action: action.clone().unwrap_or(Action::Forward(Vec::new())),
    };
    Checked { route, span: at.span, broken: action.is_none() || is_broken(raw) }
}

/// Whether a predicate could not be read, so that the route seems to match more than it says.
fn is_broken(raw: &raw::Route) -> bool {
    raw.listener.is_broken()
        || raw.priority.is_broken()
        || raw.sni.is_broken()
        || raw.host.is_broken()
        || raw.path.is_broken()
        || raw.path_exact.is_broken()
        || raw.path_regex.is_broken()
        || raw.method.is_broken()
        || raw.header.is_broken()
        || raw.query.is_broken()
        || raw.client.is_broken()
        || raw.header.get().is_some_and(raw::Map::is_broken)
        || raw.query.get().is_some_and(raw::Map::is_broken)
}

fn matches(raw: &raw::Route, out: &mut Sink<'_>) -> Match {
    let mut hosts = unique(&raw.host, "host", out, HostPattern::clone);
    if hosts.is_empty() {
        hosts.push(HostPattern::Any);
    }
    Match {
        sni: unique(&raw.sni, "name", out, HostPattern::clone),
        hosts,
        path: path(raw, out),
        methods: unique(&raw.method, "method", out, |method| method.0.clone()),
        headers: fields(raw.header.get(), |name| name.0.clone(), out),
        query: fields(raw.query.get(), String::clone, out),
        clients: Networks(raw.client.get().map(|list| list.0.iter().map(|at| at.value).collect()).unwrap_or_default()),
    }
}

fn path(raw: &raw::Route, out: &mut Sink<'_>) -> PathPattern {
    let mut keys = [("path", raw.path.key), ("path_exact", raw.path_exact.key), ("path_regex", raw.path_regex.key)]
        .into_iter()
        .filter_map(|(key, span)| Some((key, span?)));
    if let Some((first, span)) = keys.next() {
        for (_, other) in keys {
            out.error(other, format!("a route has one kind of path, and this one has `{first}` already"))
                .other(span, "the first one is here");
        }
    }
    if let Some(path) = raw.path.get() {
        return match path.as_prefix() {
            "" => PathPattern::Any,
            prefix => PathPattern::Prefix(prefix.to_owned()),
        };
    }
    if let Some(path) = raw.path_exact.get() {
        return PathPattern::Exact(path.normal.clone());
    }
    raw.path_regex.get().map_or(PathPattern::Any, |regex| PathPattern::Regex(regex.clone()))
}

fn fields<K>(
    map: Option<&raw::Map<K, raw::ValuePattern>>,
    name: impl Fn(&K) -> String,
    out: &mut Sink<'_>,
) -> Vec<FieldMatch> {
    let mut first: HashMap<String, Span> = HashMap::new();
    let mut fields = Vec::new();
    for entry in map.map(|map| map.entries.as_slice()).unwrap_or_default() {
        let name = name(&entry.key.value);
        if let Some(other) = first.insert(name.clone(), entry.key.span) {
            out.error(entry.key.span, format!("`{name}` is here twice"))
                .other(other, "the first one is here")
                .help("names of header fields are the same in upper and lower case");
        }
        if let Some(value) = &entry.value {
            fields.push(FieldMatch { name, value: value.0.clone() });
        }
    }
    fields
}

/// The values of a list, none of them twice.
fn unique<T, U: Hash + Eq + Clone>(
    field: &Field<Filled<T>>,
    what: &str,
    out: &mut Sink<'_>,
    convert: impl Fn(&T) -> U,
) -> Vec<U> {
    let mut first: HashMap<U, Span> = HashMap::new();
    let mut values = Vec::new();
    for at in field.get().map(|list| list.0.as_slice()).unwrap_or_default() {
        let value = convert(&at.value);
        match first.insert(value.clone(), at.span) {
            Some(other) => {
                out.error(at.span, format!("this {what} is here twice")).other(other, "the first one is here");
            }
            None => values.push(value),
        }
    }
    values
}
