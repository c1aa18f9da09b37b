//! A plugin's answer in the words of HTTP, checked: nothing that a guest says reaches a message unchecked.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, uri::PathAndQuery};

/// What a plugin decided.
#[derive(Debug)]
pub enum Verdict {
    /// Go on, unchanged.
    Continue,
    /// Go on with changes.
    Edit(Box<Edits>),
    /// Answer the client with this.
    Respond(Box<http::Response<Bytes>>),
    /// End the exchange without an answer.
    Close,
}

impl Verdict {
    /// The word in logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Edit(_) => "edit",
            Self::Respond(_) => "respond",
            Self::Close => "close",
        }
    }
}

/// Changes that are valid where they were made.
#[derive(Debug, Default)]
pub struct Edits {
    /// To the head, in order.
    pub fields: Vec<FieldEdit>,
    /// In place of path and query.
    pub target: Option<PathAndQuery>,
    /// In place of the status.
    pub status: Option<StatusCode>,
    /// In place of the bytes that were shown.
    pub data: Option<Bytes>,
    /// In place of the trailers.
    pub trailers: Option<HeaderMap>,
}

/// One change to a head.
#[derive(Clone, Debug)]
pub enum FieldEdit {
    /// Removes all of that name and adds this one.
    Set(HeaderName, HeaderValue),
    /// Adds one.
    Append(HeaderName, HeaderValue),
    /// Removes all of that name.
    Remove(HeaderName),
}

impl Edits {
    /// Makes the changes to a head's fields.
    pub fn apply(&self, fields: &mut HeaderMap) {
        for edit in &self.fields {
            match edit {
                FieldEdit::Set(name, value) => drop(fields.insert(name, value.clone())),
                FieldEdit::Append(name, value) => drop(fields.append(name, value.clone())),
                FieldEdit::Remove(name) => drop(fields.remove(name)),
            }
        }
    }
}
