//! A value with its place, and a key that may be absent, unreadable or set.

use super::Read;
use crate::{diagnostic::Sink, source::Span, tree::Entry};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) span: Span,
    pub(crate) value: T,
}

/// A key of a table.
#[derive(Clone, Debug)]
pub(crate) struct Field<T> {
    /// Where the key is; `None` when it is not written.
    pub(crate) key: Option<Span>,
    /// The value; `None` also when it is written and could not be read (that mistake is reported already).
    pub(crate) value: Option<At<T>>,
}

impl<T: Read> Field<T> {
    /// Reads the value of a key.
    pub(crate) fn read(entry: &Entry, out: &mut Sink<'_>) -> Self {
        let span = entry.node.span;
        Self { key: Some(entry.key_span), value: T::read(&entry.node, out).map(|value| At { span, value }) }
    }
}

impl<T> Field<T> {
    /// The value, when it is there and readable.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref().map(|at| &at.value)
    }

    /// Whether the key is written, readable or not.
    pub(crate) fn is_written(&self) -> bool {
        self.key.is_some()
    }

    /// Whether the key is written and could not be read.
    pub(crate) fn is_broken(&self) -> bool {
        self.key.is_some() && self.value.is_none()
    }
}

impl<T: Clone> Field<T> {
    /// A copy of the value, or the default.
    pub(crate) fn or(&self, default: T) -> T {
        self.get().cloned().unwrap_or(default)
    }
}

/// Not derived: that would ask `T` for a default.
impl<T> Default for Field<T> {
    fn default() -> Self {
        Self { key: None, value: None }
    }
}

/// Reports a key that must be there. Named as the `table!` macro's mark for such keys.
pub(super) fn required<T>(field: &Field<T>, key: &str, what: &str, table: Span, out: &mut Sink<'_>) {
    if !field.is_written() {
        out.error(table, format!("{what} needs `{key}`")).absence();
    }
}
