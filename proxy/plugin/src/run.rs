//! A plugin's part in one exchange.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};

use crate::{Failure, FailureKind, Local, Plugin, Verdict};

/// A request's head, as plugins are shown it.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// As sent.
    pub method: &'a str,
    /// Whether the client used TLS.
    pub https: bool,
    /// Host and port as sent.
    pub authority: &'a str,
    /// Path and query as sent.
    pub target: &'a str,
    /// As sent.
    pub version: http::Version,
    /// All fields.
    pub fields: &'a HeaderMap,
}

/// A response's head, as plugins are shown it.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// 200 to 599.
    pub status: StatusCode,
    /// All fields.
    pub fields: &'a HeaderMap,
}

/// The end of a body.
#[derive(Clone, Copy, Debug)]
pub enum BodyEnd<'a> {
    /// All was seen; the trailers, if any came.
    Complete(Option<&'a HeaderMap>),
    /// The limit of a held body was reached.
    Limit,
    /// The sender went away.
    Cut,
}

/// Who is on the other side. Asked for only when a guest asks.
#[derive(Clone, Debug)]
pub struct Facts {
    /// After trusted proxies.
    pub client: SocketAddr,
    /// Of the TCP connection.
    pub peer: SocketAddr,
    /// What the handshake settled, on TLS connections.
    pub tls: Option<Arc<TlsFacts>>,
    /// The listener's name.
    pub listener: Arc<str>,
    /// The route's name.
    pub route: Arc<str>,
    /// `X-Request-Id`.
    pub request_id: Box<str>,
}

/// What a TLS handshake settled.
#[derive(Clone, Debug, Default)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The name asked for.
    pub sni: Option<String>,
    /// The protocol agreed on.
    pub alpn: Option<String>,
    /// The subject of the verified client certificate.
    pub client_certificate: Option<String>,
    /// JA4.
    pub ja4: Option<String>,
}

/// What became of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// As sent; 0 when none was.
    pub status: u16,
    /// Request body bytes.
    pub received: u64,
    /// Response body bytes.
    pub sent: u64,
    /// From the head to the end.
    pub duration: Duration,
    /// The backend's name.
    pub backend: Option<&'a str>,
    /// The address that answered.
    pub endpoint: Option<SocketAddr>,
    /// The kind of error.
    pub error: Option<&'a str>,
    /// The plugin that responded or closed.
    pub decided_by: Option<&'a str>,
}

/// The five phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The request's head.
    RequestHead,
    /// The request's body.
    RequestBody,
    /// The response's head.
    ResponseHead,
    /// The response's body.
    ResponseBody,
    /// The end.
    Log,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 5] =
        [Self::RequestHead, Self::RequestBody, Self::ResponseHead, Self::ResponseBody, Self::Log];

    /// The word in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestHead => "request_head",
            Self::RequestBody => "request_body",
            Self::ResponseHead => "response_head",
            Self::ResponseBody => "response_body",
            Self::Log => "log",
        }
    }
}

/// What a run has cost so far, by phase in the order of [`Phase::ALL`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Costs {
    /// Calls.
    pub calls: [u32; 5],
    /// Time of this thread, instances that had to be made included.
    pub time: [Duration; 5],
}

/// A plugin's part in one exchange. Making one costs nothing; an instance is taken at the first call and given back on drop.
///
/// Calls are cancel-safe in that dropping their future ends the guest; the run then fails in every later call. After a failure every
/// call fails alike: whether the exchange goes on without the plugin is for the caller to say (`on_failure`).
pub struct Run {
    local: Rc<Local>,
    facts: Option<Box<Facts>>,
    costs: Costs,
}

impl Run {
    /// For an exchange that begins. `facts` is asked only if the plugin can ask for them.
    pub(crate) fn new(local: Rc<Local>, facts: impl FnOnce() -> Facts) -> Self {
        let facts = local.plugin().wants_facts().then(|| Box::new(facts()));
        Self { local, facts, costs: Costs::default() }
    }

    /// Of which plugin.
    pub fn plugin(&self) -> &Arc<Plugin> {
        self.local.plugin()
    }

    /// What it has cost so far.
    pub fn costs(&self) -> &Costs {
        &self.costs
    }

    /// Shows the request's head. Only to be called if it is wanted; so with all phases.
    ///
    /// # Errors
    /// When the plugin fails.
    pub async fn request_head(&mut self, head: RequestHead<'_>) -> Result<Verdict, Failure> {
        let _ = (head, &self.facts);
        Err(Failure::new(FailureKind::Trap, "not there yet"))
    }

    /// Shows a piece of the request's body, or all of it to a plugin that holds it.
    ///
    /// # Errors
    /// When the plugin fails.
    pub async fn request_body(&mut self, data: &[u8], end: Option<BodyEnd<'_>>) -> Result<Verdict, Failure> {
        let _ = (data, end);
        Err(Failure::new(FailureKind::Trap, "not there yet"))
    }

    /// Shows the response's head.
    ///
    /// # Errors
    /// When the plugin fails.
    pub async fn response_head(&mut self, head: ResponseHead<'_>) -> Result<Verdict, Failure> {
        let _ = head;
        Err(Failure::new(FailureKind::Trap, "not there yet"))
    }

    /// Shows a piece of the response's body, or all of it to a plugin that holds it.
    ///
    /// # Errors
    /// When the plugin fails.
    pub async fn response_body(&mut self, data: &[u8], end: Option<BodyEnd<'_>>) -> Result<Verdict, Failure> {
        let _ = (data, end);
        Err(Failure::new(FailureKind::Trap, "not there yet"))
    }

    /// Tells it the end. Nothing comes after it.
    ///
    /// # Errors
    /// When the plugin fails.
    pub async fn log(&mut self, summary: Summary<'_>) -> Result<(), Failure> {
        let _ = summary;
        Err(Failure::new(FailureKind::Trap, "not there yet"))
    }
}
