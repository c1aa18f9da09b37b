//! One worker's connections to endpoints: idle HTTP/1.1 connections, shared HTTP/2 connections, a bound on both.
//!
//! Everything here belongs to one thread. A connection is counted from the moment somebody begins to make it until its
//! task ends, however it ends. Whoever finds the pool full waits in line, until the backend's `time.connect`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::TokioIo;
use tokio::{sync::oneshot, task::AbortHandle};

use super::{
    Backend, Endpoint,
    connect::{Client, Connected, connect},
    group::Chosen,
    last_words::LastWords,
};
use crate::{
    alarm::within,
    error::{Error, Kind, Retry},
    local::LocalExecutor,
    upload::RequestBody,
};

/// Exchanges that may wait for a connection of one pool; more get 503 at once.
const WAITERS_MAX: usize = 4096;

/// How long a connection that was given back may take to be ready for the next exchange.
const SETTLE: Duration = Duration::from_secs(1);

/// Response heads of a backend larger than this are refused (502).
const RESPONSE_HEAD_MAX: usize = 128 << 10;

/// The pools of one worker, by endpoint.
#[derive(Debug, Default)]
pub struct Pools {
    by_endpoint: RefCell<HashMap<u64, Rc<Pool>, FixedState>>,
    clock: Rc<Clock>,
}

/// The time of the worker's last tick: near enough for idle times, and free to read.
#[derive(Debug)]
struct Clock(Cell<Instant>);

impl Default for Clock {
    fn default() -> Self {
        Self(Cell::new(Instant::now()))
    }
}

impl Pools {
    /// The pool of `endpoint`, made if this worker had none.
    pub fn pool(&self, endpoint: &Arc<Endpoint>) -> Rc<Pool> {
        let mut pools = self.by_endpoint.borrow_mut();
        pools.entry(endpoint.id).or_insert_with(|| Rc::new(Pool::new(endpoint.clone(), self.clock.clone()))).clone()
    }

    /// Closes what has been idle for too long and forgets pools of endpoints that are gone. Called about once a second.
    pub fn tick(&self, now: Instant) {
        self.clock.0.set(now);
        self.by_endpoint.borrow_mut().retain(|_, pool| {
            pool.tick(now);
            !(pool.endpoint.is_gone() && pool.open.get() == 0)
        });
    }

    /// Connections of this worker: (open, idle).
    pub fn counts(&self) -> Vec<(u64, usize, usize)> {
        self.by_endpoint
            .borrow()
            .values()
            .map(|pool| (pool.endpoint.id, pool.open.get(), pool.idle.borrow().len()))
            .collect()
    }
}

/// One worker's connections to one endpoint.
#[derive(Debug)]
pub struct Pool {
    endpoint: Arc<Endpoint>,
    idle: RefCell<VecDeque<Idle>>,
    shared: RefCell<Vec<Rc<Shared>>>,
    open: Cell<usize>,
    waiting: RefCell<VecDeque<oneshot::Sender<()>>>,
    /// Whether the last TLS handshake settled on HTTP/2: then one connection is made at a time, for all to share.
    speaks_h2: Cell<bool>,
    connecting: Cell<usize>,
    idle_time: Cell<Duration>,
    idle_max: Cell<usize>,
    clock: Rc<Clock>,
}

#[derive(Debug)]
struct Idle {
    conn: Own,
    since: Instant,
}

/// An HTTP/1.1 connection: what sends on it, and the task that is it.
#[derive(Debug)]
struct Own {
    sender: http1::SendRequest<RequestBody>,
    task: AbortHandle,
}

/// An HTTP/2 connection and how many exchanges are on it.
#[derive(Debug)]
struct Shared {
    sender: http2::SendRequest<RequestBody>,
    streams: Cell<usize>,
    idle_since: Cell<Instant>,
    /// Somebody waited on it in vain: it gets no new exchanges, and ends with its last one.
    doubted: Cell<bool>,
    task: AbortHandle,
}

/// The right to send one request on a connection. Dropping it gives up the connection (HTTP/1.1) or the stream.
#[derive(Debug)]
pub struct Lease {
    pool: Rc<Pool>,
    kind: LeaseKind,
    /// Whether the connection had served before.
    pub reused: bool,
}

#[derive(Debug)]
enum LeaseKind {
    /// `None` once it was given back.
    Own(Option<Own>),
    Stream(Rc<Shared>),
}

/// What is asked of a lease.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// For the PROXY header.
    pub client: Client,
    /// HTTP/1.1, whatever the endpoint might offer: the request wants to upgrade.
    pub http1: bool,
    /// A new connection, because a kept one has just failed.
    pub fresh: bool,
}

/// A lease, and what it took to get it.
#[derive(Debug)]
pub struct Leased {
    /// The lease.
    pub lease: Lease,
    /// The endpoint that was reached: the chosen one, or the other address family of its name.
    pub endpoint: Arc<Endpoint>,
    /// How long connecting took, when a connection was made.
    pub connect: Option<Duration>,
}

impl Pool {
    fn new(endpoint: Arc<Endpoint>, clock: Rc<Clock>) -> Self {
        Self {
            endpoint,
            clock,
            idle: RefCell::default(),
            shared: RefCell::default(),
            open: Cell::new(0),
            waiting: RefCell::default(),
            speaks_h2: Cell::new(false),
            connecting: Cell::new(0),
            idle_time: Cell::new(Duration::from_secs(30)),
            idle_max: Cell::new(0),
        }
    }

    fn tick(&self, now: Instant) {
        let gone = self.endpoint.is_gone();
        let idle_time = self.idle_time.get();
        let mut idle = self.idle.borrow_mut();
        while idle.front().is_some_and(|conn| {
            gone || conn.conn.sender.is_closed() || now.saturating_duration_since(conn.since) >= idle_time
        }) {
            idle.pop_front();
        }
        self.shared.borrow_mut().retain(|conn| {
            let resting = conn.streams.get() == 0;
            !(conn.sender.is_closed()
                || resting && (gone || now.saturating_duration_since(conn.idle_since.get()) >= idle_time))
        });
    }

    fn take_shared(self: &Rc<Self>, streams: usize) -> Option<Lease> {
        let shared = self.shared.borrow();
        let conn = shared.iter().find(|conn| !conn.sender.is_closed() && conn.streams.get() < streams)?;
        conn.streams.set(conn.streams.get() + 1);
        Some(Lease { pool: self.clone(), kind: LeaseKind::Stream(conn.clone()), reused: true })
    }

    fn take_idle(&self) -> Option<Own> {
        let mut idle = self.idle.borrow_mut();
        // The newest first: the oldest then time out (at the tick), and a burst's surplus goes away.
        while let Some(conn) = idle.pop_back() {
            if !conn.conn.sender.is_closed() {
                return Some(conn.conn);
            }
        }
        None
    }

    /// A kept connection that can be used now.
    async fn take(self: &Rc<Self>, streams: usize, http1: bool) -> Option<Lease> {
        if !http1 && let Some(lease) = self.take_shared(streams) {
            return Some(lease);
        }
        while let Some(mut conn) = self.take_idle() {
            // Given back at the last byte of a body: its task may still have to see that it is done.
            if conn.sender.is_ready() || matches!(within(SETTLE, conn.sender.ready()).await, Some(Ok(()))) {
                return Some(Lease { pool: self.clone(), kind: LeaseKind::Own(Some(conn)), reused: true });
            }
        }
        None
    }

    fn next_waiter(&self) {
        while let Some(waiter) = self.waiting.borrow_mut().pop_front() {
            if waiter.send(()).is_ok() {
                break;
            }
        }
    }

    fn give_back(&self, conn: Own) {
        if conn.sender.is_closed() || self.endpoint.is_gone() {
            return;
        }
        {
            let mut idle = self.idle.borrow_mut();
            if idle.len() >= self.idle_max.get() {
                return;
            }
            idle.push_back(Idle { conn, since: self.clock.0.get() });
        }
        self.next_waiter();
    }
}

/// Leases a connection to the chosen endpoint: a kept one, or a new one, or one that somebody gives back in time.
///
/// Dropping the future gives up the place in line or the connection being made.
///
/// # Errors
/// What [`connect`] says; [`Kind::ConnectionLimitReached`] when none was free in time.
pub async fn lease(pools: &Pools, backend: &Backend, chosen: &Chosen, wanted: Wanted) -> Result<Leased, Error> {
    let pool = pools.pool(&chosen.endpoint);
    let policy = &backend.config.pool;
    pool.idle_time.set(policy.idle_time);
    pool.idle_max.set(policy.idle);
    // A PROXY header says whose connection it is: nobody else may use it.
    let personal = backend.config.proxy_protocol.is_some();
    let full = || {
        Error::backend(
            Kind::ConnectionLimitReached,
            Retry::Unsent,
            format!(
                "all {} connections to {} are in use (pool.connections, per worker)",
                policy.connections, chosen.endpoint.address
            ),
        )
    };
    let mut wait_until = None;
    loop {
        if !personal && !wanted.fresh {
            if let Some(lease) = pool.take(policy.streams, wanted.http1).await {
                return Ok(Leased { lease, endpoint: chosen.endpoint.clone(), connect: None });
            }
            // The other address family of the same name, where this one was the slower or did not answer before.
            if chosen.endpoint.health.is_doubtful()
                && let Some(other) = &chosen.alternative
                && let Some(lease) = pools.pool(other).take(policy.streams, wanted.http1).await
            {
                return Ok(Leased { lease, endpoint: other.clone(), connect: None });
            }
        }
        let sharing = pool.speaks_h2.get() && !wanted.http1 && !personal && pool.connecting.get() > 0;
        if pool.open.get() < policy.connections && !sharing {
            // Boxed: it is large and rare, and every exchange would carry the room for it.
            return Box::pin(open(pools, &pool, backend, chosen, wanted)).await;
        }
        if pool.open.get() >= policy.connections && !pool.idle.borrow().is_empty() {
            // The kept ones do not fit (fresh, or HTTP/2 wanted): one makes room.
            pool.idle.borrow_mut().pop_front();
        }
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = pool.waiting.borrow_mut();
            waiting.retain(|waiter| !waiter.is_closed());
            if waiting.len() >= WAITERS_MAX {
                return Err(full());
            }
            waiting.push_back(tell);
        }
        let now = Instant::now();
        let left = wait_until.get_or_insert(now + backend.config.time.connect).saturating_duration_since(now);
        if within(left, told).await.is_none() {
            return Err(full());
        }
    }
}

async fn open(
    pools: &Pools,
    pool: &Rc<Pool>,
    backend: &Backend,
    chosen: &Chosen,
    wanted: Wanted,
) -> Result<Leased, Error> {
    let place = Place::take(pool);
    let connecting = Connecting::begin(pool);
    let begun = Instant::now();
    let connected =
        connect(backend, &chosen.endpoint, chosen.alternative.as_ref(), wanted.client, wanted.http1).await?;
    let Connected { wire, h2, endpoint } = connected;
    let (pool, place) = if endpoint.id == chosen.endpoint.id {
        (pool.clone(), place)
    } else {
        drop(place);
        // The chosen address lost against the other family's, which was given less time: it does not count as good.
        chosen.endpoint.health.failure(
            chosen.probe,
            Instant::now(),
            &backend.config.health,
            "the other address family was faster",
        );
        let pool = pools.pool(&endpoint);
        let place = Place::take(&pool);
        (pool, place)
    };
    pool.speaks_h2.set(h2 && !wanted.http1);
    let protocol_error = |error: hyper::Error| {
        Error::backend(
            Kind::HttpProtocolError,
            Retry::Unsent,
            format!("{} does not speak HTTP as expected: {error}", endpoint.address),
        )
    };
    let kind = if h2 {
        let (sender, connection) = http2::Builder::new(LocalExecutor)
            .timer(hyper_util::rt::TokioTimer::new())
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_send_buf_size(256 << 10)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10))
            .max_header_list_size(RESPONSE_HEAD_MAX as u32)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(protocol_error)?;
        let task = tokio::task::spawn_local(async move {
            let _place = place;
            // How the connection ended reaches the exchanges on it; nobody else needs it.
            let _ = connection.await;
        });
        let conn = Rc::new(Shared {
            sender,
            streams: Cell::new(1),
            idle_since: Cell::new(begun),
            doubted: Cell::new(false),
            task: task.abort_handle(),
        });
        if backend.config.proxy_protocol.is_none() {
            pool.shared.borrow_mut().push(conn.clone());
        }
        LeaseKind::Stream(conn)
    } else {
        let (sender, connection) = http1::Builder::new()
            .max_headers(256)
            .max_buf_size(RESPONSE_HEAD_MAX)
            .max_header_size(RESPONSE_HEAD_MAX)
            .handshake(TokioIo::new(LastWords::new(wire)))
            .await
            .map_err(protocol_error)?;
        let task = tokio::task::spawn_local(async move {
            let _place = place;
            let _ = connection.with_upgrades().await;
        });
        LeaseKind::Own(Some(Own { sender, task: task.abort_handle() }))
    };
    drop(connecting);
    let lease = Lease { pool, kind, reused: false };
    Ok(Leased { lease, endpoint, connect: Some(begun.elapsed()) })
}

/// A counted connection, from before it is made until its task ends.
struct Place(Rc<Pool>);

impl Place {
    fn take(pool: &Rc<Pool>) -> Self {
        pool.open.set(pool.open.get() + 1);
        Self(pool.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        self.0.next_waiter();
    }
}

/// A connection being made; those who could share it wait for its end.
struct Connecting(Rc<Pool>);

impl Connecting {
    fn begin(pool: &Rc<Pool>) -> Self {
        pool.connecting.set(pool.connecting.get() + 1);
        Self(pool.clone())
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.connecting.set(self.0.connecting.get().saturating_sub(1));
        if self.0.connecting.get() == 0 {
            let waiting: Vec<_> = self.0.waiting.borrow_mut().drain(..).collect();
            for waiter in waiting {
                let _ = waiter.send(());
            }
        }
    }
}

impl Lease {
    /// Sends `request`; the head of the response, or the error with the request where it was not sent.
    ///
    /// Dropping the future resets the stream (HTTP/2) or closes the connection (HTTP/1.1).
    ///
    /// # Errors
    /// hyper's, with the request inside when not one byte of it was sent.
    pub async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match &mut self.kind {
            LeaseKind::Own(Some(conn)) => conn.sender.try_send_request(request).await,
            LeaseKind::Own(None) => unreachable!("a lease is given back only by value"),
            LeaseKind::Stream(conn) => conn.sender.clone().try_send_request(request).await,
        }
    }

    /// The endpoint at the other end.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.pool.endpoint
    }

    /// Whether HTTP/2 is spoken.
    pub fn is_h2(&self) -> bool {
        matches!(self.kind, LeaseKind::Stream(_))
    }

    /// No answer came in time. Perhaps the whole connection is dead, which an HTTP/2 connection shares with others: the next exchange
    /// shall not find out the same way.
    pub fn doubt(&self) {
        if let LeaseKind::Stream(conn) = &self.kind {
            conn.doubted.set(true);
            self.pool.shared.borrow_mut().retain(|other| !Rc::ptr_eq(other, conn));
        }
    }

    /// The exchange is over, request and response both whole: the connection may serve the next one.
    pub fn give_back(mut self) {
        if let LeaseKind::Own(conn) = &mut self.kind
            && let Some(conn) = conn.take()
        {
            self.pool.give_back(conn);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let LeaseKind::Own(Some(conn)) = &self.kind {
            // Not given back: the exchange broke off. hyper would first write what it has left, which may never end.
            conn.task.abort();
        }
        if let LeaseKind::Stream(conn) = &self.kind {
            conn.streams.set(conn.streams.get().saturating_sub(1));
            if conn.doubted.get() && conn.streams.get() == 0 {
                // A dead one would keep its place until it is noticed.
                conn.task.abort();
            }
            conn.idle_since.set(self.pool.clock.0.get());
            self.pool.next_waiter();
        }
    }
}
