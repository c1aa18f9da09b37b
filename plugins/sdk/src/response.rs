//! Responses that a plugin makes itself.

use crate::{Field, Response};

impl Response {
    /// A response with that status (200 to 599), without fields and body. The proxy adds `content-length` and `date`.
    pub const fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Vec::new() }
    }

    /// Adds a field.
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

    /// A body of plain text, with its `content-type`.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.field("content-type", "text/plain; charset=utf-8").body(text.into())
    }

    /// A body of JSON, with its `content-type`. `json` is the text itself.
    #[must_use]
    pub fn json(self, json: impl Into<String>) -> Self {
        self.field("content-type", "application/json").body(json.into())
    }

    /// A body of HTML, with its `content-type`.
    #[must_use]
    pub fn html(self, html: impl Into<String>) -> Self {
        self.field("content-type", "text/html; charset=utf-8").body(html.into())
    }

    /// The first field of that name, as text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).and_then(Field::text)
    }
}
