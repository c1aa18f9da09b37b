//! Two routes that both match one request, with nothing that decides between them, are an error: the head of
//! [`crate::route`] says what decides.
//!
//! Routes are put into buckets of those that nothing decides between; only inside a bucket are pairs compared. A large
//! bucket (one path, told apart by a header's value, say) is first split by what tells its routes apart, so
//! that ten thousand tenants are not compared each with each.

use std::collections::{HashMap, HashSet};

use super::{beginnings::Beginnings, routes::Checked};
use crate::{
    diagnostic::Sink,
    network::Networks,
    route::{Action, FieldMatch, HostPattern, PathPattern, Route, ValueMatch},
    source::Span,
};

/// Comparisons made for one configuration: about a second at the very most.
const BUDGET: usize = 10_000_000;

/// Smaller buckets are compared pair by pair at once.
const SMALL: usize = 32;

/// What must be equal so that nothing decides between two routes.
#[derive(PartialEq, Eq, Hash)]
struct Rank<'r> {
    passthrough: bool,
    priority: i32,
    host: &'r HostPattern,
    path: PathRank<'r>,
    predicates: usize,
}

#[derive(PartialEq, Eq, Hash)]
enum PathRank<'r> {
    Any,
    Exact(&'r str),
    Prefix(&'r str),
    Regex,
}

struct Candidate<'r> {
    index: usize,
    route: &'r Route,
    span: Span,
    path: Option<Beginnings>,
    /// Beside the route's header fields.
    headers: Vec<Option<Beginnings>>,
    /// Beside its query parameters.
    query: Vec<Option<Beginnings>>,
}

/// Reports each route that is not told apart from an earlier one.
pub(super) fn check(routes: &[Checked], out: &mut Sink<'_>) {
    let candidates: Vec<_> = routes
        .iter()
        .enumerate()
        .filter(|(_, checked)| !checked.broken)
        .map(|(index, checked)| Candidate {
            index,
            route: &checked.route,
            span: checked.span,
            path: match &checked.route.matches.path {
                PathPattern::Regex(regex) => Beginnings::of(regex.as_str()),
                _ => None,
            },
            headers: beginnings(&checked.route.matches.headers),
            query: beginnings(&checked.route.matches.query),
        })
        .collect();
    // Buckets in the order of the file, so that reports do not depend on hashing.
    let mut order: HashMap<Rank<'_>, usize> = HashMap::new();
    let mut buckets: Vec<Vec<&Candidate<'_>>> = Vec::new();
    for candidate in &candidates {
        for rank in ranks(candidate.route) {
            let bucket = *order.entry(rank).or_insert_with(|| {
                buckets.push(Vec::new());
                buckets.len() - 1
            });
            buckets[bucket].push(candidate);
        }
    }
    let mut search = Search { reported: HashSet::new(), budget: BUDGET, out };
    for bucket in &buckets {
        search.bucket(bucket);
    }
    if search.budget == 0
        && let Some(first) = candidates.first()
    {
        out.warn(first.span, "too many routes share a host and a path: not all of them were compared with each other")
            .help("`priority` decides between them");
    }
}

/// A route stands in one bucket for each of its hosts. Where TLS passes through there is no host, so the name in the
/// handshake takes its place.
fn ranks(route: &Route) -> impl Iterator<Item = Rank<'_>> {
    let passthrough = matches!(route.action, Action::Passthrough(_));
    let matches = &route.matches;
    let hosts = if passthrough { &matches.sni } else { &matches.hosts };
    let predicates = usize::from(!route.listeners.is_empty())
        + usize::from(!matches.sni.is_empty())
        + usize::from(!matches.methods.is_empty())
        + matches.headers.len()
        + matches.query.len()
        + usize::from(!matches.clients.is_empty());
    hosts.iter().map(move |host| Rank {
        passthrough,
        priority: route.priority,
        host,
        path: match &matches.path {
            PathPattern::Any => PathRank::Any,
            PathPattern::Exact(path) => PathRank::Exact(path),
            PathPattern::Prefix(path) => PathRank::Prefix(path),
            PathPattern::Regex(_) => PathRank::Regex,
        },
        predicates,
    })
}

struct Search<'o, 's> {
    /// Routes that are in the report already: one mistake a route is enough.
    reported: HashSet<usize>,
    budget: usize,
    out: &'o mut Sink<'s>,
}

impl Search<'_, '_> {
    fn bucket(&mut self, bucket: &[&Candidate<'_>]) {
        let mut parts = vec![bucket.to_vec()];
        while let Some(part) = parts.pop() {
            let Some(discriminator) = (part.len() > SMALL).then(|| split(&part)).flatten() else {
                for (at, second) in part.iter().enumerate() {
                    part[..at].iter().any(|first| self.pair(first, second));
                }
                continue;
            };
            // Those without the discriminator can meet all others; those with different values cannot meet.
            let (with, without): (Vec<_>, Vec<_>) =
                part.into_iter().partition(|candidate| discriminator.value(candidate.route).is_some());
            for one in &without {
                for two in &with {
                    let (first, second) = if one.index < two.index { (one, two) } else { (two, one) };
                    self.pair(first, second);
                }
            }
            let mut groups: HashMap<String, Vec<&Candidate<'_>>> = HashMap::new();
            for candidate in with {
                let value = discriminator.value(candidate.route).unwrap_or_default().to_owned();
                groups.entry(value).or_default().push(candidate);
            }
            parts.push(without);
            // A group of one has nobody to meet; a group that is everything would be split the same way for ever, which
            // `split` rules out by asking for two values.
            parts.extend(groups.into_values().filter(|group| group.len() > 1));
        }
    }

    /// Compares two routes; whether they cannot be told apart.
    fn pair(&mut self, first: &Candidate<'_>, second: &Candidate<'_>) -> bool {
        if self.budget == 0 || self.reported.contains(&second.index) {
            return false;
        }
        let cost = 1 + first.route.matches.clients.0.len() * second.route.matches.clients.0.len();
        self.budget = self.budget.saturating_sub(cost);
        if first.index == second.index || are_apart(first, second) {
            return false;
        }
        self.reported.insert(second.index);
        self.out
            .error(
                second.span,
                format!("nothing decides between two routes: both match {}", what(first.route, second.route)),
            )
            .other(first.span, "the other one is here")
            .help("make one of them more specific, or give it a higher `priority`");
        true
    }
}

/// What both routes match, as far as it can be named.
fn what(one: &Route, two: &Route) -> String {
    let shown = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(name) => Some(format!("`{name}`")),
        HostPattern::Wildcard(suffix) => Some(format!("`*.{suffix}`")),
        HostPattern::Any => None,
    };
    let (ones, twos) = match one.action {
        Action::Passthrough(_) => (&one.matches.sni, &two.matches.sni),
        _ => (&one.matches.hosts, &two.matches.hosts),
    };
    let host = ones.iter().find(|host| twos.contains(host)).and_then(shown).unwrap_or_else(|| "any host".to_owned());
    match &one.matches.path {
        PathPattern::Exact(path) => format!("{host} with path `{path}`"),
        PathPattern::Prefix(path) => format!("{host} with paths below `{path}/`"),
        PathPattern::Any | PathPattern::Regex(_) => host,
    }
}

/// Something that a route asks to have one exact value.
enum Discriminator {
    Header(String),
    Query(String),
    Sni,
    Method,
    Listener,
}

impl Discriminator {
    fn value<'r>(&self, route: &'r Route) -> Option<&'r str> {
        let matches = &route.matches;
        match self {
            Self::Header(name) => exact(&matches.headers, name),
            Self::Query(name) => exact(&matches.query, name),
            Self::Sni => match matches.sni.as_slice() {
                [HostPattern::Exact(name)] => Some(name),
                _ => None,
            },
            Self::Method => match matches.methods.as_slice() {
                [method] => Some(method),
                _ => None,
            },
            Self::Listener => match route.listeners.as_slice() {
                [listener] => Some(listener.as_str()),
                _ => None,
            },
        }
    }
}

fn exact<'r>(fields: &'r [FieldMatch], name: &str) -> Option<&'r str> {
    fields.iter().find_map(|field| match &field.value {
        ValueMatch::Exact(value) if field.name == name => Some(value.as_str()),
        _ => None,
    })
}

/// What most routes of a bucket can be told apart by, when it has at least two values.
fn split(bucket: &[&Candidate<'_>]) -> Option<Discriminator> {
    let mut headers: HashSet<&str> = HashSet::new();
    let mut queries: HashSet<&str> = HashSet::new();
    // A handful of names: those of the first routes are those of all, or splitting by them does not help.
    for candidate in bucket.iter().take(SMALL) {
        headers.extend(candidate.route.matches.headers.iter().map(|field| field.name.as_str()));
        queries.extend(candidate.route.matches.query.iter().map(|field| field.name.as_str()));
    }
    let mut candidates: Vec<_> = headers.into_iter().map(|name| Discriminator::Header(name.to_owned())).collect();
    candidates.extend(queries.into_iter().map(|name| Discriminator::Query(name.to_owned())));
    candidates.extend([Discriminator::Sni, Discriminator::Method, Discriminator::Listener]);
    candidates
        .into_iter()
        .filter_map(|discriminator| {
            let values: Vec<_> = bucket.iter().filter_map(|one| discriminator.value(one.route)).collect();
            let different: HashSet<_> = values.iter().collect();
            // What helps is many different values among many routes.
            (different.len() > 1).then(|| (values.len() + different.len(), discriminator))
        })
        .max_by_key(|(helps, _)| *helps)
        .map(|(_, discriminator)| discriminator)
}

/// Whether no request can be matched by both.
fn are_apart(one: &Candidate<'_>, two: &Candidate<'_>) -> bool {
    let (a, b) = (one.route, two.route);
    no_common(&a.listeners, &b.listeners)
        || no_common(&a.matches.methods, &b.matches.methods)
        || (!a.matches.sni.is_empty()
            && !b.matches.sni.is_empty()
            && !a.matches.sni.iter().any(|one| b.matches.sni.iter().any(|two| overlap(one, two))))
        || fields_apart((&a.matches.headers, &one.headers), (&b.matches.headers, &two.headers))
        || fields_apart((&a.matches.query, &one.query), (&b.matches.query, &two.query))
        || networks_apart(&a.matches.clients, &b.matches.clients)
        || matches!((&one.path, &two.path), (Some(one), Some(two)) if one.are_apart(two))
}

/// Whether two lists, an empty one of which means everything, name nothing in common.
fn no_common<T: PartialEq>(one: &[T], two: &[T]) -> bool {
    !one.is_empty() && !two.is_empty() && !one.iter().any(|value| two.contains(value))
}

fn overlap(one: &HostPattern, two: &HostPattern) -> bool {
    let below = |name: &str, suffix: &str| name.strip_suffix(suffix).is_some_and(|start| start.ends_with('.'));
    match (one, two) {
        (HostPattern::Any, _) | (_, HostPattern::Any) => true,
        (HostPattern::Exact(one), HostPattern::Exact(two)) => one == two,
        (HostPattern::Exact(name), HostPattern::Wildcard(suffix))
        | (HostPattern::Wildcard(suffix), HostPattern::Exact(name)) => below(name, suffix),
        (HostPattern::Wildcard(one), HostPattern::Wildcard(two)) => one == two || below(one, two) || below(two, one),
    }
}

fn beginnings(fields: &[FieldMatch]) -> Vec<Option<Beginnings>> {
    let of = |field: &FieldMatch| match &field.value {
        ValueMatch::Regex(regex) => Beginnings::of(regex.as_str()),
        _ => None,
    };
    fields.iter().map(of).collect()
}

/// Fields, and beside each the literal beginnings of its regex.
type Fields<'f> = (&'f [FieldMatch], &'f [Option<Beginnings>]);

/// Whether one field is asked for with two values that differ.
fn fields_apart(one: Fields<'_>, two: Fields<'_>) -> bool {
    one.0.iter().zip(one.1).any(|(a, a_begins)| {
        two.0.iter().zip(two.1).any(|(b, b_begins)| {
            a.name == b.name
                && match (&a.value, &b.value) {
                    (ValueMatch::Exact(a), ValueMatch::Exact(b)) => a != b,
                    (ValueMatch::Regex(_), ValueMatch::Regex(_)) => {
                        matches!((a_begins, b_begins), (Some(a), Some(b)) if a.are_apart(b))
                    }
                    _ => false,
                }
        })
    })
}

fn networks_apart(one: &Networks, two: &Networks) -> bool {
    let touch = |a: &ipnet::IpNet| two.0.iter().any(|b| a.contains(b) || b.contains(a));
    !one.is_empty() && !two.is_empty() && !one.0.iter().any(touch)
}
