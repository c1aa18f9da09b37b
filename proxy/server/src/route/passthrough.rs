//! Which route a TLS connection takes whose bytes are passed through: by the name in its handshake.

use http::HeaderMap;
use portcullis_config::{
    names::ListenerName,
    route::{Action, HostPattern, Route},
};
use smallvec::SmallVec;

use super::{
    Query,
    candidates::{Candidate, Candidates},
    hosts::Hosts,
    note,
    predicates::Predicates,
};
use crate::record::NearMiss;

/// The routes with [`Action::Passthrough`].
#[derive(Debug)]
pub struct Passthrough {
    names: Hosts<Candidates>,
    /// One for every route of the slice, in its order.
    routes: Vec<Predicates>,
    empty: bool,
}

impl Passthrough {
    /// Compiles `routes`. Listeners are named by their index in `listeners`. A route without `sni` takes every name.
    pub fn new(routes: &[Route], listeners: &[ListenerName]) -> Self {
        let mut table = Self { names: Hosts::default(), routes: Vec::with_capacity(routes.len()), empty: true };
        for (index, route) in routes.iter().enumerate() {
            let predicates = Predicates::new(route, listeners);
            if matches!(route.action, Action::Passthrough(_)) {
                table.empty = false;
                let candidate = Candidate { route: index, predicates: predicates.count() };
                let any = [HostPattern::Any];
                let names = if route.matches.sni.is_empty() { &any[..] } else { &route.matches.sni };
                for name in names {
                    table.names.entry(name, route.priority).insert(candidate);
                }
            }
            table.routes.push(predicates);
        }
        table.names.finish();
        table
    }

    /// Whether there are none, so that no handshake needs to be looked at for them.
    pub fn is_empty(&self) -> bool {
        self.empty
    }

    /// The route that wins, by its index, for a connection on `listener` from `client`. `sni` is in lower case. Routes of that name that
    /// did not match are noted in `misses`, at most eight.
    pub fn find(
        &self,
        listener: usize,
        sni: Option<&str>,
        client: std::net::IpAddr,
        misses: &mut SmallVec<[NearMiss; 1]>,
    ) -> Option<usize> {
        if self.empty {
            return None;
        }
        let headers = HeaderMap::new();
        let query = Query { listener, sni, host: "", path: "", method: "", headers: &headers, query: None, client };
        self.names.find(sni.unwrap_or_default(), |candidates| {
            candidates.iter().find_map(|candidate| {
                let route = &self.routes[candidate.route];
                match route.fails_connection(&query) {
                    None => Some(candidate.route),
                    Some(failed) => {
                        note(misses, route, failed);
                        None
                    }
                }
            })
        })
    }
}
