//! What a plugin declares that it wants to see.

use crate::bindings::exports::portcullis::filter::filter::{AtLimit, BodyMode, Declaration, Hold, Phases};

/// The phases that a plugin wants. One that is not wanted is never called and costs nothing.
///
/// ```
/// use portcullis_sdk::{Body, Wants};
///
/// let wants = Wants::new().request_head().request_body(Body::hold(1 << 20).refuse()).response_body(Body::Stream);
/// # let _ = wants;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    pub(crate) phases: Phases,
    pub(crate) request_body: Body,
    pub(crate) response_body: Body,
}

impl Wants {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { phases: Phases::empty(), request_body: Body::None, response_body: Body::None }
    }

    /// The request's head.
    pub const fn request_head(mut self) -> Self {
        self.phases = self.phases.union(Phases::REQUEST_HEAD);
        self
    }

    /// The response's head.
    pub const fn response_head(mut self) -> Self {
        self.phases = self.phases.union(Phases::RESPONSE_HEAD);
        self
    }

    /// The end of the exchange.
    pub const fn log(mut self) -> Self {
        self.phases = self.phases.union(Phases::LOG);
        self
    }

    /// The request's body, so.
    pub const fn request_body(mut self, body: Body) -> Self {
        self.request_body = body;
        self
    }

    /// The response's body, so.
    pub const fn response_body(mut self, body: Body) -> Self {
        self.response_body = body;
        self
    }

    pub(crate) fn declaration(self) -> Declaration {
        Declaration {
            phases: self.phases,
            request_body: self.request_body.mode(),
            response_body: self.response_body.mode(),
        }
    }
}

impl Default for Wants {
    fn default() -> Self {
        Self::new()
    }
}

/// How a body is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Not at all.
    None,
    /// Piece by piece, as they arrive. The head has gone before and can no longer be changed.
    Stream,
    /// In one piece, before anything has passed. See [`Body::hold`].
    Hold(Holding),
}

impl Body {
    /// Holds head and body until the plugin has seen the whole body in one call, up to `limit` bytes (1 to 1 GiB). The instance
    /// must have memory for it. What becomes of a longer body must be said: [`refuse`](Holding::refuse) or
    /// [`inspect`](Holding::inspect).
    pub const fn hold(limit: u64) -> Holding {
        Holding { limit, inspect: false }
    }

    fn mode(self) -> BodyMode {
        match self {
            Self::None => BodyMode::None,
            Self::Stream => BodyMode::Stream,
            Self::Hold(Holding { limit, inspect }) => {
                BodyMode::Hold(Hold { limit, at_limit: if inspect { AtLimit::Inspect } else { AtLimit::Refuse } })
            }
        }
    }
}

/// A body to be held up to a limit, see [`Body::hold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    pub(crate) limit: u64,
    pub(crate) inspect: bool,
}

impl Holding {
    /// A longer body is answered with 413 (a request) or 502 (a response), without asking the plugin.
    pub const fn refuse(self) -> Body {
        Body::Hold(Self { inspect: false, ..self })
    }

    /// Of a longer body the plugin sees what fits, ended by [`BodyEnd::Limit`](crate::BodyEnd::Limit); the rest follows unseen.
    pub const fn inspect(self) -> Body {
        Body::Hold(Self { inspect: true, ..self })
    }
}
