//! The `Content-Disposition` of a part: its name and its file's.

use super::{Flags, Part};
use crate::body::{Slice, form};

const NO_CHARSET: &str = "-16, filename* without a character set";

/// Reads the header's value. `offset` is where it stands in the body; without one, values are copied to `made`.
///
/// Errors begin with the number that libmodsecurity gives them, where it has one.
///
/// Nothing but `name`, `filename` and `filename*` is accepted, each once: what another reader might take otherwise is an error.
pub(super) fn read(
    value: &[u8],
    offset: Option<usize>,
    made: &mut Vec<u8>,
    flags: &mut Flags,
) -> Result<Part, &'static str> {
    let mut at = value.strip_prefix(b"form-data").map(|_| 9).ok_or("-1, not form-data")?;
    at = blanks(value, at);
    match value.get(at) {
        None => return Ok(Part::default()),
        Some(b';') => at += 1,
        Some(_) => return Err("-2, no semicolon after form-data"),
    }
    let mut part = Part::default();
    let mut seen = [false; 3];
    while at < value.len() {
        at = blanks(value, at);
        if at == value.len() {
            return Err("-3, a semicolon before nothing");
        }
        let start = at;
        at += value[at..].iter().take_while(|byte| !matches!(byte, b'=' | b' ' | b'\t')).count();
        let name = &value[start..at];
        let equals_follows = value.get(at) == Some(&b'=');
        at = blanks(value, at);
        if value.get(at) != Some(&b'=') {
            return Err(if at < value.len() {
                "-13, no = after a parameter"
            } else {
                "-4, a parameter without a value"
            });
        }
        at = blanks(value, at + 1);
        let quote = value.get(at).copied().ok_or("-6, a parameter without a value")?;
        let read = if matches!(quote, b'"' | b'\'') {
            flags.invalid_quoting |= quote == b'\'';
            quoted(value, &mut at, offset, made)?
        } else {
            let start = at;
            at += value[at..].iter().take_while(|byte| is_token(**byte)).count();
            slice(value, start, at, offset, made)
        };
        let text = read.of_value(value, offset, made);
        // Some readers take a single quote for a quote.
        flags.invalid_quoting |= text.contains(&b'\'') && name != b"filename*";
        let which = match name {
            b"name" => {
                part.name = read;
                0
            }
            b"filename" => {
                // Readers that look for these very characters would not find the file's name.
                if !read.is_empty() && !equals_follows {
                    return Err("white space after filename");
                }
                part.filename = read;
                1
            }
            b"filename*" => {
                if matches!(quote, b'"' | b'\'') {
                    return Err(NO_CHARSET);
                }
                let text = text.to_vec();
                part.extended_filename = extended(&text, made)?;
                2
            }
            _ => return Err("-11, a parameter that is neither name nor filename"),
        };
        if std::mem::replace(&mut seen[which], true) {
            return Err(if which == 0 { "-14, name twice" } else { "-15, filename twice" });
        }
        at = blanks(value, at);
        match value.get(at) {
            None => break,
            Some(b';') => at += 1,
            Some(_) => {
                flags.invalid_quoting |= matches!(value[at - 1], b'"' | b'\'');
                return Err("-12, no semicolon after a value");
            }
        }
    }
    part.file = !part.filename.is_empty() || !part.extended_filename.is_empty();
    Ok(part)
}

/// What stands between quotes, from the first one; `at` is then after the other one.
///
/// A backslash escapes the quote and itself. Before anything else it is a backslash: old browsers send whole Windows paths.
fn quoted(value: &[u8], at: &mut usize, offset: Option<usize>, made: &mut Vec<u8>) -> Result<Slice, &'static str> {
    let quote = value[*at];
    let start = *at + 1;
    let mut end = start;
    let mut escapes = false;
    loop {
        match value.get(end) {
            None => return Err("-8, a quote that does not end"),
            Some(b'\\') if value.get(end + 1).is_some_and(|next| *next == quote || *next == b'\\') => {
                escapes = true;
                end += 2;
            }
            Some(byte) if *byte == quote => break,
            Some(_) => end += 1,
        }
    }
    *at = end + 1;
    if !escapes {
        return Ok(slice(value, start, end, offset, made));
    }
    let begin = made.len();
    let mut from = start;
    while from < end {
        if value[from] == b'\\' && (value[from + 1] == quote || value[from + 1] == b'\\') {
            from += 1;
        }
        made.push(value[from]);
        from += 1;
    }
    Ok(Slice::made(begin, made.len()))
}

/// `UTF-8''na%C3%AFve.txt` (RFC 8187, section 3.2), decoded; the character set is not looked at.
fn extended(value: &[u8], made: &mut Vec<u8>) -> Result<Slice, &'static str> {
    let mut fields = value.splitn(3, |byte| *byte == b'\'');
    let charset = fields.next().unwrap_or_default();
    let (Some(language), false) = (fields.next(), charset.is_empty()) else { return Err(NO_CHARSET) };
    let Some(text) = fields.next() else { return Err("-17, filename* without a language's end") };
    if !language.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
        return Err("-17, filename* without a language's end");
    }
    if text.contains(&b'\'') {
        return Err("-12, no semicolon after a value");
    }
    let begin = made.len();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte == b'%' {
            made.push(form::escape(text, at).ok_or("-18, filename* has an invalid escape")?);
            at += 2;
        } else {
            made.push(byte);
        }
    }
    Ok(Slice::made(begin, made.len()))
}

fn slice(value: &[u8], start: usize, end: usize, offset: Option<usize>, made: &mut Vec<u8>) -> Slice {
    match offset {
        Some(offset) => Slice::input(offset + start, offset + end),
        None => {
            let begin = made.len();
            made.extend_from_slice(&value[start..end]);
            Slice::made(begin, made.len())
        }
    }
}

impl Slice {
    /// The bytes, of a slice of the body of which only `value` at `offset` is at hand.
    fn of_value<'a>(self, value: &'a [u8], offset: Option<usize>, made: &'a [u8]) -> &'a [u8] {
        match self.offset() {
            Some(start) => {
                let start = start - offset.unwrap_or_default();
                &value[start..start + self.len()]
            }
            None => self.of(b"", made),
        }
    }
}

fn blanks(value: &[u8], at: usize) -> usize {
    at + value[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// RFC 2045, section 5.1.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}
