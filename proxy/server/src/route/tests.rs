//! The table against the order that the configuration's documentation states, written down as a plain scan.

use std::{cmp::Reverse, sync::Arc};

use portcullis_config::{
    Location,
    names::{BackendName, RouteName},
    network::Networks,
    route::{Edits, FieldMatch, Match, PathPattern, Respond, ValueMatch},
};
use proptest::prelude::*;
use regex::Regex;

use super::*;

fn route(name: &str) -> Route {
    Route {
        name: RouteName::new(name),
        at: Location { file: "test".into(), line: 1, column: 1 },
        listeners: Vec::new(),
        priority: 0,
        matches: Match {
            sni: Vec::new(),
            hosts: vec![HostPattern::Any],
            path: PathPattern::Any,
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            clients: Networks::default(),
        },
        action: Action::Respond(Respond { status: 200, body: String::new(), content_type: None }),
        edits: Edits::default(),
        plugins: Vec::new(),
        waf: None,
    }
}

fn exact(host: &str) -> HostPattern {
    HostPattern::Exact(host.into())
}

fn wildcard(suffix: &str) -> HostPattern {
    HostPattern::Wildcard(suffix.into())
}

fn query<'a>(host: &'a str, path: &'a str, headers: &'a HeaderMap) -> Query<'a> {
    Query { listener: 0, sni: None, host, path, method: "GET", headers, query: None, client: [192, 0, 2, 1].into() }
}

fn find(routes: &[Route], host: &str, path: &str) -> Option<String> {
    let headers = HeaderMap::new();
    let found = Table::new(routes, &[]).find(&query(host, path, &headers), &mut SmallVec::new());
    found.map(|index| routes[index].name.as_str().to_owned())
}

#[test]
fn the_more_specific_wins() {
    let mut routes = Vec::new();
    let regex = Regex::new("^/p/q/r").unwrap();
    for (host, hosts) in [
        ("any", HostPattern::Any),
        ("wild", wildcard("a.test")),
        ("deep", wildcard("b.a.test")),
        ("exact", exact("x.a.test")),
    ] {
        for (path, pattern) in [
            ("any", PathPattern::Any),
            ("prefix", PathPattern::Prefix("/p".into())),
            ("longer", PathPattern::Prefix("/p/q".into())),
            ("regex", PathPattern::Regex(regex.clone())),
            ("exact", PathPattern::Exact("/p/q/r/s".into())),
        ] {
            let mut route = route(&format!("{host} {path}"));
            route.matches.hosts = vec![hosts.clone()];
            route.matches.path = pattern;
            routes.push(route);
        }
    }
    for (host, expected) in [
        ("x.a.test", "exact"),
        ("y.a.test", "wild"),
        ("y.z.a.test", "wild"),
        ("y.b.a.test", "deep"),
        ("b.a.test", "wild"),
        ("a.test", "any"),
        ("xa.test", "any"),
        ("", "any"),
        (".a.test", "any"),
    ] {
        for (path, kind) in [
            ("/", "any"),
            ("*", "any"),
            ("/pp", "any"),
            ("/p", "prefix"),
            ("/p/", "prefix"),
            ("/p/x", "prefix"),
            ("/p/q", "longer"),
            ("/p/q/", "longer"),
            ("/p/q/r", "regex"),
            ("/p/q/r/s", "exact"),
            ("/p/q/r/s/t", "regex"),
        ] {
            assert_eq!(find(&routes, host, path), Some(format!("{expected} {kind}")), "{host} {path}");
        }
    }
}

#[test]
fn priority_decides_before_everything() {
    let mut first = route("exact");
    first.matches.hosts = vec![exact("a")];
    first.matches.path = PathPattern::Exact("/x".into());
    let mut second = route("any");
    second.priority = 1;
    assert_eq!(find(&[first.clone(), second.clone()], "a", "/x").unwrap(), "any");
    second.priority = -1;
    assert_eq!(find(&[first.clone(), second.clone()], "a", "/x").unwrap(), "exact");
    assert_eq!(find(&[first, second], "a", "/y").unwrap(), "any");
}

#[test]
fn an_ipv6_host_is_found_however_it_is_written() {
    let mut only = route("six");
    only.matches.hosts = vec![exact("[2001:db8:0::1]")];
    assert_eq!(find(&[only], "[2001:db8::1]", "/").unwrap(), "six");
}

#[test]
fn misses_say_what_failed() {
    let mut post = route("post");
    post.matches.methods = vec!["POST".into()];
    post.matches.path = PathPattern::Exact("/x".into());
    let mut regex = route("regex");
    regex.matches.path = PathPattern::Regex(Regex::new("^/y").unwrap());
    let mut inside = route("inside");
    inside.matches.clients = Networks(vec!["10.0.0.0/8".parse().unwrap()]);
    let mut elsewhere = route("elsewhere");
    elsewhere.matches.hosts = vec![exact("b")];
    let mut other = route("other listener");
    other.listeners = vec![ListenerName::new("two")];
    let rest = route("rest");
    let mut more = route("outranked");
    more.priority = -1;
    let routes = [post, regex, inside, elsewhere, other, rest, more];
    let table = Table::new(&routes, &[ListenerName::new("one"), ListenerName::new("two")]);
    let headers = HeaderMap::new();
    let query = query("a", "/x", &headers);
    let mut misses = SmallVec::new();
    assert_eq!(table.find(&query, &mut misses), Some(5));
    let named = |misses: &[NearMiss]| {
        misses.iter().map(|miss| (miss.route.to_string(), miss.failed.name())).collect::<Vec<_>>()
    };
    assert_eq!(
        named(&misses),
        [("post", "method"), ("regex", "path"), ("inside", "client"), ("other listener", "listener")]
            .map(|(a, b)| (a.into(), b)),
    );
    assert_eq!(
        named(&table.explain(&query)),
        [
            ("outranked", "outranked"),
            ("inside", "client"),
            ("post", "method"),
            ("regex", "path"),
            ("elsewhere", "host"),
            ("other listener", "listener")
        ]
        .map(|(a, b)| (a.into(), b)),
    );
}

#[test]
fn misses_are_bounded() {
    let routes: Vec<Route> = (0..100)
        .map(|number| {
            let mut route = route(&number.to_string());
            route.matches.methods = vec!["POST".into()];
            route
        })
        .collect();
    let table = Table::new(&routes, &[]);
    let headers = HeaderMap::new();
    let mut misses = SmallVec::new();
    assert_eq!(table.find(&query("a", "/", &headers), &mut misses), None);
    assert_eq!(misses.len(), 8);
    assert_eq!(table.explain(&query("a", "/", &headers)).len(), 64);
}

#[test]
fn passthrough_goes_by_name_listener_and_client() {
    let mut routes = Vec::new();
    for (name, sni) in [("exact", vec![exact("a.test")]), ("wild", vec![wildcard("test")]), ("all", vec![])] {
        let mut route = route(name);
        route.matches.sni = sni;
        route.action = Action::Passthrough(BackendName::new("b"));
        routes.push(route);
    }
    routes[0].listeners = vec![ListenerName::new("two")];
    routes[2].matches.clients = Networks(vec!["10.0.0.0/8".parse().unwrap()]);
    routes.push(route("http"));
    let table = Passthrough::new(&routes, &[ListenerName::new("one"), ListenerName::new("two")]);
    let inside = [10, 0, 0, 1].into();
    let outside = [192, 0, 2, 1].into();
    let mut misses = SmallVec::new();
    assert_eq!(table.find(1, Some("a.test"), outside, &mut misses), Some(0));
    assert_eq!(table.find(0, Some("a.test"), outside, &mut misses), Some(1));
    assert_eq!(misses[0].failed, Predicate::Listener);
    assert_eq!(table.find(0, Some("other"), inside, &mut misses), Some(2));
    assert_eq!(table.find(0, Some("other"), outside, &mut misses), None);
    assert_eq!(table.find(0, None, inside, &mut misses), Some(2));
    let headers = HeaderMap::new();
    assert_eq!(Table::new(&routes, &[]).find(&query("a", "/", &headers), &mut misses), Some(3));
    assert!(Passthrough::new(&routes[3..], &[]).is_empty());
}

#[test]
fn ten_thousand_hosts_cost_as_many_look_ups_as_ten() {
    let look_ups = |hosts: usize| {
        let routes: Vec<Route> = (0..hosts)
            .map(|number| {
                let mut route = route(&number.to_string());
                route.matches.hosts =
                    vec![exact(&format!("host{number}.test")), wildcard(&format!("host{number}.test"))];
                route.matches.path = PathPattern::Prefix("/api".into());
                route
            })
            .collect();
        let table = Table::new(&routes, &[]);
        let headers = HeaderMap::new();
        let before = lookup::COUNT.get();
        for host in ["host7.test", "a.host7.test", "unknown.test"] {
            table.find(&query(host, "/api/a/b/c", &headers), &mut SmallVec::new());
        }
        lookup::COUNT.get() - before
    };
    assert_eq!(look_ups(10), look_ups(10_000));
}

/// What the documentation of [`portcullis_config::route`] says, request by request over every route.
fn reference(routes: &[Route], listeners: &[ListenerName], query: &Query<'_>) -> Option<usize> {
    let mut best = None;
    for (index, route) in routes.iter().enumerate() {
        let wanted = &route.matches;
        let listener = route.listeners.is_empty() || route.listeners.contains(&listeners[query.listener]);
        let sni = wanted.sni.is_empty()
            || wanted.sni.iter().any(|pattern| host_matches(pattern, query.sni.unwrap_or_default()));
        let host = wanted
            .hosts
            .iter()
            .filter(|pattern| host_matches(pattern, query.host))
            .map(|pattern| match pattern {
                HostPattern::Exact(_) => (2, 0),
                HostPattern::Wildcard(suffix) => (1, suffix.len()),
                HostPattern::Any => (0, 0),
            })
            .max();
        let path = match &wanted.path {
            PathPattern::Exact(path) => (path == query.path).then_some((3, 0)),
            PathPattern::Regex(regex) => regex.is_match(query.path).then_some((2, 0)),
            PathPattern::Prefix(path) => {
                (query.path == path || query.path.starts_with(&format!("{path}/"))).then_some((1, path.len()))
            }
            PathPattern::Any => Some((0, 0)),
        };
        let method = wanted.methods.is_empty() || wanted.methods.iter().any(|method| method == query.method);
        let header = wanted.headers.iter().all(|field| query.headers.contains_key(&field.name));
        let client = wanted.clients.is_empty() || wanted.clients.contains(query.client);
        let (Some(host), Some(path), true, true, true, true, true) =
            (host, path, listener, sni, method, header, client)
        else {
            continue;
        };
        let predicates = usize::from(!route.listeners.is_empty())
            + usize::from(!wanted.sni.is_empty())
            + usize::from(!wanted.methods.is_empty())
            + wanted.headers.len()
            + usize::from(!wanted.clients.is_empty());
        let rank = (route.priority, host, path, predicates, Reverse(index));
        best = best.max(Some((rank, index)));
    }
    best.map(|(_, index)| index)
}

fn any_host() -> impl Strategy<Value = HostPattern> {
    prop_oneof![
        prop::sample::select(vec!["a.test", "b.test", "x.a.test", "test"]).prop_map(exact),
        prop::sample::select(vec!["a.test", "test", "x.a.test"]).prop_map(wildcard),
        Just(HostPattern::Any),
    ]
}

fn any_path() -> impl Strategy<Value = PathPattern> {
    prop_oneof![
        Just(PathPattern::Any),
        prop::sample::select(vec!["/", "/p", "/p/q", "/p/"]).prop_map(|path| PathPattern::Exact(path.into())),
        prop::sample::select(vec!["/p", "/p/q", "/p/q/r", "/q"]).prop_map(|path| PathPattern::Prefix(path.into())),
        prop::sample::select(vec!["^/p", "q", "r$"]).prop_map(|regex| PathPattern::Regex(Regex::new(regex).unwrap())),
    ]
}

prop_compose! {
    fn any_route(priorities: std::ops::Range<i32>)(
        hosts in prop::collection::vec(any_host(), 1..3),
        path in any_path(),
        priority in priorities,
        listener in 0..4usize,
        sni in prop::collection::vec(any_host(), 0..2),
        post in any::<bool>(),
        fields in 0..3usize,
        client in any::<bool>(),
    ) -> Route {
        let mut route = route("");
        route.matches.hosts = hosts;
        route.matches.path = path;
        route.priority = priority;
        if listener < 2 {
            route.listeners = vec![ListenerName::new(["one", "two"][listener])];
        }
        route.matches.sni = sni;
        if post {
            route.matches.methods = vec!["POST".into()];
        }
        route.matches.headers = (0..fields).map(|number| FieldMatch { name: format!("x-{number}"), value: ValueMatch::Present }).collect();
        if client {
            route.matches.clients = Networks(vec!["10.0.0.0/8".parse().unwrap()]);
        }
        route
    }
}

fn agrees(
    mut routes: Vec<Route>,
    (host, path, sni): (&str, &str, &str),
    flags: [bool; 5],
) -> Result<(), TestCaseError> {
    for (index, route) in routes.iter_mut().enumerate() {
        route.name = RouteName::new(&index.to_string());
    }
    let listeners = ["one", "two"].map(ListenerName::new);
    let table = Table::new(&routes, &listeners);
    let mut headers = HeaderMap::new();
    for (number, name) in ["x-0", "x-1"].into_iter().enumerate() {
        if flags[number] {
            headers.insert(name, "y".parse().unwrap());
        }
    }
    let query = Query {
        listener: usize::from(flags[2]),
        sni: (!sni.is_empty()).then_some(sni),
        host,
        path,
        method: if flags[3] { "POST" } else { "GET" },
        headers: &headers,
        query: None,
        client: if flags[4] { [10, 0, 0, 1] } else { [192, 0, 2, 1] }.into(),
    };
    let mut misses = SmallVec::new();
    let found = table.find(&query, &mut misses);
    prop_assert_eq!(found, reference(&routes, &listeners, &query));
    for miss in &misses {
        prop_assert_ne!(Some(&*miss.route), found.map(|index| routes[index].name.as_str()));
    }
    let explained: Vec<Arc<str>> = table.explain(&query).into_iter().map(|miss| miss.route).collect();
    prop_assert_eq!(explained.len(), routes.len() - usize::from(found.is_some()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn agrees_with_a_plain_scan(
        routes in prop::collection::vec(any_route(0..1), 0..16),
        host in prop::sample::select(vec!["a.test", "b.test", "x.a.test", "y.x.a.test", "test", "other", ""]),
        path in prop::sample::select(vec!["/", "/p", "/p/", "/p/q", "/p/q/r", "/p/qq", "/q/r", "*"]),
        sni in prop::sample::select(vec!["", "a.test", "x.a.test"]),
        flags in any::<[bool; 5]>(),
    ) {
        agrees(routes, (host, path, sni), flags)?;
    }

    #[test]
    fn agrees_with_a_plain_scan_under_priorities(
        routes in prop::collection::vec(any_route(-2..3), 0..16),
        host in prop::sample::select(vec!["a.test", "b.test", "x.a.test", "y.x.a.test", "test", "other", ""]),
        path in prop::sample::select(vec!["/", "/p", "/p/", "/p/q", "/p/q/r", "/p/qq", "/q/r", "*"]),
        sni in prop::sample::select(vec!["", "a.test", "x.a.test"]),
        flags in any::<[bool; 5]>(),
    ) {
        agrees(routes, (host, path, sni), flags)?;
    }
}
