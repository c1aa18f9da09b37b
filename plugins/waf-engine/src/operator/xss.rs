//! Scripts in markup, recognised as libinjection does it: the value is read as a browser reads HTML, and what can run
//! is found by its name.
//!
//! The verdicts are those of the libinjection in libmodsecurity 3.0.9, but for a byte 0xFF: C takes it for
//! the end of the value, browsers go on.

mod markup;
mod names;

use memchr::{memchr, memchr2};

use self::markup::{Markup, State};

/// Whether a browser could run something in the value, wherever in a page it lands: in text, in a tag, or in an
/// attribute's value with any of three quotes around it, or none.
pub(super) fn detect(value: &[u8]) -> bool {
    // Whatever is found is behind a `<`, or is an attribute with a value.
    if memchr2(b'<', b'=', value).is_none() {
        return false;
    }
    let reads = |state, at| Markup::new(value, at).runs(state);
    reads(State::Data, 0)
        || reads(State::BeforeName, 0)
        || b"'\"`".iter().any(|quote| memchr(*quote, value).is_some_and(|end| reads(State::AfterQuote, end + 1)))
}

#[cfg(test)]
mod tests;
