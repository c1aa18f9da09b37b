//! Operators that match what is not as it should be.

use crate::bytes::ByteSet;

/// The bytes that the argument of `@validateByteRange` does not allow: numbers and ranges of them, with commas between.
///
/// # Errors
/// When something is neither.
pub(super) fn forbidden_bytes(argument: &str) -> Result<ByteSet, String> {
    let mut allowed = ByteSet::EMPTY;
    for word in argument.split(',').map(str::trim_ascii).filter(|word| !word.is_empty()) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        match (first.trim_ascii().parse::<u8>(), last.trim_ascii().parse::<u8>()) {
            (Ok(first), Ok(last)) if first <= last => allowed = allowed.union(&ByteSet::range(first, last)),
            _ => return Err(format!("{word} is neither a number from 0 to 255 nor a range like 32-126")),
        }
    }
    Ok(allowed.complement())
}

/// Whether a percent sign comes without two hexadecimal digits after it.
pub(super) fn is_badly_encoded(value: &[u8]) -> bool {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    memchr::memchr_iter(b'%', value).any(|at| !is_digit(value.get(at + 1)) || !is_digit(value.get(at + 2)))
}
