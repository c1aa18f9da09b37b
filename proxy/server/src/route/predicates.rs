//! What a route asks for, compiled; all of it but host and path, which the look-up has settled, is tried here.

use std::sync::Arc;

use portcullis_config::{
    names::{ListenerName, RouteName},
    route::{HostPattern, PathPattern, Route},
};

use super::{
    Query,
    clients::Clients,
    fields::{Headers, Parameters},
    host_matches,
    hosts::Hosts,
};
use crate::record::{NearMiss, Predicate};

/// The predicates of one route.
#[derive(Debug)]
pub(super) struct Predicates {
    name: RouteName,
    /// By listener; empty when every one will do.
    listeners: Box<[bool]>,
    sni: Option<Hosts<()>>,
    hosts: Vec<HostPattern>,
    path: PathPattern,
    methods: Box<[Box<str>]>,
    headers: Headers,
    parameters: Parameters,
    clients: Option<Clients>,
}

impl Predicates {
    pub(super) fn new(route: &Route, listeners: &[ListenerName]) -> Self {
        let matches = &route.matches;
        let sni = (!matches.sni.is_empty()).then(|| {
            let mut names = Hosts::default();
            for pattern in &matches.sni {
                names.entry(pattern, 0);
            }
            names
        });
        Self {
            name: route.name.clone(),
            listeners: if route.listeners.is_empty() {
                Box::default()
            } else {
                listeners.iter().map(|name| route.listeners.contains(name)).collect()
            },
            sni,
            hosts: matches.hosts.clone(),
            path: matches.path.clone(),
            methods: matches.methods.iter().map(|method| method.as_str().into()).collect(),
            headers: Headers::new(&matches.headers),
            parameters: Parameters::new(&matches.query),
            clients: (!matches.clients.is_empty()).then(|| Clients::new(&matches.clients)),
        }
    }

    /// How many kinds of predicate it has beside host and path; each header and each query parameter is one.
    pub(super) fn count(&self) -> usize {
        usize::from(!self.listeners.is_empty())
            + usize::from(self.sni.is_some())
            + usize::from(!self.methods.is_empty())
            + self.headers.count()
            + self.parameters.count()
            + usize::from(self.clients.is_some())
    }

    /// The first predicate beside host and path that `query` fails.
    pub(super) fn fails(&self, query: &Query<'_>) -> Option<Predicate> {
        self.fails_before_host(query).or_else(|| self.fails_after_path(query))
    }

    /// The first predicate that `query` fails, host and path included.
    pub(super) fn fails_anywhere(&self, query: &Query<'_>) -> Option<Predicate> {
        self.fails_before_host(query)
            .or_else(|| {
                (!self.hosts.iter().any(|pattern| host_matches(pattern, query.host))).then_some(Predicate::Host)
            })
            .or_else(|| (!path_matches(&self.path, query.path)).then_some(Predicate::Path))
            .or_else(|| self.fails_after_path(query))
    }

    /// Whether a connection on `listener` with this name in its handshake, from this client, is one of this route's.
    pub(super) fn fails_connection(&self, query: &Query<'_>) -> Option<Predicate> {
        self.fails_before_host(query).or_else(|| self.fails_client(query))
    }

    fn fails_before_host(&self, query: &Query<'_>) -> Option<Predicate> {
        if !self.listeners.is_empty() && !self.listeners.get(query.listener).is_some_and(|&taken| taken) {
            return Some(Predicate::Listener);
        }
        let sni = self.sni.as_ref()?;
        // A handshake without a name has the empty one, which `*` matches alone.
        sni.find(query.sni.unwrap_or_default(), |()| Some(())).is_none().then_some(Predicate::Sni)
    }

    fn fails_after_path(&self, query: &Query<'_>) -> Option<Predicate> {
        if !self.methods.is_empty() && !self.methods.iter().any(|method| **method == *query.method) {
            return Some(Predicate::Method);
        }
        if !self.headers.hold(query.headers) {
            return Some(Predicate::Header);
        }
        if !self.parameters.hold(query.query.unwrap_or_default()) {
            return Some(Predicate::Query);
        }
        self.fails_client(query)
    }

    fn fails_client(&self, query: &Query<'_>) -> Option<Predicate> {
        let clients = self.clients.as_ref()?;
        (!clients.contains(query.client)).then_some(Predicate::Client)
    }

    /// This route's miss.
    pub(super) fn miss(&self, failed: Predicate) -> NearMiss {
        NearMiss { route: self.name.shared(), failed }
    }

    /// Whether this is the route that a miss names.
    pub(super) fn is(&self, route: &Arc<str>) -> bool {
        // Every miss of a route shares the text of its name.
        std::ptr::eq(self.name.as_str(), &raw const **route)
    }
}

fn path_matches(pattern: &PathPattern, path: &str) -> bool {
    match pattern {
        PathPattern::Any => true,
        PathPattern::Exact(exact) => path == exact,
        PathPattern::Prefix(prefix) => {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        PathPattern::Regex(regex) => regex.is_match(path),
    }
}
