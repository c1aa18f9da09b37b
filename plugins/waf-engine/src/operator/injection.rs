//! Operators that know injections when they see them: libinjection.

use libinjectionrs::{SqliFlags, SqliState, XssDetector};

use super::Found;
use crate::{
    bytes::ByteSet,
    needs::{Clause, Needs},
};

/// `@detectSQLi`. What was found is the fingerprint.
pub(super) fn is_sql(value: &[u8], found: &mut Found) -> bool {
    if value.is_empty() {
        return false;
    }
    let mut state = SqliState::new(value, SqliFlags::FLAG_NONE);
    let is = state.detect();
    if is {
        found.text = Some(state.get_fingerprint().as_str().as_bytes().to_vec());
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

pub(super) fn sql_needs() -> Needs {
    Needs { clauses: vec![Clause::Bytes(ByteSet::ALL)], length: 1 }
}

pub(super) fn script_needs() -> Needs {
    Needs { clauses: vec![Clause::Bytes(ByteSet::list(b"<="))], length: 1 }
}
