//! Paths made alike for matching. The raw target is kept beside the result; a backend gets the raw one unless an edit changes it.

use std::{borrow::Cow, fmt::Write};

use super::bytes;

/// Why a path cannot be taken. Answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPath(
    /// One sentence, no trailing full stop.
    pub &'static str,
);

/// Makes a path comparable (RFC 3986 section 6.2.2, and what servers behind a proxy do beyond it): percent-encoded unreserved characters are
/// decoded, other encodings get upper-case digits, dot segments are resolved, and slashes that follow one another are one.
///
/// `..` above the root stays at the root (RFC 3986 section 5.2.4). An encoded slash or backslash stays encoded: it does not separate
/// segments. The same again changes nothing more. Borrows when there is nothing to do, which one pass finds out.
///
/// # Errors
/// When `raw` is no path (the `*` of OPTIONS is taken), holds a byte that no path has, or an encoding that is broken or
/// stands for NUL.
pub fn normalise(raw: &str) -> Result<Cow<'_, str>, BadPath> {
    let path = raw.as_bytes();
    match path {
        b"*" => return Ok(raw.into()),
        [b'/', ..] => {}
        _ => return Err(BadPath("a path that does not begin with a slash")),
    }
    let mut plain = true;
    let mut after_slash = false;
    for &byte in path {
        if !bytes::is_path(byte) {
            return Err(bad_byte(byte));
        }
        // A segment that begins with a dot, an empty one before another, or an encoding: looked at closely below.
        plain &= !((after_slash && matches!(byte, b'/' | b'.')) || byte == b'%');
        after_slash = byte == b'/';
    }
    if plain { Ok(raw.into()) } else { rewrite(raw) }
}

/// Checks the bytes of a query, for requests that did not come through the [guard](super::guard).
///
/// # Errors
/// When it holds a byte that no query has.
pub fn check_query(query: &str) -> Result<(), BadPath> {
    match query.bytes().find(|&byte| !bytes::is_query(byte)) {
        None => Ok(()),
        Some(byte) => Err(bad_byte(byte)),
    }
}

fn bad_byte(byte: u8) -> BadPath {
    BadPath(match byte {
        b'\\' => "a backslash in the path",
        0x80.. => "a byte in the target that is not ASCII",
        _ => "a byte in the target that must be percent-encoded",
    })
}

fn rewrite(raw: &str) -> Result<Cow<'_, str>, BadPath> {
    let decoded = decode(raw)?;
    let mut path = String::with_capacity(decoded.len());
    let mut segments = decoded[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "" | "." => {}
            ".." => path.truncate(path.rfind('/').unwrap_or(0)),
            _ => {
                path.push('/');
                path.push_str(segment);
                continue;
            }
        }
        if last {
            path.push('/');
        }
    }
    Ok(if path == raw { raw.into() } else { path.into() })
}

fn decode(raw: &str) -> Result<String, BadPath> {
    let mut decoded = String::with_capacity(raw.len());
    let mut parts = raw.split('%');
    decoded.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            None => return Err(BadPath("a percent sign without two hexadecimal digits")),
            Some(0) => return Err(BadPath("an encoded NUL in the path")),
            Some(byte) if bytes::is_unreserved(byte) => decoded.push(char::from(byte)),
            Some(byte) => {
                // Writing to a string cannot fail.
                let _ = write!(decoded, "%{byte:02X}");
            }
        }
        decoded.push_str(&part[2..]);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_made_alike() {
        for (raw, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a//b", "/a/b"),
            ("//", "/"),
            ("/a//", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a//../b", "/b"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/.", "/"),
            ("/a/...", "/a/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/%61%2D%7e", "/a-~"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%2f..", "/a%2F.."),
            ("/a%5cb", "/a%5Cb"),
            ("/%c3%a4%20", "/%C3%A4%20"),
            ("/%2541", "/%2541"),
            ("/;a=b/c", "/;a=b/c"),
            ("*", "*"),
        ] {
            assert_eq!(normalise(raw).as_deref(), Ok(expected), "{raw}");
        }
        for raw in ["/a/b", "/.well-known/x", "/a%2Fb", "*", "/"] {
            assert!(matches!(normalise(raw), Ok(Cow::Borrowed(_))), "{raw}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for raw in
            ["", "a", "**", "/%00", "/%zz", "/%", "/%4", "/a\\b", "/ä", "/%ä", "/a b", "/a#", "/a\0", "/%+1", "/a?b"]
        {
            assert!(normalise(raw).is_err(), "{raw:?}");
        }
        assert!(check_query("a=b?c[]={\\}|").is_ok());
        assert!(check_query("a b").is_err() && check_query("ä").is_err() && check_query("\"").is_err());
    }

    proptest! {
        #[test]
        fn the_same_again_changes_nothing(
            parts in prop::collection::vec(prop::sample::select(vec![
                "/", ".", "..", "a", "%2e", "%2E", "%2f", "%41", "%25", "%32", "%5c", "%", "2", "e", "%c3", ";", "~",
            ]), 0..16),
        ) {
            let raw = format!("/{}", parts.concat());
            if let Ok(path) = normalise(&raw) {
                prop_assert!(path.starts_with('/'));
                prop_assert!(!path.contains("//"));
                prop_assert!(!path.split('/').any(|segment| segment == "." || segment == ".."));
                prop_assert!(matches!(normalise(&path), Ok(Cow::Borrowed(again)) if again == path));
            }
        }

        #[test]
        fn any_text_is_taken_or_refused(raw in ".{0,40}") {
            let _ = normalise(&raw);
            let _ = check_query(&raw);
        }
    }
}
