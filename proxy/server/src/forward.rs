//! Sending an exchange to a backend: endpoint, lease, send, and again elsewhere when that is safe.

mod outbound;

use std::{
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, Response, Version, header, request, uri::PathAndQuery};
use hyper::{
    body::{Body as _, Incoming},
    upgrade::OnUpgrade,
};
use smallvec::SmallVec;

pub use self::outbound::Outbound;
use crate::{
    alarm::Alarm,
    backend::{
        Backend,
        connect::Client,
        group::Chosen,
        pool::{self, Lease, Leased, Wanted},
    },
    download::{Content, ResponseBody},
    error::{Error, Kind, Retry},
    exchange::{Answer, Exchange},
    flight::Flight,
    http::hop::{self, Hop},
    record::{Attempt, End},
    snapshot::RouteState,
    tape::Taped,
    tunnel,
    upload::{RequestBody, Upload, cause},
};

/// A response from a backend, on its way to the client.
pub struct Forwarded {
    /// As it is to be sent.
    pub response: Response<Content>,
    /// What goes with it.
    pub onward: Onward,
}

/// What a response on its way needs to its end.
pub struct Onward {
    lease: Lease,
    /// For how long nothing may be received of it.
    pub silence: Duration,
    /// When all of it must have been.
    pub deadline: Option<tokio::time::Instant>,
    tunnel: Option<Tunnel>,
}

/// Both sides of a connection that stops being HTTP.
struct Tunnel {
    client: OnUpgrade,
    idle: Duration,
}

/// Sends the request to an endpoint of `backend`, and to another one when the first fails in a way that makes this safe.
///
/// Dropping the future gives up whatever it was waiting for.
///
/// # Errors
/// The last try's error; every try is in the record.
pub async fn forward(
    exchange: &mut Exchange<'_>,
    route: &RouteState,
    backend: &Arc<Backend>,
    parts: request::Parts,
    (target, hop): (PathAndQuery, Hop),
    body: RequestBody,
    upload: Rc<Upload>,
) -> Result<Answer, Error> {
    let times = &backend.config.time;
    exchange.flight.record.backend = Some(backend.name.clone());
    let facts = &exchange.connection.facts;
    let client = Client { address: exchange.flight.record.client, local: facts.local };
    let worker = exchange.connection.worker.clone();
    let total = times.total.and_then(|total| Instant::now().checked_add(total));
    let mut outbound = Outbound::new(parts, target, hop, exchange.upgrade, body);
    let mut tried: SmallVec<[u64; 4]> = SmallVec::new();
    let mut left = backend.config.retries;
    let mut fresh = false;
    let mut looked_again = false;
    let mut now = exchange.flight.begun;
    loop {
        let chosen = match backend.choose(worker.index, &tried, now) {
            Ok(chosen) => chosen,
            Err(none) => {
                // Nothing was sent, and the names may lead elsewhere by now: an app that is created again has a new address.
                if !looked_again && outbound.is_whole() {
                    looked_again = true;
                    if backend.look_again(&tried, total).await {
                        now = Instant::now();
                        continue;
                    }
                }
                return Err(last_error(exchange, none));
            }
        };
        let wanted = Wanted { client, http1: outbound.upgrade.is_some(), fresh };
        let attempt = attempt(exchange, backend, &chosen, wanted, &mut outbound, &upload, total).await;
        let failed = match attempt {
            Ok((response, lease)) => {
                worker.counters.exchanges_forwarded.up();
                return respond(exchange, route, response, lease, outbound, &upload, times.idle, total);
            }
            Err(failed) => failed,
        };
        let Failed { error, reused } = failed;
        let again = match error.retry {
            Retry::Unsent => outbound.is_whole(),
            Retry::Idempotent => outbound.restore(),
            Retry::Never => false,
        };
        now = Instant::now();
        if !again || total.is_some_and(|total| now >= total) {
            return Err(error);
        }
        // A kept connection that turned out to be closed says nothing about its endpoint and costs no retry: the next try is on
        // a new connection, so this happens once.
        fresh = reused;
        if !reused {
            tried.push(chosen.endpoint.id);
            // Whether this was the last one is for the next choice to say; retries are for trying others.
            if left == 0 && backend.has_other(&tried, now) {
                return Err(error);
            }
            left = left.saturating_sub(1);
        }
        worker.counters.retries.up();
    }
}

struct Failed {
    error: Error,
    reused: bool,
}

async fn attempt(
    exchange: &mut Exchange<'_>,
    backend: &Arc<Backend>,
    chosen: &Chosen,
    wanted: Wanted,
    outbound: &mut Outbound,
    upload: &Rc<Upload>,
    total: Option<Instant>,
) -> Result<(Response<Incoming>, Lease), Failed> {
    let worker = exchange.connection.worker.clone();
    let endpoint = &chosen.endpoint;
    exchange.flight.record.attempts.push(Attempt::new(chosen));
    exchange.flight.at(Some(endpoint.clone()));
    let sentence = exchange.flight.sentence.clone();
    let mut reached = endpoint.clone();
    let mut reused = false;
    let mut connecting = true;
    let result = {
        let work = async {
            let Leased { mut lease, endpoint, connect } = pool::lease(&worker.pools, backend, chosen, wanted).await?;
            connecting = false;
            reused = lease.reused;
            reached = endpoint;
            if let Some(attempt) = exchange.flight.record.attempts.last_mut() {
                attempt.address = reached.address;
                attempt.reused = reused;
                attempt.connect = connect;
            }
            let request = outbound.take(lease.is_h2(), reached.scheme);
            let response = send(&mut lease, request, outbound, upload, backend, &reached, total).await;
            if response.as_ref().is_err_and(|error| error.kind == Kind::HttpResponseTimeout) {
                lease.doubt();
            }
            Ok((response?, lease))
        };
        let mut work = pin!(work);
        let mut alarm = Alarm::new();
        alarm.set(total.map(Into::into));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if alarm.poll(cx).is_ready() {
                let detail =
                    format!("no answer within {:?} (time.total)", backend.config.time.total.unwrap_or_default());
                return Poll::Ready(Err(Error::backend(Kind::HttpResponseTimeout, Retry::Never, detail)));
            }
            sentence.poll(cx).map(|end| Err(stopped(end, upload)))
        })
        .await
    };
    match result {
        Ok(answer) => {
            backend.succeeded(&reached);
            Ok(answer)
        }
        Err(error) => {
            let stale = reused && error.retry != Retry::Never;
            if !stale {
                backend.failed(chosen, &reached, &error, connecting);
            }
            if let Some(attempt) = exchange.flight.record.attempts.last_mut() {
                attempt.error = Some(error.clone());
            }
            Err(Failed { error, reused: stale })
        }
    }
}

/// Sends and waits for the head of the response.
///
/// # Errors
/// What broke, and whether it may be tried again; `outbound` is whole where nothing was sent.
pub async fn send(
    lease: &mut Lease,
    request: Request<RequestBody>,
    outbound: &mut Outbound,
    upload: &Rc<Upload>,
    backend: &Backend,
    endpoint: &crate::backend::Endpoint,
    total: Option<Instant>,
) -> Result<Response<Incoming>, Error> {
    let times = &backend.config.time;
    let mut began = tokio::time::Instant::now();
    let mut alarm = Alarm::new();
    let mut sending = pin!(lease.send(request));
    let sent = std::future::poll_fn(|cx| {
        if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
            return Poll::Ready(Ok(sent));
        }
        loop {
            // A backend may wait for the whole body before it answers: its time begins when the body last moved.
            let progress = upload.progress().map_or(began, |at| at.max(began));
            let first_byte = progress.checked_add(times.first_byte);
            let until = [first_byte, total.map(Into::into)].into_iter().flatten().min();
            alarm.set(until);
            if alarm.poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = tokio::time::Instant::now();
            let over = total.is_some_and(|total| now.into_std() >= total);
            if !over && upload.is_waiting() {
                // The client's silence has a limit of its own, and is not the backend's fault.
                began = now;
                continue;
            }
            if over || first_byte.is_some_and(|at| now >= at) {
                return Poll::Ready(Err(over));
            }
        }
    })
    .await;
    let address = endpoint.address;
    match sent {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(mut failed)) => {
            if let Some(request) = failed.take_message() {
                outbound.put_back(request);
                let detail = format!("the kept connection to {address} was closed");
                return Err(Error::backend(Kind::ConnectionTerminated, Retry::Unsent, detail));
            }
            let error = failed.into_error();
            if let Some(client) = upload.take_failure() {
                return Err(client);
            }
            Err(broken(&error, address))
        }
        Err(true) => Err(Error::backend(
            Kind::HttpResponseTimeout,
            Retry::Never,
            format!("no response from {address} within {:?} (time.total)", times.total.unwrap_or_default()),
        )),
        Err(false) => Err(Error::backend(
            Kind::HttpResponseTimeout,
            Retry::Never,
            format!("no response head from {address} within {:?} (time.first_byte)", times.first_byte),
        )),
    }
}

/// What it means that hyper could not get a response.
fn broken(error: &hyper::Error, address: std::net::SocketAddr) -> Error {
    let why = cause(error);
    if error.is_parse_too_large() {
        let detail = format!("the response head of {address} is too large");
        return Error::backend(Kind::HttpResponseHeaderSectionSize, Retry::Never, detail);
    }
    if error.is_parse() {
        let detail = format!("{address} answered with something that is not HTTP/1.1: {why}");
        return Error::backend(Kind::HttpProtocolError, Retry::Never, detail);
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        let detail = format!("{address} closed the connection before it answered");
        return Error::backend(Kind::ConnectionTerminated, Retry::Idempotent, detail);
    }
    let h2 = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    if let Some(h2) = h2 {
        // RFC 9113 section 8.7: a refused stream was not processed, nor were those above a GOAWAY's last stream.
        let retry = match h2.reason() {
            Some(h2::Reason::REFUSED_STREAM) => Retry::Idempotent,
            Some(h2::Reason::NO_ERROR) if h2.is_go_away() => Retry::Idempotent,
            _ if h2.is_io() => Retry::Idempotent,
            _ => Retry::Never,
        };
        let kind = if h2.is_io() { Kind::ConnectionTerminated } else { Kind::HttpProtocolError };
        return Error::backend(kind, retry, format!("{address} ended the HTTP/2 stream: {h2}"));
    }
    let detail = format!("the connection to {address} broke before it answered: {why}");
    Error::backend(Kind::ConnectionTerminated, Retry::Idempotent, detail)
}

/// What it means that an exchange was told to stop before it had a response.
pub fn stopped(end: End, upload: &Upload) -> Error {
    match end {
        End::Drained => {
            let mut error = Error::proxy(Kind::ConnectionTerminated, "the drain deadline came (server.drain)");
            error.status = 503;
            error
        }
        _ if upload.is_finished() => {
            Error::proxy(Kind::HttpResponseTimeout, "the exchange took too long (limits.request_time)")
        }
        _ => Error::client(Kind::HttpRequestError, 408, "the request body took too long (limits.request_time)"),
    }
}

/// What to say when no endpoint is left: that none can be used, where none could be connected to; else what the last one did.
fn last_error(exchange: &Exchange<'_>, mut none: Error) -> Error {
    let attempts = &exchange.flight.record.attempts;
    let Some(last) = attempts.last().and_then(|attempt| attempt.error.clone()) else { return none };
    let down = |error: &Error| {
        error.retry == Retry::Unsent && matches!(error.kind, Kind::ConnectionRefused | Kind::DestinationIpUnroutable)
    };
    if attempts.iter().all(|attempt| attempt.error.as_ref().is_some_and(down)) {
        none.detail = format!("{}; the last one: {}", none.detail, last.detail).into();
        return none;
    }
    last
}

#[allow(clippy::too_many_arguments)]
fn respond(
    exchange: &mut Exchange<'_>,
    route: &RouteState,
    mut response: Response<Incoming>,
    lease: Lease,
    outbound: Outbound,
    upload: &Rc<Upload>,
    silence: Duration,
    total: Option<Instant>,
) -> Result<Answer, Error> {
    upload.responded();
    let record = &mut exchange.flight.record;
    record.first_byte = Some(exchange.flight.begun.elapsed());
    let mut tunnel = None;
    if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
        let Some(client) = outbound.upgrade else {
            return Err(Error::backend(
                Kind::HttpUpgradeFailed,
                Retry::Never,
                "the backend switched protocols, which nobody had asked for",
            ));
        };
        tunnel = Some(Tunnel { client, idle: exchange.connection.listener.config.limits.tunnel_idle_time });
    }
    let switched = hop::strip(response.headers_mut());
    if let Some(protocol) = switched.upgrade.filter(|_| tunnel.is_some()) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(header::UPGRADE, protocol);
    }
    if let Some(edits) = &route.edits {
        edits.response_headers.apply(response.headers_mut());
    }
    if let Some(tape) = &exchange.flight.tape {
        tape.response_head(response.status(), response.headers(), None);
        if response.body().is_end_stream() {
            tape.response_end();
        }
    }
    let deadline = total.map(Into::into);
    let tape = exchange.flight.tape.clone();
    let response = response.map(|incoming| Content::Backend(Taped { incoming, tape }));
    let onward = Onward { lease, silence, deadline, tunnel };
    Ok(Answer::Forwarded(Box::new(Forwarded { response, onward })))
}

impl Onward {
    /// Whether the connection stops being HTTP.
    pub fn is_switch(&self) -> bool {
        self.tunnel.is_some()
    }
}

impl Forwarded {
    /// The response for hyper's server; the exchange's record goes with its body, or with its tunnel.
    pub fn into_response(self, mut flight: Flight) -> Response<ResponseBody> {
        let Self { mut response, onward: Onward { lease, silence, deadline, tunnel } } = self;
        flight.record.status = response.status().as_u16();
        if let Some(Tunnel { client, idle }) = tunnel {
            let backend = hyper::upgrade::on(&mut response);
            if let Some(in_flight) = &flight.in_flight {
                in_flight.switch();
            }
            let worker = flight.worker().clone();
            worker.spawn(tunnel::upgraded(flight, client, backend, lease, idle));
            let (head, _) = response.into_parts();
            return Response::from_parts(head, ResponseBody::None);
        }
        let (mut head, body) = response.into_parts();
        head.version = Version::HTTP_11;
        head.extensions = http::Extensions::new();
        Response::from_parts(head, ResponseBody::stream(body, flight, lease, silence, deadline))
    }
}
