//! Requests to backends of the configuration. Grant: `http = ["backend", ...]`.

use std::time::Duration;

use super::imports::http;
use crate::Field;
pub use crate::bindings::portcullis::filter::http::{Error, Request, Response};

/// Sends and waits for the whole response. Other exchanges go on meanwhile.
///
/// # Errors
/// When the backend is not granted, the request is none, or no whole response of at most 1 MiB came in time.
pub fn send(request: &Request) -> Result<Response, Error> {
    http::send(request)
}

impl Request {
    /// A request to a backend, by its name in the configuration. The target is path and query. It may take five seconds.
    pub fn new(backend: impl Into<String>, method: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            backend: backend.into(),
            method: method.into(),
            target: target.into(),
            fields: Vec::new(),
            body: Vec::new(),
            timeout_ms: 5000,
        }
    }

    /// A GET.
    pub fn get(backend: impl Into<String>, target: impl Into<String>) -> Self {
        Self::new(backend, "GET", target)
    }

    /// Adds a field. `host` may be among them; without it the endpoint's own name is used.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push(Field::new(name, value));
        self
    }

    /// The body, at most 1 MiB.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The time for all of it. The plugin's `wait` limit ends the call anyway.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        self
    }
}

impl Response {
    /// A response, as tests script them.
    pub fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push(Field::new(name.into().to_ascii_lowercase(), value));
        self
    }

    /// The body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The first field of that name, as text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).and_then(Field::text)
    }
}
