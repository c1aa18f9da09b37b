//! Percent-encoding.

use memchr::memchr2;

use super::{UnicodeMap, hex_pair, unicode};
use crate::bytes::ByteSet;

/// What [`encode`] leaves as it is.
pub(super) const UNRESERVED: ByteSet = ByteSet::ALPHANUMERIC.union(&ByteSet::list(b"*"));

/// `urlDecode`: `%HH` and `+`. What is not a valid encoding stays.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    each(input, out, hex_after_percent)
}

/// `urlDecodeUni`: as `urlDecode`, and `%uHHHH` in the way of IIS: the byte that the code page shows for it (`SecUnicodeMapFile`), by
/// default [the best fit of ASCII](unicode::best_fit), else its lower byte (full width forms become ASCII).
pub(super) fn decode_unicode(input: &[u8], out: &mut Vec<u8>, map: Option<&UnicodeMap>) -> bool {
    each(input, out, |text| {
        let [b'u' | b'U', digits @ ..] = text else { return hex_after_percent(text) };
        let (high, low) = (hex_pair(digits)?, hex_pair(digits.get(2..)?)?);
        Some((unicode::to_byte(high, low, map), 5))
    })
}

fn hex_after_percent(text: &[u8]) -> Option<(u8, usize)> {
    hex_pair(text).map(|byte| (byte, 2))
}

/// Replaces each plus sign, and each percent sign for whose following text `decode` knows a byte and how much of the text it takes.
fn each(input: &[u8], out: &mut Vec<u8>, decode: impl Fn(&[u8]) -> Option<(u8, usize)>) -> bool {
    let Some(mut at) = memchr2(b'%', b'+', input) else { return false };
    let mut rest = input;
    loop {
        out.extend_from_slice(&rest[..at]);
        let sign = rest[at];
        rest = &rest[at + 1..];
        if sign == b'+' {
            out.push(b' ');
        } else if let Some((byte, used)) = decode(rest) {
            out.push(byte);
            rest = &rest[used..];
        } else {
            out.push(sign);
        }
        match memchr2(b'%', b'+', rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.extend_from_slice(rest);
    true
}

/// `urlEncode`: letters, digits and `*` stay, a space becomes `+`, all else `%hh`.
pub(super) fn encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    for &byte in input {
        if UNRESERVED.contains(byte) {
            out.push(byte);
        } else if byte == b' ' {
            out.push(b'+');
        } else {
            out.push(b'%');
            super::codec::push_hex(byte, out);
        }
    }
    true
}
