//! One request and its response, from the head to the answer: [`run`] shows the whole way.

use std::{borrow::Cow, panic::AssertUnwindSafe, pin::pin, rc::Rc, sync::Arc, task::Poll, time::Instant};

use futures_util::FutureExt;
use http::{HeaderValue, Method, Request, Response, Uri, header, request::Parts, uri::PathAndQuery};
use hyper::body::Incoming;
use portcullis_plugin::Facts;

use crate::{
    acme,
    connection::ClientConnection,
    download::ResponseBody,
    error::{Error, Kind},
    flight::{Flight, Sentence},
    forward,
    http::{
        forwarded::Origin,
        guard,
        hop::{self, Hop},
        path,
        raw::{self, RawTarget},
        target,
    },
    plugins::{self, Chain},
    record::{ExchangeKind, Predicate, Record},
    refused, respond,
    route::Query,
    snapshot::{Action, RouteState},
    tape::Tape,
    upload::{self, RequestBody, Upload},
    worker::{View, Worker},
};

/// The header that carries an exchange's id.
pub const REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");

/// Serves one exchange. Never fails: what goes wrong becomes an answer, in `respond`. `admitted` is what the HTTP/1 guard knows
/// of the request; it has to be asked when hyper calls the service, because hyper may read the next head before it polls this future.
///
/// Dropping the future ends the exchange; its record then says that the client went away.
///
/// # Errors
/// [`Closed`], when a plugin wants no answer to be sent.
pub async fn run(
    connection: Rc<ClientConnection>,
    request: Request<Incoming>,
    admitted: Option<guard::Admitted>,
) -> Result<Response<ResponseBody>, Closed> {
    // The snapshot is taken here and kept to the end: an exchange sees one configuration.
    let worker = connection.worker.clone();
    let snapshot = worker.snapshot();
    let mut exchange = Exchange::begin(&connection, &snapshot, &request, admitted);
    let is_head = *request.method() == Method::HEAD;
    let answer = unless_panic(&worker, exchange.serve(request)).await;
    let Exchange { flight, close, .. } = exchange;
    match answer {
        Ok(answer) => answer.into_response(flight, is_head),
        Err(error) => Ok(respond::error(flight, error, is_head, close)),
    }
}

/// No answer is sent: hyper closes the connection (HTTP/1) or resets the stream (HTTP/2).
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
pub struct Closed;

/// A panic is a bug; it ends this exchange with a 500 and is counted. The connection's other exchanges and the worker go on.
async fn unless_panic<T>(worker: &Worker, serving: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // What a panic leaves half done belongs to the exchange, which ends here: its lease is not given back, its record is closed.
    AssertUnwindSafe(serving).catch_unwind().await.unwrap_or_else(|_| {
        worker.counters.panics.up();
        Err(Error::proxy(Kind::ProxyInternalError, "a panic; this is a bug in portcullis, please report it"))
    })
}

/// What an exchange is answered with, before it owns its record.
pub enum Answer {
    /// Made here.
    Own(Response<bytes::Bytes>),
    /// From a backend.
    Forwarded(Box<forward::Forwarded>),
    /// None: a plugin closes.
    Close,
}

impl Answer {
    fn into_response(self, flight: Flight, is_head: bool) -> Result<Response<ResponseBody>, Closed> {
        match self {
            Self::Own(response) => Ok(respond::own(flight, response, is_head)),
            Self::Forwarded(forwarded) => Ok(forwarded.into_response(flight)),
            Self::Close => {
                if let Some(upload) = &flight.upload {
                    upload.abandon();
                }
                Err(Closed)
            }
        }
    }
}

/// The state of one exchange while its answer is being found.
pub struct Exchange<'a> {
    /// The connection it came on.
    pub connection: &'a Rc<ClientConnection>,
    /// The configuration it is served by.
    pub snapshot: &'a Rc<View>,
    /// Its record.
    pub flight: Flight,
    /// Whether the connection closes after the answer.
    pub close: bool,
    /// Whether the client asks to switch protocols.
    pub upgrade: bool,
    refusal: Option<Box<guard::Refusal>>,
    /// The target as sent, where the URI does not say.
    pub raw_target: Option<Arc<RawTarget>>,
}

/// A request that was let in: what routing looks at.
pub struct Admitted<'a> {
    /// The path for matching.
    pub normal_path: Cow<'a, str>,
    /// As it came.
    pub query: Option<&'a str>,
}

impl<'a> Exchange<'a> {
    fn begin(
        connection: &'a Rc<ClientConnection>,
        snapshot: &'a Rc<View>,
        request: &Request<Incoming>,
        admitted: Option<guard::Admitted>,
    ) -> Self {
        let (mut refusal, mut raw_target, mut upgrade, mut in_flight, mut begun) = (None, None, false, None, None);
        if let Some(admitted) = admitted {
            begun = Some(admitted.complete_at.into_std());
            refusal = admitted.refusal;
            raw_target = admitted.raw_target;
            upgrade = admitted.upgrade;
            in_flight = Some(admitted.in_flight);
        }
        let begun = begun.unwrap_or_else(Instant::now);
        let started = connection.worker.wall_clock(begun);
        let mut record = Box::new(Record::new(ExchangeKind::Http, &connection.facts, snapshot.generation, started));
        if let Some(refusal) = &refusal {
            record.method = refusal.method.clone();
            record.target = refusal.target.clone();
        } else {
            record.method = request.method().as_str().into();
            record.target = match &raw_target {
                Some(raw) => clip_text(raw.whole(), TARGET_KEPT),
                None => target_of(request.uri()),
            };
            record.version = version_name(request.version());
            record.user_agent = request.headers().get(header::USER_AGENT).map(|value| clip(value, 256));
        }
        let mut flight = Flight::begin(connection.clone(), snapshot.clone(), record, begun, in_flight);
        if let Some(deadline) = begun.checked_add(connection.listener.config.limits.request_time) {
            flight.sentence.deadline.set(Some(deadline));
        }
        flight.record.id = request_id(request.headers().get(&REQUEST_ID));
        Self { connection, snapshot, flight, close: refusal.is_some(), upgrade, refusal, raw_target }
    }

    /// The way of an exchange: admit, route, plugins, forward, plugins, answer.
    async fn serve(&mut self, request: Request<Incoming>) -> Result<Answer, Error> {
        if let Some(refusal) = self.refusal.take() {
            return Err(refused::by_guard(self, *refusal).await);
        }
        let (mut parts, body) = request.into_parts();
        let uri = self.encoded(std::mem::take(&mut parts.uri));
        let admitted = match self.admit(&parts, &uri) {
            Ok(admitted) => admitted,
            Err(error) => {
                let raw = self.raw_target.clone();
                let authority = uri.authority().map(|authority| authority.as_str());
                let target = match (&raw, authority) {
                    (Some(raw), _) => raw.path_and_query(),
                    // The form that CONNECT has (RFC 9112 section 3.2.3).
                    (None, Some(authority)) if parts.method == Method::CONNECT => authority.into(),
                    _ => path_of(&uri).into(),
                };
                refused::at_door(self, &parts, authority, &target).await;
                return Err(error);
            }
        };
        // Before routing: authorities must reach it whatever routes there are.
        if let Some(answer) = acme::http01(&self.snapshot.acme, &parts.method, uri.path()) {
            return Ok(Answer::Own(answer));
        }
        let (route, origin) = self.route(&parts, &admitted)?;
        let upload = self.receive(&body)?;
        if let Some(tape) = self.connection.worker.shared.recorder.tape(&route.name, &parts, &uri) {
            self.record_on(tape, &upload);
        }
        let Some(chain) = self.chain(route, &route.chain, &origin) else {
            let body = RequestBody::of(body, &upload);
            return self.act(parts, &uri, &uri, &admitted, route, &origin, body, upload).await;
        };
        // Boxed: what waits for plugins is large, and exchanges without them would carry the room for it.
        Box::pin(self.through(chain, parts, &uri, &admitted, route, &origin, body, upload)).await
    }

    /// The target as a URI, in the form that routes and backends read. The guard has encoded it in HTTP/1; the h2 crate lets in
    /// what its URIs hold, which is more than RFC 3986 does.
    fn encoded(&mut self, uri: Uri) -> Uri {
        let target = path_of(&uri);
        if self.connection.guard.is_some() || !matches!(raw::unencoded(target.as_bytes()), Ok(1..)) {
            return uri;
        }
        let mut encoded = Vec::with_capacity(target.len() + 16);
        raw::encode(target.as_bytes(), &mut encoded);
        let Ok(encoded) = PathAndQuery::from_maybe_shared(bytes::Bytes::from(encoded)) else { return uri };
        self.raw_target = Some(Arc::new(RawTarget::new(target.as_bytes(), 0)));
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(encoded);
        // Only the path and query are others, so it stays one.
        Uri::from_parts(parts).unwrap_or(uri)
    }

    /// The same way, with plugins on it.
    #[allow(clippy::too_many_arguments)]
    async fn through(
        &mut self,
        chain: Rc<Chain>,
        mut parts: Parts,
        uri: &Uri,
        admitted: &Admitted<'_>,
        route: &RouteState,
        origin: &Origin,
        body: Incoming,
        upload: Rc<Upload>,
    ) -> Result<Answer, Error> {
        let sentence = self.flight.sentence.clone();
        let method = parts.method.clone();
        let raw = self.raw_target.clone();
        let raw = raw.as_ref().map(|raw| raw.path_and_query());
        let inward = plugins::inward(&chain, &mut parts, uri, raw.as_deref(), origin.https, &upload, body);
        let (body, edited) = match until_stopped(&sentence, &upload, inward).await? {
            Ok(passed) => passed,
            Err(stop) => {
                let stopped = plugins::stopped(self, &chain, stop, &method);
                return until_stopped(&sentence, &upload, stopped).await?;
            }
        };
        let answer = match &edited {
            None => self.act(parts, uri, uri, admitted, route, origin, body, upload.clone()).await,
            Some(edited) => {
                let normal_path =
                    path::normalise(edited.path()).map_err(|error| Error::plugin(Kind::ProxyInternalError, error.0))?;
                let admitted = Admitted { normal_path, query: edited.query() };
                self.act(parts, uri, edited, &admitted, route, origin, body, upload.clone()).await
            }
        };
        // It may have been ended while its body was being sent; then what became of that is of no consequence.
        let outward = async {
            match chain.take_stop() {
                Some(stop) => plugins::stopped(self, &chain, stop, &method).await,
                None => plugins::outward(self, &chain, answer?, chain.len(), &method).await,
            }
        };
        until_stopped(&sentence, &upload, outward).await?
    }

    /// Takes this exchange down.
    fn record_on(&mut self, tape: Tape, upload: &Upload) {
        let tape = Rc::new(tape);
        if upload.is_finished() {
            tape.request_end();
        }
        upload.record_on(tape.clone());
        self.flight.tape = Some(tape);
    }

    /// Those plugins of the route in this exchange that are at `positions`; `None` where there are none.
    pub fn chain(&mut self, route: &RouteState, positions: &[usize], origin: &Origin) -> Option<Rc<Chain>> {
        if positions.is_empty() {
            return None;
        }
        let record = &*self.flight.record;
        let connection = &self.connection.facts;
        let facts = || Facts {
            client: origin.client,
            peer: connection.peer,
            server: connection.local,
            tls: self.connection.tls_facts(),
            listener: connection.listener.clone(),
            route: route.name.clone(),
            request_id: record.id.clone(),
            absolute_target: self.raw_target.as_ref().and_then(|raw| raw.absolute()).map(Box::from),
        };
        let locals = positions.iter().map(|&position| (position, &self.snapshot.locals[position]));
        let chain = Chain::begin(locals, self.flight.sentence.clone(), facts);
        self.flight.chain = Some(chain.clone());
        Some(chain)
    }

    /// What the route does. `target` is what the backend is asked for, `admitted` with it; mostly `uri`, what the client asked for.
    #[allow(clippy::too_many_arguments)]
    async fn act(
        &mut self,
        mut parts: Parts,
        uri: &Uri,
        target: &Uri,
        admitted: &Admitted<'_>,
        route: &RouteState,
        origin: &Origin,
        body: RequestBody,
        upload: Rc<Upload>,
    ) -> Result<Answer, Error> {
        let answer = match &route.action {
            Action::Forward(shares) => {
                let backend = shares.pick(fastrand::u32(..));
                let outbound = self.outbound(&mut parts, target, admitted, route, origin)?;
                return forward::forward(self, route, backend, parts, outbound, body, upload).await;
            }
            Action::Redirect(to) => {
                let sent = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
                let authority = sent.or(uri.authority().map(|authority| authority.as_str())).unwrap_or_default();
                respond::redirect(to, uri, authority, &self.flight.record.host, origin.https, route)
            }
            Action::Respond { status, body, content_type } => {
                Ok(respond::fixed(*status, body, content_type.as_ref(), route))
            }
            Action::Passthrough(_) => {
                Err(Error::proxy(Kind::ProxyConfigurationError, "a passthrough route took an HTTP request"))
            }
        };
        if let (Some(tape), Ok(Answer::Own(response))) = (&self.flight.tape, &answer) {
            tape.response_head(response.status(), response.headers(), Some(response.body()));
        }
        answer
    }

    /// Framing was checked by the guard (HTTP/1) or by hyper (HTTP/2); here: host, target, sizes.
    fn admit<'r>(&mut self, parts: &Parts, uri: &'r Uri) -> Result<Admitted<'r>, Error> {
        let connection = self.connection;
        let counters = &connection.worker.counters;
        let malformed = |detail: &'static str| {
            counters.requests_malformed.up();
            Error::client(Kind::HttpRequestError, 400, detail)
        };
        let port = if connection.is_tls() { 443 } else { 80 };
        let host = target::of_request(uri.authority().map(|authority| authority.as_str()), &parts.headers, port)
            .map_err(|error| malformed(error.0))?
            .map(|authority| authority.host)
            .unwrap_or_default();
        // The guard sees to HTTP/1; an HTTP/2 request may come without either field (RFC 9113 section 8.3.1).
        if host.is_empty() && connection.guard.is_none() {
            return Err(malformed("the request names no host: `:authority` is missing"));
        }
        self.flight.record.host = host.into();
        let host = &*self.flight.record.host;
        if parts.method == Method::CONNECT {
            return Err(Error::client(Kind::HttpRequestDenied, 501, "CONNECT: this is not a forward proxy"));
        }
        if connection.guard.is_none() {
            // HTTP/1 heads were measured by the guard as they came.
            let limits = &connection.listener.config.limits;
            if uri.path_and_query().map_or(0, |target| target.as_str().len() as u64) > limits.target_length.bytes() {
                counters.targets_too_long.up();
                return Err(Error::client(Kind::HttpRequestError, 414, "the target is over limits.target_length"));
            }
            // As HTTP/2 counts a header list (RFC 9113 section 10.5.1).
            let size: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
            if size as u64 > limits.header_bytes.bytes() {
                counters.heads_too_large.up();
                return Err(Error::client(Kind::HttpRequestError, 431, "the head is over limits.header_bytes"));
            }
            if parts.headers.len() > limits.header_count {
                counters.heads_too_large.up();
                return Err(Error::client(Kind::HttpRequestError, 431, "more fields than limits.header_count"));
            }
        }
        let sni = connection.facts.tls.as_ref().and_then(|tls| tls.sni.as_deref());
        if sni.is_some_and(|sni| sni != host) {
            counters.misdirected.up();
            return Err(Error::client(
                Kind::HttpRequestError,
                421,
                "the request is for another host than the one the TLS handshake named",
            ));
        }
        let normal_path = path::normalise(uri.path()).map_err(|error| malformed(error.0))?;
        let query = uri.query();
        if connection.guard.is_none()
            && let Some(query) = query
        {
            path::check_query(query).map_err(|error| malformed(error.0))?;
        }
        Ok(Admitted { normal_path, query })
    }

    fn route(&mut self, parts: &Parts, admitted: &Admitted<'_>) -> Result<(&'a RouteState, Origin), Error> {
        let connection = self.connection;
        let origin = connection.forwarded.origin(&parts.headers, &connection.listener.config.trusted);
        let record: &mut Record = &mut self.flight.record;
        record.client = origin.client;
        let query = Query {
            listener: connection.listener_index(self.snapshot).unwrap_or(usize::MAX),
            sni: connection.facts.tls.as_ref().and_then(|tls| tls.sni.as_deref()),
            host: &record.host,
            path: &admitted.normal_path,
            method: parts.method.as_str(),
            headers: &parts.headers,
            query: admitted.query,
            client: record.client.ip(),
        };
        let Some(index) = self.snapshot.table.find(&query, &mut record.misses) else {
            connection.worker.counters.unrouted.up();
            let detail = if record.misses.is_empty() {
                "no route is for this host"
            } else if record.misses.iter().any(|miss| miss.failed != Predicate::Host) {
                "routes for this host exist, but none matches (see `misses`)"
            } else {
                "no route matches"
            };
            let mut error = Error::client(Kind::DestinationNotFound, 404, detail);
            error.origin = crate::error::Origin::Proxy;
            return Err(error);
        };
        let route = &*self.snapshot.routes[index];
        record.route = Some(route.name.clone());
        self.flight.sentence.route.set(Some(index));
        Ok((route, origin))
    }

    /// The request body's bounds.
    fn receive(&mut self, body: &Incoming) -> Result<Rc<Upload>, Error> {
        let limits = &self.connection.listener.config.limits;
        let limit = limits.body_size.bytes();
        let declared = http_body::Body::size_hint(body).lower();
        if declared > limit {
            self.connection.worker.counters.bodies_too_large.up();
            self.close = true;
            return Err(upload::too_large(limit));
        }
        let upload = Upload::new(limit, limits.body_idle_time, http_body::Body::is_end_stream(body));
        self.flight.upload = Some(upload.clone());
        Ok(upload)
    }

    /// Turns the request's head into the backend's: hop-by-hop fields go, the proxy's own come, edits are made. Gives the target
    /// to ask the backend for, and what was taken off.
    fn outbound(
        &self,
        parts: &mut Parts,
        uri: &Uri,
        admitted: &Admitted<'_>,
        route: &RouteState,
        origin: &Origin,
    ) -> Result<(PathAndQuery, Hop), Error> {
        let headers = &mut parts.headers;
        let hop = hop::strip(headers);
        let host = match headers.get(header::HOST) {
            Some(host) => host.clone(),
            None => {
                let authority = uri.authority().map_or(&*self.flight.record.host, |authority| authority.as_str());
                let host = HeaderValue::from_str(authority)
                    .map_err(|_| Error::client(Kind::HttpRequestError, 400, "the host is no header value"))?;
                headers.insert(header::HOST, host.clone());
                host
            }
        };
        self.connection.forwarded.set(origin, host.to_str().unwrap_or_default(), headers);
        if let Ok(id) = HeaderValue::from_str(&self.flight.record.id) {
            headers.insert(REQUEST_ID, id);
        }
        // The proxy answers for itself: hyper sends 100 once the backend takes the body.
        headers.remove(header::EXPECT);
        let unchanged = || uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let Some(edits) = &route.edits else { return Ok((unchanged(), hop)) };
        edits.request_headers.apply(headers);
        if let Some(host) = &edits.host {
            headers.insert(header::HOST, host.clone());
        }
        let target = edits
            .target(&admitted.normal_path, admitted.query)
            .map_err(|error| Error::client(Kind::HttpRequestError, 400, error.0))?;
        Ok((target.unwrap_or_else(unchanged), hop))
    }
}

/// Waits for `work`, but only until the exchange must stop.
async fn until_stopped<T>(sentence: &Sentence, upload: &Upload, work: impl Future<Output = T>) -> Result<T, Error> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        sentence.poll(cx).map(|end| Err(forward::stopped(end, upload)))
    })
    .await
}

/// The id of an exchange: the client's when it is 1 to 128 visible ASCII characters, else a new one.
fn request_id(given: Option<&HeaderValue>) -> Box<str> {
    match given.map(HeaderValue::as_bytes) {
        Some(id) if (1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic) => {
            String::from_utf8_lossy(id).into()
        }
        _ => new_id(),
    }
}

/// 128 random bits in hexadecimal. Not a secret: it only has to be unique.
pub fn new_id() -> Box<str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bits = fastrand::u128(..);
    let mut id = String::with_capacity(32);
    for _ in 0..32 {
        id.push(char::from(DIGITS[(bits & 15) as usize]));
        bits >>= 4;
    }
    id.into_boxed_str()
}

/// Bytes of a target that are kept in its record.
const TARGET_KEPT: usize = 2048;

/// The target as sent (for HTTP/2: path and query), cut at 2 KiB.
fn target_of(uri: &Uri) -> Box<str> {
    match uri.path_and_query() {
        Some(target) if uri.authority().is_none() || target.as_str().len() <= TARGET_KEPT => {
            clip_text(target.as_str(), TARGET_KEPT)
        }
        _ => clip_text(&uri.to_string(), TARGET_KEPT),
    }
}

/// Path and query.
fn path_of(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", PathAndQuery::as_str)
}

/// Text cut at `limit` bytes, between characters.
fn clip_text(text: &str, limit: usize) -> Box<str> {
    text[..text.floor_char_boundary(limit)].into()
}

fn version_name(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_11 => "HTTP/1.1",
        http::Version::HTTP_2 => "HTTP/2.0",
        _ => "",
    }
}

/// A header value as text, cut at `limit` bytes.
fn clip(value: &HeaderValue, limit: usize) -> Box<str> {
    let bytes = value.as_bytes();
    String::from_utf8_lossy(&bytes[..bytes.len().min(limit)]).into()
}

#[cfg(test)]
mod tests {
    use portcullis_config::load::{Source, parse};
    use tokio::runtime::{Builder, Handle, LocalOptions};

    use super::*;
    use crate::{log::AccessLog, process::ground, shared::Shared, snapshot::build};

    #[test]
    fn a_panic_becomes_a_500_and_is_counted() {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let text = "listener = [{ address = '127.0.0.1:1' }]\nroute = [{ respond = { status = 200 } }]";
            let source = Source { name: "test".into(), text: text.into() };
            let config = parse(&[source]).unwrap().config;
            let ground = ground(1, Handle::current(), &config, "test.toml".as_ref(), None).unwrap();
            let built = build(config, None, &ground).ok().unwrap();
            let shared = Arc::new(Shared::new(Arc::new(built.snapshot)));
            let worker = Worker::new(0, shared, Arc::default(), AccessLog::off());
            let serving = async {
                tokio::task::yield_now().await;
                if worker.index == 0 {
                    panic!("on purpose");
                }
                Ok(())
            };
            let error = unless_panic(&worker, serving).await.unwrap_err();
            assert_eq!((error.status, error.kind), (500, Kind::ProxyInternalError));
            assert_eq!(worker.counters.panics.value(), 1);
            assert!(unless_panic(&worker, async { Ok(7) }).await.is_ok());
        });
    }

    #[test]
    fn keeps_ids_that_are_visible_ascii_and_makes_the_others() {
        let given = |value: &'static [u8]| request_id(Some(&HeaderValue::from_bytes(value).unwrap()));
        assert_eq!(&*given(b"abc-1"), "abc-1");
        for bad in [&b""[..], b"a b", b"\xff", &[b'x'; 129]] {
            let id = given(bad);
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        }
        assert_ne!(request_id(None), request_id(None));
    }
}
