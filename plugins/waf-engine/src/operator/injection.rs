//! Operators that know injections when they see them: libinjection.

use super::{Found, sqli, xss};
use crate::{
    bytes::ByteSet,
    needs::{Clause, Needs},
};

/// `@detectSQLi`. What was found is the fingerprint.
pub(super) fn is_sql(value: &[u8], found: &mut Found) -> bool {
    let Some(fingerprint) = sqli::detect(value) else { return false };
    found.text = Some(fingerprint.letters().to_vec());
    true
}

/// `@detectXSS`. What was found is the whole value, as in libmodsecurity.
pub(super) fn is_script(value: &[u8], found: &mut Found) -> bool {
    let is = xss::detect(value);
    if is {
        found.set(0..value.len());
    }
    is
}

/// Bytes that keep a number or a word going: without any other, a value is a few tokens, each a number or a word.
/// 0xA0 is white space to libinjection; all above ASCII else are letters.
const WORDS: ByteSet = ByteSet::ALPHANUMERIC
    .union(&ByteSet::list(b"_"))
    .union(&ByteSet::range(0x80, 0x9f))
    .union(&ByteSet::range(0xa1, 0xff));

/// No fingerprint of an injection consists of numbers and words only, but for `1U` (a number and `union`), which does
/// not count where there are just these two tokens. Anything else that a fingerprint has needs a byte that ends a word.
pub(super) fn sql_needs() -> Needs {
    Needs { clauses: vec![Clause::Bytes(WORDS.complement())], length: 2 }
}

/// What is found is a tag, a comment or a document type, which begin with `<`, or an attribute with a value, before
/// which stands `=`.
pub(super) fn script_needs() -> Needs {
    Needs { clauses: vec![Clause::Bytes(ByteSet::list(b"<="))], length: 2 }
}
