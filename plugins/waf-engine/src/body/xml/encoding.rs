//! What an XML body's bytes mean.

use std::borrow::Cow;

use memchr::memmem;

/// The text, and what is wrong with it. A body that is not UTF-8 is read as what its first bytes say it is (XML 1.0, appendix F):
/// UTF-16, or one of the encodings with a byte for each character. Else it is read up to the first wrong byte.
pub(super) fn decode(body: &[u8]) -> (Cow<'_, str>, Option<&'static str>) {
    match body {
        [0xfe, 0xff, rest @ ..] | rest @ [0, b'<', ..] => return wide(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] | rest @ [b'<', 0, ..] => return wide(rest, u16::from_le_bytes),
        _ => {}
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match std::str::from_utf8(body) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(_) if declares_bytes(body) => (Cow::Owned(body.iter().map(|byte| char::from(*byte)).collect()), None),
        Err(error) => {
            let text = std::str::from_utf8(&body[..error.valid_up_to()]).unwrap_or_default();
            (Cow::Borrowed(text), Some("not in the encoding that it declares, nor in UTF-8."))
        }
    }
}

fn wide(body: &[u8], unit: fn([u8; 2]) -> u16) -> (Cow<'_, str>, Option<&'static str>) {
    let (pairs, rest) = body.as_chunks::<2>();
    let mut wrong = !rest.is_empty();
    let text = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .map(|character| {
            character.unwrap_or_else(|_| {
                wrong = true;
                char::REPLACEMENT_CHARACTER
            })
        })
        .collect();
    (Cow::Owned(text), wrong.then_some("not in UTF-16, which its first bytes promise."))
}

/// Whether the declaration names an encoding in which each byte is a character: Latin 1, or the one that is nearly the same.
fn declares_bytes(body: &[u8]) -> bool {
    if !body.starts_with(b"<?xml") {
        return false;
    }
    let declaration = &body[..memmem::find(body, b"?>").unwrap_or(0)];
    let declaration = declaration[..declaration.len().min(200)].to_ascii_lowercase();
    let Some(at) = memmem::find(&declaration, b"encoding") else { return false };
    let name = declaration[at + 8..].split(|byte| matches!(byte, b'"' | b'\'')).nth(1).unwrap_or_default();
    matches!(name, b"iso-8859-1" | b"iso_8859-1" | b"latin1" | b"windows-1252" | b"iso-8859-15")
}
