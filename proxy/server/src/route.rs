//! Which route an exchange takes.
//!
//! [`Table`] is compiled from the configuration's routes when a snapshot is built, and answers by look-ups whose number depends on
//! the request (labels of its host, segments of its path) and not on how many routes there are. Only the regexes of one
//! host, and the predicates beside host and path, are tried one after the other. The order between routes is the one that
//! [`portcullis_config::route`] states.
//!
//! Routes are named by their index in the slice that the table was made from.

mod candidates;
mod clients;
mod fields;
mod hosts;
mod lookup;
mod passthrough;
mod paths;
mod predicates;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use http::HeaderMap;
use portcullis_config::{
    names::ListenerName,
    route::{Action, HostPattern, Route},
};
use smallvec::SmallVec;

pub use self::passthrough::Passthrough;
use self::{candidates::Candidate, hosts::Hosts, paths::Paths, predicates::Predicates};
use crate::record::{NearMiss, Predicate};

/// The routes of HTTP exchanges; those with [`Action::Passthrough`] are in [`Passthrough`].
#[derive(Debug)]
pub struct Table {
    hosts: Hosts<Paths>,
    /// One for every route of the slice, in its order.
    routes: Vec<Predicates>,
    /// Which of `routes` are of this table, in the order of the file.
    own: Vec<usize>,
}

/// What a route is chosen by.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Index of the listener, in the slice that the table was made with.
    pub listener: usize,
    /// The name in the TLS handshake, lower case.
    pub sni: Option<&'a str>,
    /// As [`crate::http::target::Authority`] has it; empty where the request names none.
    pub host: &'a str,
    /// As [`crate::http::path::normalise`] has it; `*` for that target.
    pub path: &'a str,
    /// As sent.
    pub method: &'a str,
    /// As received.
    pub headers: &'a HeaderMap,
    /// As sent, without the question mark.
    pub query: Option<&'a str>,
    /// After PROXY protocol and trusted `Forwarded`.
    pub client: IpAddr,
}

/// How many near misses one look-up notes.
const MISSES: usize = 8;
/// How many near misses `explain` gives.
const EXPLAINED: usize = 64;

impl Table {
    /// Compiles `routes`. Listeners are named by their index in `listeners`.
    pub fn new(routes: &[Route], listeners: &[ListenerName]) -> Self {
        let mut table = Self { hosts: Hosts::default(), routes: Vec::with_capacity(routes.len()), own: Vec::new() };
        for (index, route) in routes.iter().enumerate() {
            let predicates = Predicates::new(route, listeners);
            if !matches!(route.action, Action::Passthrough(_)) {
                let candidate = Candidate { route: index, predicates: predicates.count() };
                for host in &route.matches.hosts {
                    table.hosts.entry(host, route.priority).insert(&route.matches.path, candidate);
                }
                table.own.push(index);
            }
            table.routes.push(predicates);
        }
        table.hosts.finish();
        table
    }

    /// The route that wins, by its index. Routes that were looked at on the way and did not match are noted in `misses`, at
    /// most eight.
    pub fn find(&self, query: &Query<'_>, misses: &mut SmallVec<[NearMiss; 1]>) -> Option<usize> {
        self.hosts.find(query.host, |paths| paths.find(query.path, |found| self.try_candidate(found, query, misses)))
    }

    /// Why each of the other routes did not win, those that came closest first, at most 64. For the command line: it looks at every route.
    pub fn explain(&self, query: &Query<'_>) -> Vec<NearMiss> {
        let winner = self.find(query, &mut SmallVec::new());
        let mut misses: Vec<NearMiss> = self
            .own
            .iter()
            .filter(|&&index| Some(index) != winner)
            .map(|&index| {
                self.routes[index].miss(self.routes[index].fails_anywhere(query).unwrap_or(Predicate::Outranked))
            })
            .collect();
        misses.sort_by_key(|miss| std::cmp::Reverse(closeness(miss.failed)));
        misses.truncate(EXPLAINED);
        misses
    }

    fn try_candidate(
        &self,
        found: Result<&Candidate, &Candidate>,
        query: &Query<'_>,
        misses: &mut SmallVec<[NearMiss; 1]>,
    ) -> Option<usize> {
        let (candidate, failed) = match found {
            Ok(candidate) => (candidate, self.routes[candidate.route].fails(query)),
            Err(candidate) => (candidate, Some(Predicate::Path)),
        };
        let Some(failed) = failed else { return Some(candidate.route) };
        note(misses, &self.routes[candidate.route], failed);
        None
    }
}

/// Notes a miss, once for each route.
fn note(misses: &mut SmallVec<[NearMiss; 1]>, route: &Predicates, failed: Predicate) {
    if misses.len() < MISSES && !misses.iter().any(|miss| route.is(&miss.route)) {
        misses.push(route.miss(failed));
    }
}

/// How far a route got before it failed; predicates are tried in this order.
fn closeness(failed: Predicate) -> u8 {
    match failed {
        Predicate::Listener => 0,
        Predicate::Sni => 1,
        Predicate::Host => 2,
        Predicate::Path => 3,
        Predicate::Method => 4,
        Predicate::Header => 5,
        Predicate::Query => 6,
        Predicate::Client => 7,
        Predicate::Outranked => 8,
    }
}

/// Whether `host` is one that `pattern` stands for.
fn host_matches(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Exact(name) => *lookup::host_key(name) == *host,
        HostPattern::Wildcard(suffix) => host
            .strip_suffix(suffix.as_str())
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|rest| !rest.is_empty()),
        HostPattern::Any => true,
    }
}
