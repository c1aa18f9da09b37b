//! Where something stands in a configuration file.

use std::{fmt, sync::Arc};

/// File, line and column (both from 1; columns count characters) of a value.
///
/// All locations compare equal: an item that only moved in its file is not a changed item, and a reload compares
/// items with `==` to find what changed.
#[derive(Clone, Debug)]
pub struct Location {
    /// The path as the operator gave it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl PartialEq for Location {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Location {}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}
