//! XML bodies: the text and the attributes that `XML:/*`, `XML://@*` and paths select. No entities beyond XML's own five.

use super::{Parsed, Slice};
use crate::model::XPath;

/// A document as flat tables, in document order.
#[derive(Debug, Default)]
pub struct Xml {
    text: Vec<u8>,
    elements: Vec<Element>,
    attributes: Vec<Attribute>,
}

#[derive(Debug, Clone, Copy)]
struct Element {
    name: Slice,
    parent: u32,
    text: Slice,
}

#[derive(Debug, Clone, Copy)]
struct Attribute {
    element: u32,
    name: Slice,
    value: Slice,
}

impl Xml {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.elements.clear();
        self.attributes.clear();
    }

    /// Gives each value that `path` selects to `found`, in document order. `body` is what was read.
    pub fn select<'a>(&'a self, _body: &'a [u8], _path: &XPath, _found: impl FnMut(&'a [u8])) {}
}

/// Reads `body` into `parsed`.
pub(super) fn read(_body: &[u8], _parsed: &mut Parsed) {}
