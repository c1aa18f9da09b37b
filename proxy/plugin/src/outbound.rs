//! Requests that guests make: how they reach whoever can send them.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// Where a worker takes requests of its plugins. Bounded: a full channel is answered with `unavailable`.
pub type OutboundSender = mpsc::Sender<Outbound>;

/// A request of a plugin. Its grant was checked; its head is valid.
#[derive(Debug)]
pub struct Outbound {
    /// Who asks.
    pub plugin: Arc<str>,
    /// The backend to ask.
    pub backend: Arc<str>,
    /// Method, target (origin form), fields, body. Without `host` the endpoint's own name is to be used.
    pub request: http::Request<Bytes>,
    /// When nobody waits any more.
    pub deadline: Instant,
    /// The most bytes of a response's body.
    pub body_max: usize,
    /// Takes the answer; closed when the guest is gone, which ends the request.
    pub reply: oneshot::Sender<Result<http::Response<Bytes>, OutboundError>>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboundError {
    /// There is no such backend.
    Denied(String),
    /// It could not be reached, or broke.
    Unavailable(String),
    /// Not in time.
    Timeout,
    /// The body is over its bound.
    Size,
}
