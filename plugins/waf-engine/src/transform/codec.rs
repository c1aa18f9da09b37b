//! Base64, hexadecimal digits, digests.

use memchr::memchr;

use super::{hex_digit, hex_pair};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The six bits of each byte; 0xFF for those that are not of the alphabet (RFC 4648 section 4).
const BASE64_VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut at = 0;
    while at < BASE64.len() {
        values[BASE64[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// Writes the bytes that a run of six-bit digits stands for. What is left of less than a byte is dropped.
fn from_sixes(digits: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
}

/// `base64Decode`: up to the first byte that is not of the alphabet. Ends of lines do not count.
///
/// libmodsecurity gives nothing at all when there is such a byte, so that one `!` hides everything; ModSecurity 2 and Coraza give what
/// comes before it.
pub(super) fn base64_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let text = input.iter().filter(|byte| !matches!(byte, b'\r' | b'\n'));
    from_sixes(text.map(|byte| BASE64_VALUES[usize::from(*byte)]).take_while(|digit| *digit != 0xff), out);
    true
}

/// `base64DecodeExt`: as if bytes that are not of the alphabet were not there, as PHP does it.
pub(super) fn base64_decode_ext(input: &[u8], out: &mut Vec<u8>) -> bool {
    from_sixes(input.iter().map(|byte| BASE64_VALUES[usize::from(*byte)]).filter(|digit| *digit != 0xff), out);
    true
}

/// `base64Encode`, with padding (RFC 4648 section 4).
pub(super) fn base64_encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    for group in input.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let padding = digit > group.len();
            out.push(if padding { b'=' } else { BASE64[(bits >> (18 - 6 * digit) & 63) as usize] });
        }
    }
    true
}

/// `hexDecode`: two digits a byte; a single one at the end is dropped.
///
/// What is not a digit has a value all the same: libmodsecurity's arithmetic is followed, so that rules for such values work.
pub(super) fn hex_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    fn value(byte: u8) -> u8 {
        if byte >= b'A' { (byte & 0xdf).wrapping_sub(b'A').wrapping_add(10) } else { byte.wrapping_sub(b'0') }
    }
    out.extend(
        input.as_chunks::<2>().0.iter().map(|[high, low]| value(*high).wrapping_mul(16).wrapping_add(value(*low))),
    );
    true
}

/// `hexEncode`: two lower case digits a byte.
pub(super) fn hex_encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    for &byte in input {
        push_hex(byte, out);
    }
    true
}

/// Two lower case hexadecimal digits.
pub(super) fn push_hex(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

/// `sqlHexDecode`: `0x` and pairs of digits after it become the bytes they stand for.
///
/// libmodsecurity ends at a zero byte and loses the last byte of a value without digits. Both would hide what comes there.
pub(super) fn sql_hex_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(mut at) = memchr(b'0', input) else { return false };
    let mut rest = input;
    loop {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        if matches!(rest, [_, b'x' | b'X', high, low, ..] if hex_digit(*high).is_some() && hex_digit(*low).is_some()) {
            rest = &rest[2..];
            while let Some(byte) = hex_pair(rest) {
                out.push(byte);
                rest = &rest[2..];
            }
        } else {
            out.push(b'0');
            rest = &rest[1..];
        }
        match memchr(b'0', rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.extend_from_slice(rest);
    true
}

/// `md5` and `sha1`: the digest's bytes; rules make them readable with `hexEncode`.
pub(super) fn digest<D: sha1::Digest>(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&D::digest(input));
    true
}
