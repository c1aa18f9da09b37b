//! `[backend.NAME]`: a named group of origins with its policy.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use crate::{Location, names::BackendName};

/// A named group of origins with its policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// The table's key.
    pub name: BackendName,
    /// Where the table starts.
    pub at: Location,
    /// At least one; all with the same scheme.
    pub endpoints: Vec<Origin>,
    /// Which endpoint is next.
    pub balance: Balance,
    /// How connections are kept.
    pub pool: Pool,
    /// How long the parts of an exchange with a backend may take.
    pub time: Times,
    /// When an endpoint is left alone for a while.
    pub health: PassiveHealth,
    /// How often an exchange is tried again where that is safe. Default 2, at most 10.
    pub retries: u32,
    /// For `https` and `tls` endpoints.
    pub tls: BackendTls,
    /// A PROXY protocol header before everything else on each connection, which then serves one client only.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Lets names of public resolvers lead to loopback and link-local addresses. Default false.
    pub allow_local: bool,
}

/// One written endpoint: an origin by address or by name. A name stands for every address it resolves to.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Where it is written.
    pub at: Location,
    /// What is spoken there.
    pub scheme: Scheme,
    /// Address or name.
    pub host: OriginHost,
    /// From the URL, or the scheme's own (80, 443). `tcp` and `tls` have none: required there. 0 for [`OriginHost::Srv`], whose records bring the port.
    pub port: u16,
    /// Share under [`Balance::RoundRobin`] and the others; 1 to 1000, default 1. Every address of a name has it. SRV
    /// weights replace it.
    pub weight: u32,
}

/// What is spoken to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1.
    Http,
    /// TLS, then HTTP/2 or HTTP/1.1 as ALPN decides.
    Https,
    /// HTTP/2 with prior knowledge, no TLS.
    H2c,
    /// Bytes (TCP listeners, passthrough).
    Tcp,
    /// Bytes inside TLS (TCP listeners).
    Tls,
}

/// Where an origin is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OriginHost {
    /// An address.
    Ip(IpAddr),
    /// A name with A and AAAA records; lower case, without a trailing dot. Bare names (`my-api`) are as good as dotted ones.
    Name(String),
    /// A name with SRV records: `http+srv://_http._tcp.app.example`.
    Srv(String),
}

/// How the next endpoint is chosen. All respect weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn, smoothly by weight. `weighted` is the same under another name. The default.
    RoundRobin,
    /// The one with the fewest exchanges open per weight.
    LeastRequests,
    /// The better of two drawn at random (Mitzenmacher 2001).
    PowerOfTwoChoices,
}

/// How connections to an endpoint are kept. Bounds are per endpoint and per worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Idle connections kept. Default 256.
    pub idle: usize,
    /// How long one is kept idle. Default 30s (below the 60s or so after which origins close).
    pub idle_time: Duration,
    /// Open connections. Default 1024. Over it: exchanges wait for `time.connect`, then 503.
    pub connections: usize,
    /// Exchanges at once on one HTTP/2 connection before another is opened. Default 100.
    pub streams: usize,
}

/// Deadlines of an exchange with a backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// Look-up, connect and TLS handshake of one try. Default 5s. Over it: the next endpoint, then 504.
    pub connect: Duration,
    /// From the end of the request (or its last progress) to the head of the response. Default 60s. Over it: 504.
    pub first_byte: Duration,
    /// Silence inside a response body, and of both sides of a stream. Default 5m. Over it: the response is aborted.
    pub idle: Duration,
    /// The whole exchange with the backend; `None`, the default: unbounded here (the listener's `request_time` still holds).
    pub total: Option<Duration>,
}

/// Ejects an endpoint after errors in a row: connection failures, resets, time-outs, garbage (not statuses).
#[derive(Clone, Debug, PartialEq)]
pub struct PassiveHealth {
    /// Errors in a row that eject; 0 never ejects. Default 3.
    pub errors: u32,
    /// The first ejection's length, doubled by each one that follows without a success between. Default 1s.
    pub eject: Duration,
    /// The longest ejection. Default 1m.
    pub eject_max: Duration,
}

/// TLS towards an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendTls {
    /// PEM file with the authorities to believe; default: the system's.
    pub ca: Option<PathBuf>,
    /// Name sent and verified; default: the origin's host.
    pub sni: Option<String>,
    /// `verify = false` accepts any certificate; the log warns at each load. Default true.
    pub verify: bool,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// The text form.
    V1,
    /// The binary form.
    V2,
}
