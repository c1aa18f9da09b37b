//! Comments of programming languages.

use memchr::{memchr2, memmem};

/// `replaceComments`: each `/* ... */` becomes a space, also one without an end.
pub(super) fn replace(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = memmem::find(input, b"/*") else { return false };
    let mut begin = Some(first);
    let mut rest = input;
    while let Some(at) = begin {
        out.extend_from_slice(&rest[..at]);
        out.push(b' ');
        let inside = &rest[at + 2..];
        rest = memmem::find(inside, b"*/").map_or(&[], |end| &inside[end + 2..]);
        begin = memmem::find(rest, b"/*");
    }
    out.extend_from_slice(rest);
    true
}

/// `removeComments`: leaves out `/* ... */` and `<!-- ... -->`, and everything from `--` or `#` on. A comment without an end becomes
/// a space.
///
/// As in libmodsecurity, either end ends either comment, and the byte after the end is taken as it is, even where another comment
/// begins with it; where nothing comes after the end, that byte is a zero. Rules were tuned and tests were written with that.
pub(super) fn remove(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = input;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'/' | b'<' | b'-' | b'#')) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let sign = match rest {
            [b'/', b'*', ..] => 2,
            [b'<', b'!', b'-', b'-', ..] => 4,
            [b'-', b'-', ..] | [b'#', ..] => return true,
            _ => {
                out.push(rest[0]);
                rest = &rest[1..];
                continue;
            }
        };
        let Some(end) = comment_end(&rest[sign..]) else {
            out.push(b' ');
            return true;
        };
        rest = &rest[sign + end..];
        out.push(rest.first().copied().unwrap_or(0));
        rest = rest.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    true
}

/// Where the first `*/` or `-->` ends.
fn comment_end(inside: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = memchr2(b'*', b'-', &inside[from..]) {
        let at = from + at;
        match &inside[at..] {
            [b'*', b'/', ..] => return Some(at + 2),
            [b'-', b'-', b'>', ..] => return Some(at + 3),
            _ => from = at + 1,
        }
    }
    None
}

/// `removeCommentsChar`: leaves out the signs themselves: `/*`, `*/`, `<!--`, `-->`, `--` and `#`.
pub(super) fn remove_signs(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = input;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'/' | b'*' | b'<' | b'-' | b'#')) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let sign = match rest {
            [b'<', b'!', b'-', b'-', ..] => 4,
            [b'-', b'-', b'>', ..] => 3,
            [b'/', b'*', ..] | [b'*', b'/', ..] | [b'-', b'-', ..] => 2,
            [b'#', ..] => 1,
            _ => {
                out.push(rest[0]);
                1
            }
        };
        rest = &rest[sign..];
    }
    out.extend_from_slice(rest);
    true
}
