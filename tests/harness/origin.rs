//! Origins in this process.
//!
//! [`Origin`] speaks HTTP and does what the last segment of a request's path says, see [`stock`]; [`raw`] scripts
//! connections byte by byte; [`grpc`] is a gRPC service.

pub mod grpc;
pub mod raw;
pub mod stock;
mod websocket;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{port::Port, scenario::runtime};

/// The body of an origin's response. An error in it breaks the connection or resets the stream.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What an origin does with a request.
pub type Handler =
    Arc<dyn Fn(Request<Incoming>, Arc<Shared>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> + Send + Sync>;

/// An HTTP origin. Ends, with its connections, when dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    stage: watch::Sender<Stage>,
    _port: Option<Port>,
}

/// An origin before it listens.
pub struct Plan {
    name: String,
    versions: Versions,
    tls: Option<Arc<ServerConfig>>,
    address: Option<SocketAddr>,
    handler: Handler,
}

/// What an origin speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Versions {
    Http1,
    Http2,
    /// As ALPN says.
    Agreed,
}

/// How far an origin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Here,
    Leaving,
    Gone,
}

/// What an origin knows about itself and has seen.
#[derive(Debug)]
pub struct Shared {
    /// The name it answers with.
    pub name: String,
    connections: AtomicUsize,
    open: AtomicUsize,
    requests: Mutex<Vec<Seen>>,
    number: AtomicUsize,
}

/// A request that an origin has seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// `Host` or `:authority`.
    pub host: String,
    /// Header fields.
    pub headers: HeaderMap,
}

/// Requests remembered; scenarios under load count, and do not look at each.
const REQUESTS_MAX: usize = 10_000;

impl Origin {
    /// An HTTP/1.1 origin named `origin` with the stock behaviours.
    pub async fn start() -> Self {
        Self::plan("origin").start().await
    }

    /// An HTTP/1.1 origin with the stock behaviours that answers with `name`.
    pub async fn named(name: &str) -> Self {
        Self::plan(name).start().await
    }

    /// The beginning of an origin that is something else.
    pub fn plan(name: &str) -> Plan {
        Plan {
            name: name.to_owned(),
            versions: Versions::Http1,
            tls: None,
            address: None,
            handler: Arc::new(|request, shared| Box::pin(stock::answer(request, shared))),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends as servers do that are told to: nothing is accepted any more, and connections close after the exchange they are in.
    pub fn leave(&self) {
        self.accepting.abort();
        self.stage.send_replace(Stage::Leaving);
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// How many requests have come.
    pub fn count(&self) -> usize {
        self.shared.number.load(SeqCst)
    }

    /// The first ten thousand requests.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last request, if one came.
    pub fn last(&self) -> Option<Seen> {
        self.requests().pop()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
        self.stage.send_replace(Stage::Gone);
    }
}

impl Plan {
    /// HTTP/2 with prior knowledge instead of HTTP/1.1.
    #[must_use]
    pub fn h2c(mut self) -> Self {
        self.versions = Versions::Http2;
        self
    }

    /// TLS, and the HTTP version that ALPN agrees on.
    #[must_use]
    pub fn tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.versions = Versions::Agreed;
        self.tls = Some(config);
        self
    }

    /// Listens here instead of a free port of `127.0.0.1`.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Does this with requests.
    #[must_use]
    pub fn answering<F>(mut self, answer: impl Fn(Request<Incoming>, Arc<Shared>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        self.handler = Arc::new(move |request, shared| Box::pin(answer(request, shared)));
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When the address is taken.
    pub async fn start(self) -> Origin {
        let port = self.address.is_none().then(Port::reserve);
        let address = self.address.or(port.as_ref().map(Port::address)).expect("one of the two is there");
        let listener = listen(address).await;
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            name: self.name.clone(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            requests: Mutex::default(),
            number: AtomicUsize::new(0),
        });
        let (stage, watched) = watch::channel(Stage::Here);
        let accepting = runtime().spawn(accept(listener, self, shared.clone(), watched));
        Origin { address, shared, accepting, stage, _port: port }
    }
}

impl Shared {
    fn note(&self, request: &Request<Incoming>) {
        self.number.fetch_add(1, SeqCst);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() < REQUESTS_MAX {
            let host = request.headers().get("host").map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
            requests.push(Seen {
                method: request.method().to_string(),
                target: request.uri().path_and_query().map_or_else(|| request.uri().to_string(), ToString::to_string),
                host: request.uri().authority().map(ToString::to_string).or(host).unwrap_or_default(),
                headers: request.headers().clone(),
            });
        }
    }
}

/// Binds `address`.
///
/// # Panics
/// When it is taken.
pub(crate) async fn listen(address: SocketAddr) -> TcpListener {
    TcpListener::bind(address).await.unwrap_or_else(|error| panic!("{address} cannot be bound: {error}"))
}

async fn accept(listener: TcpListener, plan: Plan, shared: Arc<Shared>, stage: watch::Receiver<Stage>) {
    let plan = Arc::new(plan);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        drop(stream.set_nodelay(true));
        shared.connections.fetch_add(1, SeqCst);
        let (plan, shared, stage) = (plan.clone(), shared.clone(), stage.clone());
        tokio::spawn(async move {
            shared.open.fetch_add(1, SeqCst);
            let mut gone = stage.clone();
            tokio::select! {
                () = connection(stream, &plan, &shared, stage) => {}
                _ = gone.wait_for(|stage| *stage == Stage::Gone) => {}
            }
            shared.open.fetch_sub(1, SeqCst);
        });
    }
}

async fn connection(stream: TcpStream, plan: &Plan, shared: &Arc<Shared>, stage: watch::Receiver<Stage>) {
    match &plan.tls {
        None => serve(stream, plan.versions, plan, shared, stage).await,
        Some(config) => {
            let Ok(stream) = TlsAcceptor::from(config.clone()).accept(stream).await else { return };
            let versions = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Versions::Http2,
                _ => Versions::Http1,
            };
            serve(stream, versions, plan, shared, stage).await;
        }
    }
}

/// Until the connection ends; how it ends is the client's business.
async fn serve<S>(stream: S, versions: Versions, plan: &Plan, shared: &Arc<Shared>, mut stage: watch::Receiver<Stage>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        shared.note(&request);
        let answer = (plan.handler)(request, shared.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let io = TokioIo::new(stream);
    let leaving = stage.wait_for(|stage| *stage != Stage::Here);
    match versions {
        Versions::Http2 => {
            let connection =
                hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service);
            let mut connection = pin!(connection);
            tokio::select! {
                ended = &mut connection => return drop(ended),
                _ = leaving => connection.as_mut().graceful_shutdown(),
            }
            drop(connection.await);
        }
        Versions::Http1 | Versions::Agreed => {
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
            let mut connection = pin!(connection.with_upgrades());
            tokio::select! {
                ended = &mut connection => return drop(ended),
                _ = leaving => connection.as_mut().graceful_shutdown(),
            }
            drop(connection.await);
        }
    }
}
