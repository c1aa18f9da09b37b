//! Bytes as text.

use std::{borrow::Cow, fmt::Write as _};

/// Bytes as JSON can hold them: what is not UTF-8 becomes `\xHH`.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(escaped(bytes)),
    }
}

/// As [`text`], of bytes that do not last.
pub(super) fn owned(bytes: Vec<u8>) -> Cow<'static, str> {
    Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|error| escaped(error.as_bytes())))
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// As much as `most` bytes of a text, and how many are left out.
pub(super) fn push_limited(to: &mut String, bytes: &[u8], most: usize) {
    let shown = &bytes[..bytes.len().min(most)];
    to.push_str(&text(shown));
    if shown.len() < bytes.len() {
        let _ = write!(to, " ({} characters omitted)", bytes.len() - shown.len());
    }
}

/// As a form has it.
pub(super) fn push_form(to: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
            to.push(byte.into());
        } else {
            let _ = write!(to, "%{byte:02X}");
        }
    }
}
