//! White space.

use super::is_space;
use crate::bytes::ByteSet;

/// What [`remove`] looks for: white space, and the non-breaking space of ISO 8859-1.
pub(super) const REMOVED: ByteSet = ByteSet::SPACE.union(&ByteSet::list(&[NBSP]));

const NBSP: u8 = 0xa0;

/// What comes before [`NBSP`] in UTF-8.
const NBSP_LEAD: u8 = 0xc2;

/// Makes each run of white space one space.
pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = input;
    while let Some(at) = rest.iter().position(|byte| is_space(*byte)) {
        out.extend_from_slice(&rest[..at]);
        out.push(b' ');
        let run = rest[at..].iter().take_while(|byte| is_space(**byte)).count();
        rest = &rest[at + run..];
    }
    out.extend_from_slice(rest);
    true
}

/// Leaves out white space and non-breaking spaces, those of UTF-8 with both bytes.
///
/// libmodsecurity 3.0 takes only the second byte of a non-breaking space of UTF-8, newer ones take 0xC2 wherever it stands.
pub(super) fn remove(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = input;
    while let Some(at) = rest.iter().position(|byte| is_space(*byte) || *byte == NBSP) {
        let pair = rest[at] == NBSP && at > 0 && rest[at - 1] == NBSP_LEAD;
        out.extend_from_slice(&rest[..if pair { at - 1 } else { at }]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    true
}

/// Takes white space off the beginning, the end or both.
pub(super) fn trim(input: &[u8], out: &mut Vec<u8>, left: bool, right: bool) -> bool {
    let begin = if left { input.iter().take_while(|byte| is_space(**byte)).count() } else { 0 };
    let rest = &input[begin..];
    let end = if right { rest.iter().rev().take_while(|byte| is_space(**byte)).count() } else { 0 };
    out.extend_from_slice(&rest[..rest.len() - end]);
    begin + end > 0
}
