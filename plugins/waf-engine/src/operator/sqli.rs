//! Injections of SQL, recognised as libinjection does it.
//!
//! The method is Nick Galbraith's ("libinjection: From SQLi to fingerprints", Black Hat USA 2012): a value is cut into
//! tokens, the tokens are folded to at most five, and the letters of their kinds are looked up in a list of known
//! fingerprints. The list and the words of SQL come from the crate `libinjectionrs`; the way there is our own, because
//! each token here costs time in proportion to its length.

mod fold;
mod tokenizer;
mod verdict;
mod words;

use memchr::memchr;

use self::{
    fold::Folded,
    tokenizer::{Dialect, Tokenizer},
};

/// The letters of a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    letters: [u8; fold::MOST],
    count: usize,
}

impl Fingerprint {
    /// The kind of each token.
    pub(super) fn letters(&self) -> &[u8] {
        &self.letters[..self.count]
    }
}

/// Builds the tables of words, so that the first value does not pay for them.
pub(super) fn prepare() {
    words::prepare();
}

/// The fingerprint, if the value is an injection.
///
/// It is read as it stands, and as if a quote came before it where it has a quote of that sort: the value may land
/// inside a string. Where comments mean different things to ANSI and to MySQL, both readings count.
pub(super) fn detect(value: &[u8]) -> Option<Fingerprint> {
    both_dialects(value, None)
        .or_else(|| memchr(b'\'', value).and_then(|_| both_dialects(value, Some(b'\''))))
        .or_else(|| memchr(b'"', value).and_then(|_| read(value, Some(b'"'), Dialect::MySql).0))
}

fn both_dialects(value: &[u8], quote: Option<u8>) -> Option<Fingerprint> {
    let (found, ambiguous) = read(value, quote, Dialect::Ansi);
    if found.is_none() && ambiguous { read(value, quote, Dialect::MySql).0 } else { found }
}

/// One reading. Also whether the other dialect would have read a comment differently.
fn read(value: &[u8], quote: Option<u8>, dialect: Dialect) -> (Option<Fingerprint>, bool) {
    let mut tokenizer = Tokenizer::new(value, quote, dialect);
    let folded = Folded::new(&mut tokenizer);
    let fingerprint = folded.fingerprint();
    let found = verdict::is_injection(&fingerprint, &folded, value).then_some(fingerprint);
    (found, tokenizer.ambiguous())
}

#[cfg(test)]
mod tests;
