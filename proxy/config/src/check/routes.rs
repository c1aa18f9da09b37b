//! `[[route]]`: what it matches, the one thing it does, and whether any listener can ever ask it.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use super::{
    backends::{Backends, Use},
    edits,
    listeners::Listeners,
    redirect,
};
use crate::{
    diagnostic::Sink,
    names::{BackendName, RouteName},
    network::Networks,
    raw::{self, At, Field, Filled},
    route::{Action, FieldMatch, HostPattern, Match, PathPattern, Respond, Route, WeightedBackend},
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
    out: &mut Sink<'_>,
) -> Vec<Checked> {
    let tables = file.route.get().map(|tables| tables.0.as_slice()).unwrap_or_default();
    let mut names = Names::of(tables, out);
    tables.iter().map(|at| route(at, &mut names, listeners, backends, out)).collect()
}

fn route(
    at: &At<raw::Route>,
    names: &mut Names,
    listeners: &Listeners,
    backends: &mut Backends,
    out: &mut Sink<'_>,
) -> Checked {
    let raw = &at.value;
    let action = action(at, backends, out);
    let served = Served::of(at, listeners, out);
    if raw.passthrough.is_written() {
        passthrough(at, &served, listeners, out);
    } else {
        reachable(at, &served, out);
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

/// The one thing a route does.
fn action(at: &At<raw::Route>, backends: &mut Backends, out: &mut Sink<'_>) -> Option<Action> {
    let raw = &at.value;
    let written: Vec<(&str, Span)> = [
        ("backend", raw.backend.key),
        ("backends", raw.backends.key),
        ("redirect", raw.redirect.key),
        ("respond", raw.respond.key),
        ("passthrough", raw.passthrough.key),
    ]
    .into_iter()
    .filter_map(|(key, span)| Some((key, span?)))
    .collect();
    match written.as_slice() {
        [] => {
            out.error(at.span, "this route does nothing")
                .expected("one of `backend`, `backends`, `redirect`, `respond` or `passthrough`")
                .help("write `backend = \"NAME\"` to forward what it matches");
            return None;
        }
        [_] => {}
        [(first, span), rest @ ..] => {
            for (key, other) in rest {
                out.error(*other, format!("a route does one thing, and this one has `{first}` already"))
                    .other(*span, format!("`{first}` is here, so `{key}` cannot be"));
            }
        }
    }
    if let Some(name) = &raw.backend.value {
        backends.used(name, Use::Http, out);
        return Some(Action::Forward(vec![WeightedBackend { backend: name.value.clone(), weight: 1 }]));
    }
    if let Some(shares) = &raw.backends.value {
        return shared(&shares.value, backends, out);
    }
    if let Some(redirection) = &raw.redirect.value {
        return redirect::redirect(redirection, out).map(Action::Redirect);
    }
    if let Some(fixed) = &raw.respond.value {
        return respond(&fixed.value, out).map(Action::Respond);
    }
    let name = raw.passthrough.value.as_ref()?;
    backends.used(name, Use::Passthrough, out);
    Some(Action::Passthrough(name.value.clone()))
}

fn shared(shares: &Filled<raw::Share>, backends: &mut Backends, out: &mut Sink<'_>) -> Option<Action> {
    let mut first: HashMap<&BackendName, Span> = HashMap::new();
    let mut forward = Vec::new();
    for share in &shares.0 {
        let name = share.value.backend.value.as_ref()?;
        backends.used(name, Use::Http, out);
        if let Some(other) = first.insert(&name.value, name.span) {
            out.error(name.span, format!("backend `{}` is here twice", name.value))
                .other(other, "the first one is here")
                .help("a larger `weight` gives it a larger share");
        }
        forward.push(WeightedBackend {
            backend: name.value.clone(),
            weight: share.value.weight.get().map_or(1, |weight| weight.to()),
        });
    }
    Some(Action::Forward(forward))
}

fn respond(fixed: &raw::Fixed, out: &mut Sink<'_>) -> Option<Respond> {
    let status: u16 = fixed.status.get()?.to();
    let body = fixed.body.get().cloned().unwrap_or_default();
    // RFC 9110 sections 15.3.5 and 15.4.5.
    if matches!(status, 204 | 205 | 304)
        && !body.is_empty()
        && let Some(key) = fixed.body.key
    {
        out.error(key, format!("a response with status {status} has no body"));
    }
    let content_type = match fixed.content_type.get() {
        Some(value) => Some(value.0.clone()),
        None if body.is_empty() => None,
        None => Some("text/plain; charset=utf-8".to_owned()),
    };
    Some(Respond { status, body, content_type })
}

/// The listeners a route can be asked on.
pub(super) struct Served<'l> {
    /// Those it names, with where; all that speak HTTP when it names none.
    pub(super) listeners: Vec<(&'l super::listeners::Checked, Option<Span>)>,
    /// Whether one that it names is not there, or some could not be read.
    pub(super) unsure: bool,
}

impl<'l> Served<'l> {
    fn of(at: &At<raw::Route>, listeners: &'l Listeners, out: &mut Sink<'_>) -> Self {
        let field = &at.value.listener;
        let mut served = Self { listeners: Vec::new(), unsure: listeners.is_unsure() || field.is_broken() };
        match field.get() {
            None => {
                served.listeners = listeners.iter().filter(|one| one.speaks_http()).map(|one| (one, None)).collect();
            }
            Some(names) => {
                for name in &names.0 {
                    match listeners.find(name, out) {
                        Some(checked) if checked.speaks_http() => {
                            served.listeners.push((checked, Some(name.span)));
                        }
                        Some(checked) => {
                            served.unsure = true;
                            out.error(name.span, format!("listener `{}` speaks TCP: it asks no route", name.value))
                                .other(checked.named, "the listener is here")
                                .help("a `tcp` listener copies everything to its own `backend`");
                        }
                        None => served.unsure = true,
                    }
                }
            }
        }
        served
    }
}

/// Passthrough happens before HTTP is seen, and only where TLS is.
fn passthrough(at: &At<raw::Route>, served: &Served<'_>, listeners: &Listeners, out: &mut Sink<'_>) {
    let raw = &at.value;
    if !raw.sni.is_written() {
        out.error(at.span, "`passthrough` needs `sni`")
            .help("nothing but the name in the TLS handshake can be matched here");
    }
    let http = [
        ("host", raw.host.key),
        ("path", raw.path.key),
        ("path_exact", raw.path_exact.key),
        ("path_regex", raw.path_regex.key),
        ("method", raw.method.key),
        ("header", raw.header.key),
        ("query", raw.query.key),
        ("strip_prefix", raw.strip_prefix.key),
        ("replace_prefix", raw.replace_prefix.key),
        ("rewrite", raw.rewrite.key),
        ("host_header", raw.host_header.key),
        ("request_headers", raw.request_headers.key),
        ("response_headers", raw.response_headers.key),
    ];
    for (key, span) in http {
        if let Some(span) = span {
            let draft =
                out.error(span, format!("`{key}` cannot be with `passthrough`: what is inside the TLS is not seen"));
            if key == "host" {
                draft.help("write `sni`");
            }
        }
    }
    for (listener, name) in &served.listeners {
        if let (None, Some(name)) = (listener.tls, name) {
            out.error(*name, format!("listener `{}` has no TLS to pass through", listener.listener.name))
                .other(listener.named, "the listener is here")
                .help("write `tls = {}` there");
        }
    }
    if !served.unsure && !listeners.iter().any(|one| one.tls.is_some() && one.speaks_http()) {
        let key = raw.passthrough.key.unwrap_or(at.span);
        out.error(key, "no listener has TLS to pass through").help("write `tls = {}` under the `[[listener]]`");
    }
}

/// Warns about a route that nothing can ask.
fn reachable(at: &At<raw::Route>, served: &Served<'_>, out: &mut Sink<'_>) {
    if served.unsure {
        return;
    }
    if served.listeners.is_empty() {
        out.warn(at.span, "no listener can serve this route: none speaks HTTP");
        return;
    }
    if let Some(key) = at.value.sni.key
        && served.listeners.iter().all(|(listener, _)| listener.tls.is_none())
    {
        out.warn(key, "no listener can serve this route: `sni` is known only where TLS is")
            .help("`host` matches the host of the request");
    }
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

/// Names that routes have, and those that are made for routes without.
struct Names {
    taken: HashSet<RouteName>,
    /// How often each made name was wanted.
    made: HashMap<String, usize>,
}

impl Names {
    fn of(tables: &[At<raw::Route>], out: &mut Sink<'_>) -> Self {
        let mut first: HashMap<&RouteName, Span> = HashMap::new();
        for name in tables.iter().filter_map(|at| at.value.name.value.as_ref()) {
            if let Some(other) = first.insert(&name.value, name.span) {
                out.error(name.span, format!("two routes are called `{}`", name.value))
                    .other(other, "the first one is here");
            }
        }
        Self { taken: first.into_keys().cloned().collect(), made: HashMap::new() }
    }

    /// The name in the file; or the first host (or name in the handshake) and the path, with a number when it is taken.
    fn of_route(&mut self, raw: &raw::Route) -> RouteName {
        if let Some(name) = raw.name.get() {
            return name.clone();
        }
        let host = raw.host.get().or(raw.sni.get()).and_then(|hosts| hosts.0.first()).map(|at| &at.value);
        let host = match host {
            None | Some(HostPattern::Any) => "*".to_owned(),
            Some(HostPattern::Exact(name)) => name.clone(),
            Some(HostPattern::Wildcard(suffix)) => format!("*.{suffix}"),
        };
        let path = match (raw.path.get().or(raw.path_exact.get()), raw.path_regex.get()) {
            (Some(path), _) => &path.written,
            (None, Some(regex)) => regex.as_str(),
            (None, None) => "",
        };
        let base = format!("{host}{path}");
        let wanted = self.made.entry(base.clone()).or_default();
        loop {
            *wanted += 1;
            let name = match *wanted {
                1 => RouteName::new(&base),
                n => RouteName::new(&format!("{base}#{n}")),
            };
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}
