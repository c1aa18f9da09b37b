//! The decision record: what happened to one exchange, from accept to log.
//!
//! The access log, `explain`, error pages and traces are views of it; nothing is computed twice. It is written by
//! the exchange that owns it and never shared while it is written.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use portcullis_plugin::{Costs, Failure};
use smallvec::SmallVec;

use crate::{backend::group::Chosen, error::Error};

/// One exchange.
#[derive(Clone, Debug)]
pub struct Record {
    /// `X-Request-Id`: the client's where it is usable (1 to 128 visible ASCII characters), else made here.
    pub id: Box<str>,
    /// When the head had arrived (for a refused connection: when it was accepted).
    pub started: SystemTime,
    /// The connection it came on.
    pub connection: Arc<Connection>,
    /// Number of the snapshot it was served by.
    pub generation: u64,
    /// What kind of exchange it was.
    pub kind: ExchangeKind,
    /// As sent; empty where no head could be read.
    pub method: Box<str>,
    /// The raw target as sent, cut at 2 KiB.
    pub target: Box<str>,
    /// Without port, lower case; empty where there is none.
    pub host: Box<str>,
    /// `HTTP/1.0`, `HTTP/1.1`, `HTTP/2.0`, or empty.
    pub version: &'static str,
    /// `User-Agent`, cut at 256 bytes.
    pub user_agent: Option<Box<str>>,
    /// The client's address after trusted `Forwarded`.
    pub client: SocketAddr,
    /// The route that won.
    pub route: Option<Arc<str>>,
    /// Routes that were looked at and did not match, with the predicate that failed.
    pub misses: SmallVec<[NearMiss; 1]>,
    /// The backend that the route chose.
    pub backend: Option<Arc<str>>,
    /// Every try at an endpoint, in order. The last one answered, if any did.
    pub attempts: SmallVec<[Attempt; 1]>,
    /// What each plugin of the route had to say, in the chain's order.
    pub plugins: Vec<PluginPart>,
    /// The plugin that responded or closed.
    pub decided_by: Option<Arc<str>>,
    /// Status sent to the client; 0 when none was sent.
    pub status: u16,
    /// Request body bytes received.
    pub received: u64,
    /// Response body bytes sent.
    pub sent: u64,
    /// What went wrong, if anything.
    pub error: Option<Error>,
    /// How the exchange ended.
    pub end: End,
    /// From `started` to the head of the backend's response.
    pub first_byte: Option<Duration>,
    /// From `started` to the end.
    pub total: Duration,
}

impl Record {
    /// An empty record of `connection`; what was not reached stays empty.
    pub fn new(kind: ExchangeKind, connection: &Arc<Connection>, generation: u64, started: SystemTime) -> Self {
        Self {
            id: Box::default(),
            started,
            connection: connection.clone(),
            generation,
            kind,
            method: Box::default(),
            target: Box::default(),
            host: Box::default(),
            version: "",
            user_agent: None,
            client: connection.client,
            route: None,
            misses: SmallVec::new(),
            backend: None,
            attempts: SmallVec::new(),
            plugins: Vec::new(),
            decided_by: None,
            status: 0,
            received: 0,
            sent: 0,
            error: None,
            end: End::ClientGone,
            first_byte: None,
            total: Duration::ZERO,
        }
    }
}

/// What kind of exchange a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// A request and its response.
    Http,
    /// A request that became a tunnel (101, WebSocket).
    Upgrade,
    /// A raw TCP connection.
    Tcp,
    /// A TLS connection passed through by SNI.
    Passthrough,
    /// A connection that never became an exchange: refused handshake, bad PROXY header.
    Refused,
}

impl ExchangeKind {
    /// The word in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Upgrade => "upgrade",
            Self::Tcp => "tcp",
            Self::Passthrough => "passthrough",
            Self::Refused => "refused",
        }
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Response (or tunnel) complete.
    Complete,
    /// The client went away before the end.
    ClientGone,
    /// The response was cut off: the backend broke, or a limit was reached after the head was sent.
    Aborted,
    /// The drain deadline came.
    Drained,
}

impl End {
    /// The word in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client_gone",
            Self::Aborted => "aborted",
            Self::Drained => "drained",
        }
    }
}

/// A connection, as every exchange on it sees it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Unique in this process.
    pub id: u64,
    /// The listener's name.
    pub listener: Arc<str>,
    /// The address it was accepted on.
    pub local: SocketAddr,
    /// The TCP peer.
    pub peer: SocketAddr,
    /// The client: the peer, or what a trusted PROXY header says.
    pub client: SocketAddr,
    /// What the handshake settled, when TLS was terminated here (or peeked at, for passthrough).
    pub tls: Option<Tls>,
}

/// What a TLS handshake settled.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// `TLSv1.2` or `TLSv1.3`; empty for passthrough.
    pub version: &'static str,
    /// The cipher suite's registered name; empty for passthrough.
    pub cipher: &'static str,
    /// The name asked for, lower case.
    pub sni: Option<Arc<str>>,
    /// The protocol agreed on.
    pub alpn: Option<&'static str>,
    /// The name of the certificate shown.
    pub certificate: Option<Arc<str>>,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// The ClientHello's fingerprint, where a plugin in force could ask for it when the connection was made.
    pub ja4: Option<Arc<str>>,
}

/// A route that did not match, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The route.
    pub route: Arc<str>,
    /// The first predicate that failed.
    pub failed: Predicate,
}

/// A predicate of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// Not a route of this listener.
    Listener,
    /// The name in the handshake.
    Sni,
    /// The host.
    Host,
    /// The path.
    Path,
    /// The method.
    Method,
    /// A header field.
    Header,
    /// A query parameter.
    Query,
    /// The client's network.
    Client,
    /// It matches too; another one is more specific or has priority.
    Outranked,
}

impl Predicate {
    /// The word in logs and in `explain`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Sni => "sni",
            Self::Host => "host",
            Self::Path => "path",
            Self::Method => "method",
            Self::Header => "header",
            Self::Query => "query",
            Self::Client => "client",
            Self::Outranked => "outranked",
        }
    }
}

/// A plugin's part in an exchange.
#[derive(Clone, Debug)]
pub struct PluginPart {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The last verdict that was not to go on as it was; `continue` when there was none.
    pub verdict: &'static str,
    /// The phase of that verdict.
    pub phase: &'static str,
    /// Calls and time by phase. The log phase comes after the record.
    pub costs: Costs,
    /// What it has to say of the exchange: a JSON object on one line.
    pub note: Option<Box<str>>,
    /// How it failed, if it did.
    pub failure: Option<Box<Failure>>,
}

/// One try at an endpoint.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The endpoint's address.
    pub address: SocketAddr,
    /// The name that led to it; empty where it is written as an address.
    pub name: Arc<str>,
    /// Why this endpoint.
    pub chosen: Choice,
    /// How old the DNS answer was, where there was a name.
    pub dns_age: Option<Duration>,
    /// Whether that answer was past its TTL.
    pub dns_stale: bool,
    /// Whether a pooled connection was used.
    pub reused: bool,
    /// How long connecting (with TLS) took.
    pub connect: Option<Duration>,
    /// What went wrong with this try.
    pub error: Option<Error>,
}

impl Attempt {
    /// A try at the chosen endpoint that is about to begin.
    pub(crate) fn new(chosen: &Chosen) -> Self {
        Self {
            address: chosen.endpoint.address,
            name: chosen.endpoint.name.clone(),
            chosen: chosen.choice,
            dns_age: chosen.dns_age,
            dns_stale: chosen.dns_stale,
            reused: false,
            connect: None,
            error: None,
        }
    }
}

/// Why an endpoint was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The only one that could be.
    Only,
    /// Its turn.
    Turn,
    /// The fewest open exchanges.
    FewestOpen,
    /// The better of two drawn.
    BetterOfTwo,
    /// Another one, after a try failed.
    Retry,
    /// All were ejected but this backend has no other (panic routing is not done: this says the ejection had just ended).
    Probe,
}

impl Choice {
    /// The word in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::Turn => "turn",
            Self::FewestOpen => "fewest_open",
            Self::BetterOfTwo => "better_of_two",
            Self::Retry => "retry",
            Self::Probe => "probe",
        }
    }
}
