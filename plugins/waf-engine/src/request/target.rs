//! `REQUEST_URI`, `REQUEST_FILENAME`, `REQUEST_BASENAME`, `QUERY_STRING`: the parts of a request's target.

use memchr::{memchr, memchr2, memmem, memrchr2};

use crate::body::{Slice, form};

/// The parts of a target. `REQUEST_URI_RAW` is the target itself; `PATH_INFO` is the same as `REQUEST_FILENAME`, there being no
/// script whose name could be taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Target {
    /// `REQUEST_URI`: path and query, escapes decoded, without scheme, host and fragment.
    pub uri: Slice,
    /// `REQUEST_FILENAME`: the path, escapes decoded.
    pub filename: Slice,
    /// `REQUEST_BASENAME`: what follows the path's last `/` or `\`.
    pub basename: Slice,
    /// `QUERY_STRING`: after the first `?`, as sent.
    pub query: Slice,
}

/// Takes `target` apart. What is decoded goes to the end of `made`.
///
/// Decoded are `%HH` alone: `+` is a plus sign outside forms. An invalid escape stays as it is. The query is split off first, so that
/// `%3F` in a path does not end it.
pub fn read(target: &[u8], made: &mut Vec<u8>) -> Target {
    let end = memchr(b'#', target).unwrap_or(target.len());
    let start = path_start(&target[..end]);
    let question = memchr(b'?', &target[start..end]).map(|length| start + length);
    let path_end = question.unwrap_or(end);
    let query = question.map_or(Slice::input(end, end), |at| Slice::input(at + 1, end));

    let begin = made.len();
    let mut decoded = decode(target, start, path_end, made);
    let path_made = (decoded.offset().is_none()).then_some(made.len());
    let uri = if path_made.is_some() || memchr(b'%', &target[path_end..end]).is_some() {
        // Path and query lie together, so the path's range is the beginning of the whole's.
        if path_made.is_none() {
            made.extend_from_slice(&target[start..path_end]);
            decoded = Slice::made(begin, made.len());
        }
        if decode(target, path_end, end, made).offset().is_some() {
            made.extend_from_slice(&target[path_end..end]);
        }
        Slice::made(begin, made.len())
    } else {
        Slice::input(start, end)
    };
    let basename = {
        let path = decoded.of(target, made);
        let after = memrchr2(b'/', b'\\', path).map_or(path.len(), |at| at + 1);
        match decoded.offset() {
            Some(offset) => Slice::input(offset + after, offset + path.len()),
            None => Slice::made(begin + after, begin + path.len()),
        }
    };
    Target { uri, filename: decoded, basename, query }
}

/// Where the path begins: after the authority of an absolute URI (RFC 9112, section 3.2.2), else at once.
fn path_start(target: &[u8]) -> usize {
    if target.first() == Some(&b'/') {
        return 0;
    }
    let Some(colon) = memmem::find(target, b"://") else { return 0 };
    let scheme = &target[..colon];
    if scheme.is_empty() || !scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)) {
        return 0;
    }
    let authority = colon + 3;
    // A query may follow the authority without a path.
    memchr2(b'/', b'?', &target[authority..]).map_or(target.len(), |length| authority + length)
}

/// The range with its escapes decoded, if it has any.
fn decode(input: &[u8], start: usize, end: usize, made: &mut Vec<u8>) -> Slice {
    let bytes = &input[start..end];
    let Some(mut at) = memchr(b'%', bytes) else { return Slice::input(start, end) };
    let begin = made.len();
    made.extend_from_slice(&bytes[..at]);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match form::escape(bytes, at).filter(|_| byte == b'%') {
            Some(byte) => {
                made.push(byte);
                at += 2;
            }
            None => made.push(byte),
        }
    }
    Slice::made(begin, made.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// URI, file name, base name, query.
    fn parts(target: &str) -> [String; 4] {
        let mut made = b"from before".to_vec();
        let Target { uri, filename, basename, query } = read(target.as_bytes(), &mut made);
        [uri, filename, basename, query]
            .map(|slice| String::from_utf8_lossy(slice.of(target.as_bytes(), &made)).into_owned())
    }

    #[test]
    fn targets_are_taken_apart() {
        for (target, expected) in [
            ("/", ["/", "/", "", ""]),
            (
                "/one/two/login.php?key=a%20b",
                ["/one/two/login.php?key=a b", "/one/two/login.php", "login.php", "key=a%20b"],
            ),
            ("/one/t%3fo/three?key=value", ["/one/t?o/three?key=value", "/one/t?o/three", "three", "key=value"]),
            ("/one/post.php#frag?x=1", ["/one/post.php", "/one/post.php", "post.php", ""]),
            ("/?key=value#frag", ["/?key=value", "/", "", "key=value"]),
            ("/%2e%2E/a%5cb+c%zz%", ["/../a\\b+c%zz%", "/../a\\b+c%zz%", "b+c%zz%", ""]),
            ("http://host:80/a?b=//c", ["/a?b=//c", "/a", "a", "b=//c"]),
            ("http://host?b", ["?b", "", "", "b"]),
            ("http://host", ["", "", "", ""]),
            ("/a?u=http://x/y", ["/a?u=http://x/y", "/a", "a", "u=http://x/y"]),
            ("a?u=http://x/y", ["a?u=http://x/y", "a", "", "u=http://x/y"]),
            ("*", ["*", "*", "", ""]),
            ("", ["", "", "", ""]),
        ] {
            assert_eq!(parts(target), expected, "{target}");
        }
    }

    #[test]
    fn a_plain_target_is_not_copied() {
        let mut made = Vec::new();
        let target = read(b"/a/b?c=d", &mut made);
        assert!(made.is_empty());
        assert_eq!(target.query.offset(), Some(5));
    }
}
