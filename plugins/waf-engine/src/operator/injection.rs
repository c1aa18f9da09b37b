//! Operators that know injections when they see them: libinjection.

use libinjectionrs::{SqliFlags, SqliState, XssDetector};

use super::Found;
use crate::{
    bytes::ByteSet,
    needs::{Clause, Needs},
};

/// So much of a value is looked at. A fingerprint comes from the first few tokens, but `libinjectionrs` 0.1.1 takes quadratic time over
/// words with many dots or back quotes: over 1 MiB of them more than a minute, over so much 20 ms.
const LOOKED_AT: usize = 16 << 10;

/// `@detectSQLi`. What was found is the fingerprint.
pub(super) fn is_sql(value: &[u8], found: &mut Found) -> bool {
    let value = &value[..value.len().min(LOOKED_AT)];
    let mut state = SqliState::new(value, SqliFlags::FLAG_NONE);
    let is = state.detect();
    if is {
        found.text = Some(state.fingerprint.iter().copied().take_while(|byte| *byte != 0).collect());
    }
    is
}

/// `@detectXSS`. What was found is the whole value, as in libmodsecurity.
pub(super) fn is_script(value: &[u8], found: &mut Found) -> bool {
    let is = XssDetector::new().detect(value).is_injection();
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

/// No fingerprint of an injection consists of numbers and words only, but for `1U` (a number and `union`), which does not count where
/// there are just these two tokens. Anything else that a fingerprint has needs a byte that ends a word.
pub(super) fn sql_needs() -> Needs {
    Needs { clauses: vec![Clause::Bytes(WORDS.complement())], length: 2 }
}

/// What is found is a tag, a comment or a document type, which begin with `<`, or an attribute with a value, before which stands `=`.
pub(super) fn script_needs() -> Needs {
    Needs { clauses: vec![Clause::Bytes(ByteSet::list(b"<="))], length: 2 }
}
