//! How likely it is that an ordinary value contains something. Estimates from header fields, paths and arguments: they decide what
//! is asked for first, never what is right.

use crate::bytes::ByteSet;

/// Bytes of an ordinary value.
const ORDINARY: f64 = 30.0;

/// Which share of an ordinary value's bytes is this one (lower case).
fn share(byte: u8) -> f64 {
    match byte {
        b'a' | b'e' | b'i' | b'n' | b'o' | b'r' | b's' | b't' => 0.06,
        b'j' | b'q' | b'x' | b'z' => 0.01,
        b'a'..=b'z' | b'A'..=b'Z' => 0.03,
        b'0'..=b'9' | b' ' | b'/' | b'.' | b'-' => 0.02,
        b'=' | b'_' | b',' | b':' | b';' | b'&' | b'+' | b'%' | b'(' | b')' => 0.003,
        b'*' | b'?' | b'"' | b'\'' | b'@' | b'!' | b'[' | b']' | b'{' | b'}' | b'#' => 0.001,
        _ => 0.0005,
    }
}

/// The set of the string's (lower case) least likely byte, in both cases.
pub(crate) fn rarest(string: &[u8]) -> ByteSet {
    let byte = string.iter().copied().min_by(|a, b| share(*a).total_cmp(&share(*b))).unwrap_or(0);
    let mut set = ByteSet::range(byte, byte);
    set.insert(byte.to_ascii_uppercase());
    set
}

/// One of the bytes is there.
pub(crate) fn bytes(bytes: &ByteSet) -> f64 {
    any(bytes.iter().filter(|byte| !byte.is_ascii_uppercase()).map(|byte| (share(byte) * ORDINARY).min(1.0)))
}

/// The string (lower case) is there.
pub(crate) fn string(string: &[u8]) -> f64 {
    // Letters keep company: three say about as much as two by themselves.
    let product: f64 = string.iter().map(|&byte| share(byte).powf(0.8)).product();
    (product * ORDINARY).min(1.0)
}

/// At least one of several.
pub(crate) fn any(likely: impl Iterator<Item = f64>) -> f64 {
    1.0 - likely.map(|likely| 1.0 - likely).product::<f64>()
}
