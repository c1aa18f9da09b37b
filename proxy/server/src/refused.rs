//! Requests that are refused before they have a route, shown to those that judge requests.
//!
//! A WAF whose log says nothing of what was too broken to be served would hide the beginning of an attack. So it sees the head as far as it was
//! understood, where host and path lead to a route that has one, and the exchange's end in its log phase. What it says changes nothing: the
//! request is refused, and no body of it is read.

use http::{HeaderMap, header, request::Parts};
use portcullis_plugin::RequestHead;
use smallvec::SmallVec;

use crate::{
    error::{Error, Kind},
    exchange::Exchange,
    http::{
        guard::{Refusal, RefusalKind},
        path, raw,
        target::Authority,
    },
    plugins,
    route::Query,
};

/// What the guard refused before hyper saw it.
pub async fn by_guard(exchange: &mut Exchange<'_>, refusal: Refusal) -> Error {
    let counters = &exchange.connection.worker.counters;
    match refusal.kind {
        RefusalKind::TargetLength => counters.targets_too_long.up(),
        RefusalKind::HeaderBytes | RefusalKind::HeaderCount => counters.heads_too_large.up(),
        RefusalKind::HeaderTime => counters.requests_slow.up(),
        _ => counters.requests_malformed.up(),
    }
    if let Some(shown) = &refusal.shown {
        exchange.raw_target = Some(shown.target.clone());
        let head = RequestHead {
            method: shown.method.as_str(),
            https: false,
            authority: host(&shown.fields).unwrap_or_default(),
            target: &shown.target.path_and_query(),
            version: shown.version,
            fields: &shown.fields,
        };
        Box::pin(show(exchange, head)).await;
    }
    Error::client(Kind::HttpRequestError, refusal.status, refusal.reason)
}

/// What was refused when it was looked at more closely. `target` is path and query as sent, `authority` that of the target.
pub async fn at_door(exchange: &mut Exchange<'_>, parts: &Parts, authority: Option<&str>, target: &str) {
    let head = RequestHead {
        method: parts.method.as_str(),
        https: false,
        authority: authority.or_else(|| host(&parts.headers)).unwrap_or_default(),
        target,
        version: parts.version,
        fields: &parts.headers,
    };
    Box::pin(show(exchange, head)).await;
}

fn host(fields: &HeaderMap) -> Option<&str> {
    fields.get(header::HOST).and_then(|host| host.to_str().ok())
}

async fn show(exchange: &mut Exchange<'_>, head: RequestHead<'_>) {
    let (connection, snapshot) = (exchange.connection, exchange.snapshot);
    if snapshot.routes.iter().all(|route| route.judges.is_empty()) {
        return;
    }
    let origin = connection.forwarded.origin(head.fields, &connection.listener.config.trusted);
    let host = Authority::parse(head.authority).map(|authority| authority.host).unwrap_or_default();
    let mut encoded = Vec::with_capacity(head.target.len());
    raw::encode(head.target.as_bytes(), &mut encoded);
    let encoded = String::from_utf8_lossy(&encoded);
    let (path, query) = encoded.split_once('?').map_or((&*encoded, None), |(path, query)| (path, Some(query)));
    let query = Query {
        listener: connection.listener_index(snapshot).unwrap_or(usize::MAX),
        sni: connection.facts.tls.as_ref().and_then(|tls| tls.sni.as_deref()),
        host: &host,
        // What is no path is anywhere.
        path: &path::normalise(path).unwrap_or("/".into()),
        method: head.method,
        headers: head.fields,
        query,
        client: origin.client.ip(),
    };
    let Some(index) = snapshot.table.find(&query, &mut SmallVec::new()) else { return };
    let route = &*snapshot.routes[index];
    let record = &mut exchange.flight.record;
    record.client = origin.client;
    if record.host.is_empty() {
        record.host = (&*host).into();
    }
    if let Some(chain) = exchange.chain(route, &route.judges, &origin) {
        exchange.flight.record.route = Some(route.name.clone());
        plugins::show(&chain, RequestHead { https: origin.https, ..head }).await;
    }
}
