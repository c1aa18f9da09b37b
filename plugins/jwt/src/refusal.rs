//! Why a request is not let through, and what the client is told (RFC 6750 section 3).

use portcullis_sdk::Response;

/// A reason. The texts go to the client; they are ours and hold nothing that would need escaping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No token. 401, without an error code, because nothing was wrong yet.
    Missing,
    /// More than one token, or one where it cannot be read. 400.
    Request(&'static str),
    /// The token is not good. 401.
    Token(&'static str),
    /// The token is good, and not for this. 403.
    Scope(&'static str),
    /// There are no keys to check it with: not the client's doing. 503.
    NoKeys,
}

impl Refusal {
    /// The answer. `challenge` is `Bearer` with its realm, if there is one; `scopes` are those that the route needs, space between.
    pub fn response(&self, challenge: &str, scopes: &str) -> Response {
        let more = if challenge.contains('=') { "," } else { "" };
        let error =
            |code: &str, text: &str| format!("{challenge}{more} error=\"{code}\", error_description=\"{text}\"");
        let (status, field) = match self {
            Self::Missing => (401, challenge.to_owned()),
            Self::Request(text) => (400, error("invalid_request", text)),
            Self::Token(text) => (401, error("invalid_token", text)),
            Self::Scope(text) if scopes.is_empty() => (403, error("insufficient_scope", text)),
            Self::Scope(text) => (403, format!("{}, scope=\"{scopes}\"", error("insufficient_scope", text))),
            Self::NoKeys => return Response::new(503).field("retry-after", "1").field("cache-control", "no-store"),
        };
        Response::new(status).field("www-authenticate", field).field("cache-control", "no-store")
    }
}
