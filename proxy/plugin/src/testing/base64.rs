//! Bytes that are no text, in files that are.

use base64::{Engine, prelude::BASE64_STANDARD};

/// With a line end after each `width` characters; 0: none.
pub fn encode(bytes: &[u8], width: usize) -> String {
    let text = BASE64_STANDARD.encode(bytes);
    if width == 0 {
        return text;
    }
    // It is ASCII, so that every index is a border of characters.
    let lines: Vec<_> = (0..text.len()).step_by(width).map(|at| &text[at..text.len().min(at + width)]).collect();
    lines.join("\n")
}

/// Spaces and line ends do not count.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let packed: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(packed).ok()
}
