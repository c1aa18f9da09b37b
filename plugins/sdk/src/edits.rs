//! Verdicts that change something.

use crate::{Edits, Field, FieldEdit, Response, Verdict};

impl Edits {
    /// No changes yet. What is not said stays as it is.
    pub const fn new() -> Self {
        Self { fields: Vec::new(), target: None, status: None, data: None, trailers: None }
    }

    /// Removes every field of that name, then adds this one.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push(FieldEdit::Set(Field::new(name, value)));
        self
    }

    /// Adds one more field.
    #[must_use]
    pub fn append(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push(FieldEdit::Append(Field::new(name, value)));
        self
    }

    /// Removes every field of that name.
    #[must_use]
    pub fn remove(mut self, name: impl Into<String>) -> Self {
        self.fields.push(FieldEdit::Remove(name.into()));
        self
    }

    /// Path and query for the backend, beginning with `/`. Requests only, while the head is held.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// The status, 200 to 599. Responses only, while the head is held.
    #[must_use]
    pub const fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// In place of the bytes that were given, which may be none. Body phases only.
    #[must_use]
    pub fn data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// In place of the trailers. Body phases only, at the end.
    #[must_use]
    pub fn trailers(mut self, trailers: Vec<Field>) -> Self {
        self.trailers = Some(trailers);
        self
    }

    /// Whether nothing would change.
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
            && self.target.is_none()
            && self.status.is_none()
            && self.data.is_none()
            && self.trailers.is_none()
    }
}

impl Default for Edits {
    fn default() -> Self {
        Self::new()
    }
}

/// Edits that change nothing are [`Verdict::Continue`], which crosses the boundary for less.
impl From<Edits> for Verdict {
    fn from(edits: Edits) -> Self {
        if edits.is_empty() { Self::Continue } else { Self::Edit(edits) }
    }
}

impl From<Response> for Verdict {
    fn from(response: Response) -> Self {
        Self::Respond(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_data_is_a_change_and_no_edit_is_none() {
        assert_eq!(Verdict::from(Edits::new()), Verdict::Continue);
        assert_eq!(Verdict::from(Edits::new().data("")), Verdict::Edit(Edits::new().data("")));
    }
}
