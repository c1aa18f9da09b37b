//! Transformations: what a value looks like after `t:urlDecodeUni`.

use crate::bytes::ByteSet;

/// Code points above 0xFF that a code page shows as a byte of ASCII (`SecUnicodeMapFile`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnicodeMap {}

impl UnicodeMap {
    /// Of pairs of a code point and the byte that it looks like.
    pub fn from_pairs(_pairs: impl IntoIterator<Item = (u32, u8)>) -> Self {
        Self {}
    }
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transformation {
    /// `lowercase`.
    Lowercase,
}

impl Transformation {
    /// By the manual's name, in any case. `none` is not one: it is a word of the rule language.
    pub fn from_name(_name: &str) -> Option<Self> {
        None
    }

    /// Writes what `input` becomes to `out` and says whether that differs. When it does not, what is in `out` means nothing.
    pub fn apply(self, _input: &[u8], _out: &mut Vec<u8>, _map: Option<&UnicodeMap>) -> bool {
        false
    }

    /// Whether a value made of just these bytes might change. Never false where [`apply`](Self::apply) would change it.
    pub fn could_change(self, _present: &ByteSet) -> bool {
        true
    }
}
