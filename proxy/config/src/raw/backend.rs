//! `[backend.NAME]`.

use std::{path::PathBuf, time::Duration};

use super::{
    Filled,
    choice::choice,
    endpoint::Endpoint,
    net::{host_name, is_ip_like},
    number::Whole,
    table::table,
    text::{Problem, Written},
};
use crate::backend::{Balance, ProxyVersion};

table! {
    /// A named group of origins with its policy.
    Backend {
        /// Where it is: URLs with an address or a name and nothing behind it, or `{ url = "...", weight = 3 }`. Schemes: `http`,
        /// `https`, `h2c`, `tcp`, `tls`; with `+srv` behind it the name has SRV records.
        endpoints: Filled<Endpoint> = required,
        /// Which endpoint is next. Default `round-robin`.
        balance: Balance,
        /// How connections are kept, per endpoint and per worker.
        pool: Pool,
        /// How long the parts of an exchange may take.
        time: Times,
        /// When an endpoint is left alone for a while.
        health: Health,
        /// How often an exchange is tried again where that is safe. Default 2, at most 10.
        retries: Whole<0, 10>,
        /// TLS towards `https` and `tls` endpoints.
        tls: BackendTls,
        /// Sends a PROXY protocol header of this version first. Default: none.
        proxy_protocol: ProxyVersion,
        /// Lets public names lead to loopback and link-local addresses. Default false.
        allow_local: bool,
    }
}

table! {
    /// How connections to an endpoint are kept.
    Pool {
        /// Idle connections kept. Default 256.
        idle: Whole<0, 65_536>,
        /// How long one is kept idle. Default 30s.
        idle_time: Duration,
        /// Open connections. Default 1024. Over it: exchanges wait for `time.connect`, then 503.
        connections: Whole<1, 1_000_000>,
        /// Exchanges at once on one HTTP/2 connection. Default 100.
        streams: Whole<1, 65_535>,
    }
}

table! {
    /// Deadlines of an exchange with a backend.
    Times {
        /// Look-up, connect and TLS handshake of one try. Default 5s.
        connect: Duration,
        /// From the end of the request to the head of the response. Default 60s. Over it: 504.
        first_byte: Duration,
        /// Silence inside a response's body. Default 5m. Over it: the response is aborted.
        idle: Duration,
        /// The whole exchange with the backend. Default: unbounded here.
        total: Duration,
    }
}

table! {
    /// Ejects an endpoint after errors in a row.
    Health {
        /// Errors in a row that eject; 0 never ejects. Default 3.
        errors: Whole<0, 1_000_000>,
        /// How long the first ejection is; doubled by each that follows. Default 1s.
        eject: Duration,
        /// How long an ejection is at the most. Default 1m.
        eject_max: Duration,
    }
}

table! {
    /// TLS towards an endpoint.
    BackendTls {
        /// PEM file with the authorities to believe. Default: the system's.
        ca: PathBuf,
        /// The name sent and verified. Default: the endpoint's host.
        sni: ServerName,
        /// `false` accepts any certificate. Default true.
        verify: bool,
    }
}

choice!(Balance, "a way to balance", {
    "round-robin" => Balance::RoundRobin,
    "weighted" => Balance::RoundRobin,
    "least-requests" => Balance::LeastRequests,
    "power-of-two-choices" => Balance::PowerOfTwoChoices,
});

choice!(ProxyVersion, "a version of the PROXY protocol", {
    "v1" => ProxyVersion::V1,
    "v2" => ProxyVersion::V2,
});

/// A name for a TLS handshake.
#[derive(Clone, Debug)]
pub(crate) struct ServerName(pub(crate) String);

impl Written for ServerName {
    const KIND: &'static str = "a host name";
    const EXAMPLES: &'static [&'static str] = &["origin.example.com"];

    fn parse(text: &str) -> Result<Self, Problem> {
        match is_ip_like(text) || text.contains(':') {
            true => Err(Problem::new("an address cannot be sent as the server's name").expected("a host name")),
            false => host_name(text).map(Self),
        }
    }
}
