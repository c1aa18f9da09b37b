//! A connection, from accept to its end: PROXY header, ClientHello, TLS, then the protocol inside.
//!
//! Everything that can wait happens in the connection's own task, under a deadline; accepting never waits for it.

use std::{
    cell::{Cell, OnceCell},
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use bytes::BytesMut;
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_config::listener::Protocol;
use portcullis_plugin::TlsFacts;
use smallvec::SmallVec;
use tokio::net::TcpStream;

use crate::{
    acme,
    alarm::Alarm,
    client_io::{ClientIo, Ending},
    error::{Error, Kind},
    exchange,
    http::{
        forwarded::ConnectionHeaders,
        guard::{self, Guard},
    },
    lifeline::{Place, Stage},
    local::LocalExecutor,
    net::{hello, proxy_protocol, rewind::Rewind, tcp::Tcp},
    record::{self, ExchangeKind, Record},
    snapshot::{Entered, Listener},
    tls::handshake,
    tunnel,
    worker::Worker,
};

/// How long a PROXY header may take; senders write it before anything else.
const PROXY_HEADER_TIME: Duration = Duration::from_secs(5);

/// How long a connection may still take to its first request once it is to stop.
const PATIENCE: Duration = Duration::from_secs(1);

/// Buffer of an HTTP/1 connection for what it reads ahead and writes behind.
const HTTP1_BUFFER: usize = 128 << 10;

/// A client's connection, as its exchanges see it.
pub struct ClientConnection {
    /// The worker that serves it.
    pub worker: Rc<Worker>,
    /// The listener it came through, as it was then.
    pub listener: Arc<Listener>,
    /// For the record.
    pub facts: Arc<record::Connection>,
    /// How it is told to stop; dropped at the very end.
    pub place: Place,
    /// The HTTP/1 guard's side of things.
    pub guard: Option<Arc<guard::Shared>>,
    /// How it ends when it ends now.
    pub ending: Arc<Ending>,
    /// Forwarded headers that are the same for all its exchanges.
    pub forwarded: ConnectionHeaders,
    /// What plugins may know of the handshake, once one has asked.
    tls_facts: OnceCell<Option<Arc<TlsFacts>>>,
    /// Since when no exchange is open.
    pub idle_since: Cell<Instant>,
    /// The listener's position in the snapshot of a generation.
    index: Cell<(u64, Option<usize>)>,
    /// Counted in at its listener and on its worker for as long as it lasts, also when an upgrade has made a tunnel of it.
    _counted: (Entered, OpenCount),
}

/// Starts the task of an accepted connection.
pub fn start(worker: &Rc<Worker>, listener: Arc<Listener>, stream: TcpStream, peer: SocketAddr) {
    worker.counters.connections.up();
    let Ok(local) = stream.local_addr() else { return };
    let peer = canonical(peer);
    let Some(entered) = listener.lasting.enter(listener.config.connections) else {
        worker.counters.connections_over_limit.up();
        let detail = format!("the listener has {} connections open (connections)", listener.config.connections);
        let opening = Opening { worker, listener: &listener, local, peer, client: peer };
        return opening.refuse(None, Error::client(Kind::ConnectionLimitReached, 0, detail));
    };
    worker.counters.connections_open.up();
    let owner = worker.clone();
    let worker = worker.clone();
    owner.spawn(async move {
        let open = OpenCount(worker.clone());
        serve(&worker, listener, stream, local, peer, (entered, open)).await;
    });
}

struct OpenCount(Rc<Worker>);

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.counters.connections_open.down();
    }
}

/// What is known of a connection before it has become one for exchanges.
struct Opening<'a> {
    worker: &'a Rc<Worker>,
    listener: &'a Listener,
    local: SocketAddr,
    peer: SocketAddr,
    client: SocketAddr,
}

impl Opening<'_> {
    fn facts(&self, tls: Option<record::Tls>) -> Arc<record::Connection> {
        Arc::new(record::Connection {
            id: self.worker.next_connection(),
            listener: self.listener.name.clone(),
            local: self.local,
            peer: self.peer,
            client: self.client,
            tls,
        })
    }

    /// Records a connection that does not become an exchange.
    fn refuse(&self, tls: Option<record::Tls>, error: Error) {
        refused(self.worker, &self.facts(tls), error);
    }
}

/// Records what ended a connection outside of any exchange.
fn refused(worker: &Worker, facts: &Arc<record::Connection>, error: Error) {
    let generation = worker.snapshot().generation;
    let mut record = Box::new(Record::new(ExchangeKind::Refused, facts, generation, SystemTime::now()));
    record.id = exchange::new_id();
    record.end = record::End::Aborted;
    record.error = Some(error);
    worker.finish(record);
}

async fn serve(
    worker: &Rc<Worker>,
    listener: Arc<Listener>,
    stream: TcpStream,
    local: SocketAddr,
    peer: SocketAddr,
    counted: (Entered, OpenCount),
) {
    let stage = if worker.shared.stop.is_cancelled() { Stage::Stop } else { Stage::Open };
    let place = worker.lifelines.add(listener.lasting.clone(), stage);
    let mut opening = Opening { worker, listener: &listener, local, peer, client: peer };
    let lifeline = place.lifeline.clone();
    // A connection that has asked for nothing when the process stops gets a moment to do so, not the whole drain.
    let mut patience = Alarm::new();
    let mut stopping = false;
    let ended = std::future::poll_fn(|cx| match lifeline.poll(cx) {
        Stage::End => Poll::Ready(()),
        Stage::Open => Poll::Pending,
        Stage::Stop => {
            if !stopping {
                stopping = true;
                patience.set_after(PATIENCE);
            }
            patience.poll(cx)
        }
    });
    // Boxed, here and below: what a connection needs to begin and to end must not take room for as long as it lasts.
    let opened = Box::pin(async {
        tokio::select! {
            biased;
            opened = open(&mut opening, stream) => opened,
            () = ended => Opened::Over,
        }
    })
    .await;
    let (io, facts, h2, since) = match opened {
        Opened::Http { io, facts, h2, since } => (io, facts, h2, since),
        Opened::Bytes { stream, facts } => {
            let Some(backend) = listener.backend.clone() else { return };
            let flight = tunnel::begin(worker, &facts, ExchangeKind::Tcp, &place.lifeline, None);
            return Box::pin(tunnel::forward(flight, stream, &backend, listener.config.limits.tunnel_idle_time)).await;
        }
        Opened::Passthrough { stream, facts, route } => {
            let snapshot = worker.snapshot();
            let flight = tunnel::begin(
                worker,
                &facts,
                ExchangeKind::Passthrough,
                &place.lifeline,
                Some((route, &snapshot.routes[route])),
            );
            let crate::snapshot::Action::Passthrough(backend) = &snapshot.routes[route].action else { return };
            let backend = backend.clone();
            drop(snapshot);
            return Box::pin(tunnel::forward(flight, stream, &backend, listener.config.limits.tunnel_idle_time)).await;
        }
        Opened::Over => return,
    };
    let mut connection = ClientConnection {
        worker: worker.clone(),
        forwarded: ConnectionHeaders::new(facts.client, facts.tls.is_some(), &listener.config.trusted),
        listener,
        facts,
        place,
        guard: None,
        ending: io.ending(),
        tls_facts: OnceCell::new(),
        idle_since: Cell::new(Instant::now()),
        index: Cell::new((0, None)),
        _counted: counted,
    };
    if h2 {
        Box::pin(serve_http2(Rc::new(connection), io)).await;
    } else {
        let rules = Arc::new(guard::Rules::new(&connection.listener.config.limits));
        let (mut io, guard) = Guard::new(io, rules);
        io.begun_at(since);
        connection.guard = Some(guard);
        Box::pin(serve_http1(Rc::new(connection), io)).await;
    }
}

enum Opened {
    /// `since`: when the first bytes of a request head came, if that was before now.
    Http {
        io: ClientIo,
        facts: Arc<record::Connection>,
        h2: bool,
        since: Option<tokio::time::Instant>,
    },
    Bytes {
        stream: Rewind<TcpStream>,
        facts: Arc<record::Connection>,
    },
    Passthrough {
        stream: Rewind<TcpStream>,
        facts: Arc<record::Connection>,
        route: usize,
    },
    Over,
}

/// Everything before the first exchange.
async fn open(opening: &mut Opening<'_>, mut stream: TcpStream) -> Opened {
    // Everything that is read before somebody takes the connection over.
    let mut buffer = BytesMut::new();
    let worker = opening.worker;
    let listener = opening.listener;
    let config = &listener.config;
    if config.proxy_protocol.contains(opening.peer.ip()) {
        let deadline = tokio::time::Instant::now() + PROXY_HEADER_TIME;
        match proxy_protocol::read(&mut stream, &mut buffer, deadline).await {
            Ok(proxy_protocol::Header::Proxied { client, local }) => {
                opening.client = canonical(client);
                opening.local = canonical(local);
            }
            Ok(_) => {}
            Err(error) => {
                worker.counters.proxy_header_errors.up();
                opening.refuse(None, error.into());
                return Opened::Over;
            }
        }
    }
    let client = opening.client.ip();
    if config.deny.contains(client) || !(config.allow.is_empty() || config.allow.contains(client)) {
        worker.counters.connections_denied.up();
        let detail = format!("{client} is not let in by `allow` and `deny`");
        opening.refuse(None, Error::client(Kind::HttpRequestDenied, 0, detail));
        return Opened::Over;
    }
    if matches!(config.protocol, Protocol::Tcp { .. }) {
        return Opened::Bytes { stream: Rewind::new(buffer.freeze(), stream), facts: opening.facts(None) };
    }
    let stall = config.limits.body_idle_time;
    let (Some(tls), Some(policy)) = (&listener.tls, &config.tls) else {
        let Some(first) = preface(stream, buffer, config.limits.idle_time, config.limits.header_time).await else {
            return Opened::Over;
        };
        let First { stream, h2, since } = first;
        return Opened::Http { io: ClientIo::plain(stream, stall), facts: opening.facts(None), h2, since };
    };
    let deadline = tokio::time::Instant::now() + policy.handshake_time;
    let hello = match hello::read(&mut stream, &mut buffer, deadline).await {
        Ok(hello) => hello,
        // A port check, or a browser's spare connection: nothing was asked for.
        Err(hello::HelloError::Closed(0)) => return Opened::Over,
        Err(error) => {
            let error: Error = error.into();
            return refused_handshake(opening, None, error);
        }
    };
    let snapshot = worker.snapshot();
    // Before passthrough: what is proved here is asked of nobody behind.
    if let Some(challenge) = acme::tls_alpn01(&snapshot.acme, &hello) {
        drop(snapshot);
        if let Err(error) = challenge.answer(stream, buffer, deadline).await {
            let detail =
                format!("an authority came to check a challenge (tls-alpn-01), and the handshake failed: {error}");
            let tls = record::Tls { sni: hello.sni.clone(), ..Default::default() };
            return refused_handshake(opening, Some(tls), Error::client(Kind::TlsProtocolError, 400, detail));
        }
        worker.counters.handshakes.up();
        return Opened::Over;
    }
    let passed = snapshot
        .by_name(&listener.name)
        .and_then(|index| snapshot.passthrough.find(index, hello.sni.as_deref(), client, &mut SmallVec::new()));
    if let Some(route) = passed {
        let facts = opening.facts(Some(record::Tls { sni: hello.sni, ..Default::default() }));
        return Opened::Passthrough { stream: Rewind::new(buffer.freeze(), stream), facts, route };
    }
    let ja4 = snapshot.wants_ja4.then(|| hello::ja4(&buffer)).flatten();
    drop(snapshot);
    match handshake::accept(Tcp(stream), &hello, buffer, tls, opening.local.ip(), deadline).await {
        Ok((stream, mut tls)) => {
            tls.ja4 = ja4;
            worker.counters.handshakes.up();
            let h2 = tls.alpn == Some("h2");
            Opened::Http { io: ClientIo::tls(stream, stall), facts: opening.facts(Some(tls)), h2, since: None }
        }
        Err(error) => {
            refused_handshake(opening, Some(record::Tls { sni: hello.sni.clone(), ..Default::default() }), error)
        }
    }
}

fn refused_handshake(opening: &Opening<'_>, tls: Option<record::Tls>, error: Error) -> Opened {
    let counters = &opening.worker.counters;
    match error.kind {
        Kind::ConnectionReadTimeout | Kind::ConnectionTimeout => counters.handshake_timeouts.up(),
        _ => counters.handshake_errors.up(),
    }
    opening.refuse(tls, error);
    Opened::Over
}

/// The client connection preface of HTTP/2 with prior knowledge (RFC 9113 section 3.4). No HTTP/1 request begins with it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection without TLS begins with.
struct First {
    stream: Rewind<Tcp>,
    /// Whether it is the preface of HTTP/2.
    h2: bool,
    /// When the first byte came.
    since: Option<tokio::time::Instant>,
}

/// Waits for the first bytes, without holding a buffer: `idle_time` for the first one, `header_time` for what may become the preface. What
/// does not become it is HTTP/1's to refuse. `None`: the client left, or nothing came.
async fn preface(stream: TcpStream, mut head: BytesMut, idle_time: Duration, header_time: Duration) -> Option<First> {
    let mut since = None;
    let mut patience = Alarm::new();
    patience.set_after(idle_time);
    loop {
        if since.is_none() && !head.is_empty() {
            since = Some(tokio::time::Instant::now());
            patience.set_after(header_time);
        }
        let known = head.len().min(PREFACE.len());
        let h2 = head[..known] == PREFACE[..known];
        if !head.is_empty() && (!h2 || known == PREFACE.len()) {
            return Some(First { stream: Rewind::new(head.freeze(), Tcp(stream)), h2, since });
        }
        let over = patience.bound(stream.readable()).await.transpose().ok()?.is_none();
        let mut first = [0; 4096];
        match if over { Ok(0) } else { stream.try_read(&mut first) } {
            Ok(0) if head.is_empty() => return None,
            Ok(0) => return Some(First { stream: Rewind::new(head.freeze(), Tcp(stream)), h2: false, since }),
            Ok(n) => head.extend_from_slice(&first[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}

async fn serve_http1(connection: Rc<ClientConnection>, io: Guard<ClientIo>) {
    let served = connection.clone();
    let service = service_fn(move |request| {
        let admitted = served.guard.as_ref().map(|guard| guard.admit());
        exchange::run(served.clone(), request, admitted)
    });
    let limits = &connection.listener.config.limits;
    // A target that is encoded may be three times as long as it was sent.
    let head_max = (limits.header_bytes.bytes() + 2 * limits.target_length.bytes()) as usize;
    // Without `pipeline_flush`: with it hyper buffers a response without bound for a client that reads slowly.
    let serving = http1::Builder::new()
        .max_headers(limits.header_count.max(1))
        .max_header_size(head_max.max(1024))
        .max_buf_size(HTTP1_BUFFER.max(head_max + 1024))
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let (mut stopping, mut waiting, mut patience) = (false, false, Alarm::new());
    std::future::poll_fn(|cx| {
        match connection.place.lifeline.poll(cx) {
            Stage::Open => {}
            Stage::Stop if stopping => {}
            Stage::Stop => {
                // Told to stop, hyper closes a connection that it has seen no byte of. What has come is read first, and who
                // has not asked for anything yet has a moment to do so.
                if serving.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                if !std::mem::replace(&mut waiting, true) {
                    patience.set_after(PATIENCE);
                }
                let asked = connection.guard.as_ref().is_none_or(|guard| guard.given() > 0);
                if asked || patience.poll(cx).is_ready() {
                    stopping = true;
                    serving.as_mut().graceful_shutdown();
                }
            }
            Stage::End => return Poll::Ready(()),
        }
        // An error here is a client that went away or was cut off; the exchange's record has it.
        serving.as_mut().poll(cx).map(drop)
    })
    .await;
}

async fn serve_http2(connection: Rc<ClientConnection>, io: ClientIo) {
    let served = connection.clone();
    let service = service_fn(move |request| exchange::run(served.clone(), request, None));
    let limits = &connection.listener.config.limits;
    let serving = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(limits.resets)
        .max_local_error_reset_streams(limits.resets)
        // The exchange measures the head and has a record of it; this is for what is far over.
        .max_header_list_size(u32::try_from(limits.header_bytes.bytes() * 2 + (16 << 10)).unwrap_or(u32::MAX))
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .max_send_buf_size(128 << 10)
        .serve_connection(TokioIo::new(io), service);
    let mut serving = pin!(serving);
    let mut stopping = false;
    let mut idle = Alarm::new();
    let result = std::future::poll_fn(|cx| {
        let idle = is_idle(&connection, &mut idle, cx);
        match connection.place.lifeline.poll(cx) {
            Stage::End => return Poll::Ready(Ok(())),
            stage if (stage == Stage::Stop || idle) && !stopping => {
                stopping = true;
                serving.as_mut().graceful_shutdown();
            }
            // Asked to go, and it neither speaks nor leaves.
            _ if idle && stopping && connection.idle_since.get().elapsed() >= 2 * limits.idle_time => {
                return Poll::Ready(Ok(()));
            }
            _ => {}
        }
        serving.as_mut().poll(cx)
    })
    .await;
    if let Err(error) = result
        && let Some(error) = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<h2::Error>())
        && error.is_library()
        && error.is_go_away()
    {
        connection.worker.counters.http2_goaways.up();
        let detail = format!("the HTTP/2 connection was ended with GOAWAY: {error}");
        let error = Error::client(Kind::HttpProtocolError, 0, detail);
        refused(&connection.worker, &connection.facts, error);
    }
}

/// Whether an HTTP/2 connection has had no exchange for `idle_time`; otherwise its task is woken then. After the first `true` the next look is
/// one `idle_time` later.
fn is_idle(connection: &ClientConnection, alarm: &mut Alarm, cx: &mut Context<'_>) -> bool {
    if connection.place.lifeline.open.get() > 0 {
        alarm.set(None);
        return false;
    }
    let idle_time = connection.listener.config.limits.idle_time;
    let since = connection.idle_since.get();
    let over = since.elapsed() >= idle_time;
    let next = since + if over { 2 * idle_time } else { idle_time };
    alarm.set(Some(next.into()));
    alarm.poll(cx).is_ready() || over
}

impl ClientConnection {
    /// The listener's position in `snapshot`; `None` once it is gone.
    pub fn listener_index(&self, snapshot: &crate::snapshot::Snapshot) -> Option<usize> {
        let (generation, index) = self.index.get();
        if generation == snapshot.generation {
            return index;
        }
        let index = snapshot.by_name(&self.listener.name);
        self.index.set((snapshot.generation, index));
        index
    }

    /// What plugins may know of the TLS handshake.
    pub fn tls_facts(&self) -> Option<Arc<TlsFacts>> {
        let make = || {
            let tls = self.facts.tls.as_ref()?;
            Some(Arc::new(TlsFacts {
                version: tls.version.to_owned(),
                sni: tls.sni.as_deref().map(str::to_owned),
                alpn: tls.alpn.map(str::to_owned),
                // Nobody is asked for a certificate.
                client_certificate: None,
                ja4: tls.ja4.as_deref().map(str::to_owned),
            }))
        };
        self.tls_facts.get_or_init(make).clone()
    }

    /// Whether TLS was terminated here.
    pub fn is_tls(&self) -> bool {
        self.facts.tls.is_some()
    }
}

impl std::fmt::Debug for ClientConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ClientConnection").field(&self.facts.id).finish()
    }
}

/// IPv4 addresses as such, also when they come through an IPv6 socket.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
