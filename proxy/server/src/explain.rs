//! What would become of a request: the same look-ups that an exchange makes, on a request that nobody sent.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Instant,
};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use portcullis_config::{listener::Protocol, route as config};
use serde_json::{Map, Value, json};
use smallvec::SmallVec;

use crate::{
    backend::{Backend, health::Standing},
    control::{ExplainRequest, Failure},
    http::{
        forwarded::ConnectionHeaders,
        guard::{Rules, check_head},
        path, target,
    },
    plugins,
    record::NearMiss,
    route::Query,
    snapshot::{Action, Listener, RouteState, Snapshot},
    tls::store::Store,
};

/// What would become of `request` under `snapshot`.
///
/// # Errors
/// When the question itself cannot be understood. A request that would be refused is an answer.
pub fn explain(snapshot: &Snapshot, request: &ExplainRequest) -> Result<Value, Failure> {
    let fail = |message: String| Failure::from(message);
    let uri: Uri = request.url.parse().map_err(|error| fail(format!("`{}` is not a URL: {error}", request.url)))?;
    let is_tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(fail(format!("`{}` must begin with http:// or https://", request.url))),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fail(format!("`{name}` is no header name")))?;
        let value = HeaderValue::from_str(value).map_err(|_| fail(format!("the value of `{name}` is none")))?;
        headers.append(name, value);
    }
    let mut answer = json!({
        "request": format!("{} {}", request.method, request.url),
        "generation": snapshot.generation,
    });
    let (index, listener) = match listener(snapshot, request, &uri, is_tls) {
        Ok(found) => found,
        Err(why) => {
            answer["listener"] = Value::Null;
            answer["outcome"] = json!(why);
            return Ok(answer);
        }
    };
    answer["listener"] = json!({ "name": listener.name, "at": listener.config.at.to_string() });
    let peer = request.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let config = &listener.config;
    if config.deny.contains(peer) || !(config.allow.is_empty() || config.allow.contains(peer)) {
        answer["outcome"] = json!(format!("closed: {peer} is not let in by `allow` and `deny` of the listener"));
        return Ok(answer);
    }
    let sni = request.sni.as_deref().or(uri.host()).filter(|_| is_tls && listener.tls.is_some());
    // A name in the handshake is never an address (RFC 6066 section 3).
    let sni = sni.map(str::to_ascii_lowercase).filter(|name| name.parse::<IpAddr>().is_err() && !name.starts_with('['));
    if listener.tls.is_some() {
        let mut misses = SmallVec::new();
        if let Some(route) = snapshot.passthrough.find(index, sni.as_deref(), peer, &mut misses) {
            let route = &snapshot.routes[route];
            answer["route"] = describe_route(route);
            describe_action(&mut answer, route, "TLS is passed through");
            return Ok(answer);
        }
        answer["certificate"] = certificate(snapshot, listener, sni.as_deref());
        if answer["certificate"].is_null() {
            let name = sni.as_deref().unwrap_or("no name");
            answer["outcome"] = json!(match snapshot.acme.why_none(name) {
                Some(reason) => format!("the handshake is refused: there is no certificate for {name} yet: {reason}"),
                None => format!("the handshake is refused: no certificate covers {name}"),
            });
            return Ok(answer);
        }
    }
    match admit(listener, request, &uri, &headers, sni.as_deref()) {
        Err((status, reason)) => {
            answer["outcome"] = json!(format!("{status}: {reason}"));
        }
        Ok((host, normal_path)) => {
            answer["host"] = json!(host);
            answer["path"] = json!(normal_path);
            let trusted = &listener.config.trusted;
            let connection = ConnectionHeaders::new(SocketAddr::new(peer, 0), is_tls, trusted);
            let client = connection.origin(&headers, trusted).client.ip();
            answer["client"] = json!(client);
            let query = Query {
                listener: index,
                sni: sni.as_deref(),
                host: &host,
                path: &normal_path,
                method: &request.method,
                headers: &headers,
                query: uri.query(),
                client,
            };
            route(snapshot, &query, &mut answer);
        }
    }
    Ok(answer)
}

/// The listener that a request would come to.
fn listener<'a>(
    snapshot: &'a Snapshot,
    request: &ExplainRequest,
    uri: &Uri,
    is_tls: bool,
) -> Result<(usize, &'a Listener), String> {
    let all = || snapshot.listeners.iter().enumerate().map(|(index, listener)| (index, &**listener));
    if let Some(name) = &request.listener {
        return all()
            .find(|(_, listener)| *listener.name == **name)
            .ok_or_else(|| format!("there is no listener `{name}`"));
    }
    let speaks = |listener: &Listener| listener.config.protocol == Protocol::Http && listener.tls.is_some() == is_tls;
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let on_port = |listener: &Listener| listener.config.addresses.iter().any(|address| address.port() == port);
    all()
        .find(|(_, listener)| speaks(listener) && on_port(listener))
        // The URL has no port: the only listener of that kind is meant, whatever port it has (behind a port mapping, say).
        .or_else(|| all().find(|(_, listener)| uri.port_u16().is_none() && speaks(listener)))
        .ok_or_else(|| {
            let scheme = if is_tls { "https" } else { "http" };
            format!("no listener speaks {scheme} on port {port}: the connection would be refused, or not understood")
        })
}

fn certificate(snapshot: &Snapshot, listener: &Listener, sni: Option<&str>) -> Value {
    // An index of its own: what the running store shows may be of another generation.
    let store = Store::new(snapshot.certificates.clone());
    let covering = sni.map(|sni| store.covering(sni).to_vec()).unwrap_or_default();
    if covering.is_empty()
        && let Some(made) = made(snapshot, listener, sni)
    {
        return made;
    }
    let default = match listener.config.tls.as_ref().map(|tls| &tls.unknown_sni) {
        Some(portcullis_config::listener::UnknownSni::Certificate(name)) => store.named(name.as_str()),
        _ => None,
    };
    let shown: Vec<_> = if covering.is_empty() { default.into_iter().collect() } else { covering };
    if shown.is_empty() {
        return Value::Null;
    }
    let describe = |certificate: &std::sync::Arc<crate::tls::certificates::Certified>| {
        json!({
            "name": certificate.name,
            "key": certificate.key_kind.name(),
            "covers": certificate.hosts,
        })
    };
    shown.iter().map(describe).collect()
}

/// The certificates that come from no file: those that are ordered, and those of the machine's own authority.
fn made(snapshot: &Snapshot, listener: &Listener, sni: Option<&str>) -> Option<Value> {
    if let Some(sni) = sni {
        let ordered = snapshot.acme.covering(sni);
        if !ordered.is_empty() {
            let describe = |issued: &std::sync::Arc<portcullis_certs::issued::Issued>| json!({ "name": issued.name, "key": issued.kind.name(), "covers": [issued.name] });
            return Some(ordered.iter().map(describe).collect());
        }
        // Where no process is asked, nothing is ordered; this is what would be.
        let wanted = snapshot.wanted.as_ref().filter(|_| snapshot.acme.manager().is_none());
        if let Some(subject) = wanted.and_then(|wanted| wanted.subjects.iter().find(|subject| subject.covers(sni))) {
            return Some(json!([{ "name": subject.to_string(), "covers": [subject.to_string()], "ordered": true }]));
        }
    }
    let local = listener.config.tls.as_ref().is_some_and(|tls| tls.local);
    local.then(|| json!([{ "name": "local", "covers": sni.into_iter().collect::<Vec<_>>() }]))
}

/// The checks of an exchange's admission. The error is the status and why.
fn admit(
    listener: &Listener,
    request: &ExplainRequest,
    uri: &Uri,
    headers: &HeaderMap,
    sni: Option<&str>,
) -> Result<(String, String), (u16, String)> {
    let limits = &listener.config.limits;
    if let Some(head) = &request.head {
        let bytes: Vec<u8> = head.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
        match check_head(&bytes, &Rules::new(limits)) {
            Err(refusal) => return Err((refusal.status, refusal.reason.to_owned())),
            Ok(None) => return Err((408, "the head has no end (an empty line is missing)".to_owned())),
            Ok(Some(_)) => {}
        }
    }
    let port = if sni.is_some() { 443 } else { 80 };
    let authority = if headers.contains_key(header::HOST) { None } else { uri.authority().map(|a| a.as_str()) };
    let host = target::of_request(authority, headers, port)
        .map_err(|error| (400, error.0.to_owned()))?
        .map(|authority| authority.host.into_owned())
        .unwrap_or_default();
    if let Some(sni) = sni
        && sni != host
    {
        return Err((421, format!("the request is for {host}, but the handshake named {sni}")));
    }
    let path = path::normalise(uri.path()).map_err(|error| (400, error.to_string()))?;
    Ok((host, path.into_owned()))
}

fn route(snapshot: &Snapshot, query: &Query<'_>, answer: &mut Value) {
    let found = snapshot.table.find(query, &mut SmallVec::new());
    let misses = snapshot.table.explain(query);
    let describe_miss = |miss: &NearMiss| json!({ "route": miss.route, "failed": miss.failed.name() });
    match found {
        None => {
            answer["route"] = Value::Null;
            answer["outcome"] = json!("404: no route matches");
        }
        Some(index) => {
            let route = &snapshot.routes[index];
            answer["route"] = describe_route(route);
            let plugins = route.chain.iter().map(|&position| {
                let plugin = &snapshot.plugins[position];
                json!({ "name": plugin.definition().name, "phases": plugins::phases(plugin.declaration()) })
            });
            answer["plugins"] = plugins.collect();
            describe_action(answer, route, "forwarded");
        }
    }
    answer["misses"] = misses.iter().map(describe_miss).collect();
}

fn describe_route(route: &RouteState) -> Value {
    json!({ "name": route.name, "at": route.config.at.to_string() })
}

fn describe_action(answer: &mut Value, route: &RouteState, word: &str) {
    let backends: Vec<_> = match &route.action {
        Action::Forward(shares) => shares.all().collect(),
        Action::Passthrough(backend) => vec![backend],
        Action::Redirect(to) => {
            answer["outcome"] = json!(format!("{}: redirect{}", to.status, target_of(to)));
            return;
        }
        Action::Respond { status, .. } => {
            answer["outcome"] = json!(format!("{}: a fixed response", status.as_u16()));
            return;
        }
    };
    let now = Instant::now();
    let usable = |backend: &Backend| {
        backend
            .members()
            .list
            .iter()
            .any(|member| !matches!(member.endpoint.health.standing(now), Standing::Ejected(_)))
    };
    let none: Vec<_> = backends.iter().filter(|backend| !usable(backend)).map(|backend| &*backend.name).collect();
    answer["outcome"] = json!(if none.is_empty() {
        let names: Vec<_> = backends.iter().map(|backend| &*backend.name).collect();
        format!("{word} to {}", names.join(" or "))
    } else {
        format!("503: no endpoint of backend {} can be used", none.join(", "))
    });
    answer["backends"] = backends.iter().map(|backend| describe_backend(backend)).collect();
}

fn target_of(to: &config::Redirect) -> String {
    let mut text = String::from(" to ");
    text.push_str(to.scheme.as_deref().unwrap_or("the same scheme"));
    text.push_str("://");
    text.push_str(to.host.as_deref().unwrap_or("(the same host)"));
    if let Some(port) = to.port {
        text.push_str(&format!(":{port}"));
    }
    text.push_str(to.path.as_deref().unwrap_or("(the same path)"));
    text
}

/// A backend with its endpoints and DNS answers, as they are now.
pub fn describe_backend(backend: &Backend) -> Value {
    let now = Instant::now();
    let members = backend.members();
    let endpoints: Vec<Value> = members
        .list
        .iter()
        .map(|member| {
            let endpoint = &member.endpoint;
            let mut value = Map::new();
            value.insert("address".into(), json!(endpoint.address.to_string()));
            if !endpoint.name.is_empty() {
                value.insert("name".into(), json!(endpoint.name));
            }
            value.insert("weight".into(), json!(member.weight));
            value.insert("open".into(), json!(endpoint.open()));
            match endpoint.health.standing(now) {
                Standing::Good => drop(value.insert("state".into(), json!("good"))),
                Standing::Probe => drop(value.insert("state".into(), json!("probing"))),
                Standing::Ejected(left) => {
                    value.insert("state".into(), json!("ejected"));
                    value.insert("ejected_ms".into(), json!(left.as_millis() as u64));
                    value.insert("reason".into(), json!(endpoint.health.last_failure()));
                }
            }
            Value::Object(value)
        })
        .collect();
    let dns: Vec<Value> = backend.answers().flatten().map(|answer| answer.to_json(now)).collect();
    json!({ "name": backend.name, "endpoints": endpoints, "dns": dns })
}
