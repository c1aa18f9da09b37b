//! One line of a header or trailer section (RFC 9112 section 5).

use memchr::memchr;

use super::refusal::RefusalKind;
use crate::http::bytes;

/// What is wrong with a line.
pub(super) type Wrong = (RefusalKind, &'static str);

/// Cuts the line end off a line that ends with LF.
///
/// # Errors
/// When no CR stands before the LF. RFC 9112 section 2.2 lets a recipient take a bare LF; not all do, and that is enough to refuse it.
#[inline]
pub(super) fn content(line: &[u8]) -> Result<&[u8], Wrong> {
    match line {
        [content @ .., b'\r', b'\n'] => Ok(content),
        _ => Err((RefusalKind::LineEnd, "a line that ends with LF alone")),
    }
}

/// A field line, cut.
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    /// Without the space around it.
    pub(super) value: &'a [u8],
    /// Where the value starts in the line.
    pub(super) at: usize,
}

/// Cuts a field line (without its end, not empty) into name and value.
#[inline]
pub(super) fn parse(line: &[u8]) -> Result<Field<'_>, Wrong> {
    let Some(end) = line.iter().position(|&b| !bytes::is_token(b)) else {
        return Err((RefusalKind::Field, "a header line without a colon"));
    };
    let (name, rest) = line.split_at(end);
    match (name, rest) {
        ([], [b' ' | b'\t', ..]) => {
            return Err((RefusalKind::Field, "a header line that begins with a space (folding)"));
        }
        ([], [b':', ..]) => return Err((RefusalKind::Field, "a header field without a name")),
        (_, [b':', ..]) => {}
        (_, [b' ' | b'\t', ..]) => return Err((RefusalKind::Field, "a space between a header name and its colon")),
        _ => return Err((RefusalKind::Field, "a byte in a header name that no name has")),
    }
    let space = rest[1..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let at = end + 1 + space;
    let value = bytes::trim_end(&line[at..]);
    if bytes::has_control(value) {
        return Err(if memchr(b'\r', value).is_some() {
            (RefusalKind::LineEnd, "a CR inside a header value")
        } else {
            (RefusalKind::Field, "a control byte in a header value")
        });
    }
    Ok(Field { name, value, at })
}
