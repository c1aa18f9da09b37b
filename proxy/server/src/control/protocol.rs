//! What goes over the control socket: one request and one reply, each a line of JSON.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most bytes of a request, its line feed included.
pub(super) const REQUEST_BYTES: usize = 1 << 20;

/// Most bytes of a reply. The status of ten thousand routes and backends is a few megabytes.
pub(super) const REPLY_BYTES: u64 = 64 << 20;

/// What a command asks of the running process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How it is doing.
    Status {},
    /// Read the configuration again, now.
    Reload {},
    /// The record of one of the last exchanges.
    Recall {
        /// Its `X-Request-Id`.
        id: String,
    },
    /// What would become of a request.
    Explain(ExplainRequest),
    /// A name as the proxy sees it.
    Dns {
        /// The name.
        name: String,
        /// Ask for SRV records instead of addresses.
        #[serde(default)]
        service: bool,
    },
    /// The next exchanges, with their bodies.
    Record(RecordRequest),
    /// Something about ordered certificates.
    Certs(CertsRequest),
}

/// What is to be done with ordered certificates.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum CertsRequest {
    /// All of them.
    List {},
    /// Order one anew, now.
    Renew {
        /// The name that it is for.
        host: String,
    },
    /// Keep one that comes from elsewhere.
    Import {
        /// The name that it is for.
        host: String,
        /// PEM, leaf first.
        chain: String,
        /// PEM.
        key: String,
    },
    /// The root of this machine's own authority.
    Root {},
    /// One with its key.
    Export {
        /// The name that it is for.
        host: String,
    },
}

/// Without keys.
impl std::fmt::Debug for CertsRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::List {} => f.write_str("List"),
            Self::Root {} => f.write_str("Root"),
            Self::Renew { host } => write!(f, "Renew({host})"),
            Self::Import { host, .. } => write!(f, "Import({host})"),
            Self::Export { host } => write!(f, "Export({host})"),
        }
    }
}

/// Exchanges to record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordRequest {
    /// Only those of this route.
    #[serde(default)]
    pub route: Option<String>,
    /// How many at most.
    pub count: usize,
    /// How long at most, in seconds.
    pub seconds: u64,
    /// Bytes of each body.
    pub body_bytes: usize,
}

/// A request to explain, not to send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainRequest {
    /// The method.
    pub method: String,
    /// An absolute `http://` or `https://` URL. Its host is the name in the handshake, and `Host` unless `headers` has one.
    pub url: String,
    /// Header fields in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The name in the handshake, where it is not the URL's host.
    #[serde(default)]
    pub sni: Option<String>,
    /// The whole head as it would come over HTTP/1, each byte as the character of the same number, where a raw request is to be
    /// explained: its framing is checked first. The fields above say the same.
    #[serde(default)]
    pub head: Option<String>,
    /// The listener's name; where there is none, the one that the URL's scheme and port lead to.
    #[serde(default)]
    pub listener: Option<String>,
    /// The client's address; where there is none, loopback.
    #[serde(default)]
    pub client: Option<IpAddr>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// As asked.
    Ok(Value),
    /// Not as asked.
    Error(Failure),
}

/// Why a request was not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// One sentence for the person who must act.
    pub message: String,
    /// What a script can use, such as the mistakes in a configuration that was not taken.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, detail: Value::Null }
    }
}
