//! The boundary that a `Content-Type` of `multipart/form-data` names.

use memchr::{memchr, memmem};

use super::{Flags, is_space};

/// The header's value may be so long. As in libmodsecurity.
const LONGEST: usize = 1024;
const TYPE: &[u8] = b"multipart/form-data";
const PARAMETER: &[u8] = b"boundary";

/// The boundary in `content_type`, taken as strictly as libmodsecurity takes it: readers that differ over where the boundary is
/// see different parts.
pub(super) fn read<'a>(content_type: &'a [u8], flags: &mut Flags) -> Result<&'a [u8], &'static str> {
    if content_type.is_empty() {
        return Err("Multipart: Content-Type header not available.");
    }
    if content_type.len() > LONGEST {
        return Err("Multipart: Invalid boundary in C-T (length).");
    }
    if !content_type.get(..TYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(TYPE)) {
        return Err("Multipart: Invalid MIME type.");
    }
    let count = parameters(content_type);
    if count > 1 {
        return Err("Multipart: Multiple boundary parameters in C-T.");
    }
    let Some(start) = memmem::find(content_type, PARAMETER) else {
        // A name in capitals is allowed by RFC 9110, section 5.6.6, but nobody sends it.
        return Err(match count {
            0 => "Multipart: Boundary not found in C-T.",
            _ => "Multipart: Invalid boundary in C-T (case sensitivity).",
        });
    };
    let mut before = content_type[TYPE.len()..start].iter().filter(|byte| !is_space(**byte));
    match (before.next(), before.next()) {
        (None, _) => flags.missing_semicolon = true,
        (Some(b';'), None) => {}
        _ => return Err("Multipart: Invalid boundary in C-T (malformed)."),
    }
    let after = &content_type[start + PARAMETER.len()..];
    let equals = memchr(b'=', after).ok_or("Multipart: Invalid boundary in C-T (malformed).")?;
    if !after[..equals].iter().all(|byte| is_space(*byte)) {
        return Err("Multipart: Invalid boundary in C-T (parameter name).");
    }
    flags.boundary_whitespace = equals > 0;
    let value = &after[equals + 1..];
    // A parameter after the boundary is invalid, but tolerated.
    let value = &value[..memchr(b';', value).unwrap_or(value.len())];
    if value.first().is_some_and(|byte| is_space(*byte)) {
        flags.boundary_whitespace = true;
    }
    let boundary = match value {
        [b'"', inner @ .., b'"'] => {
            flags.boundary_quoted = true;
            inner
        }
        [b'"', ..] | [.., b'"'] => return Err("Multipart: Invalid boundary in C-T (quote)."),
        _ => value,
    };
    if boundary.is_empty() {
        return Err("Multipart: Invalid boundary in C-T (empty).");
    }
    if !characters_valid(boundary) {
        return Err("Multipart: Invalid boundary in C-T (characters).");
    }
    Ok(boundary)
}

/// How often the word stands, in any case, somewhere before a `=`.
fn parameters(content_type: &[u8]) -> usize {
    let lower = content_type.to_ascii_lowercase();
    let last = lower.iter().rposition(|byte| *byte == b'=').unwrap_or(0);
    memmem::find_iter(&lower, PARAMETER).filter(|at| at + PARAMETER.len() <= last).count()
}

/// RFC 2046, section 5.1.1.
fn characters_valid(boundary: &[u8]) -> bool {
    boundary.iter().all(|byte| byte.is_ascii_alphanumeric() || b" '()+_,-./:=?".contains(byte))
        && boundary.last() != Some(&b' ')
}
