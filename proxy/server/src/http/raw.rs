//! Targets as clients send them, with bytes that must be percent-encoded and are not.
//!
//! RFC 3986 keeps quotes, angle brackets, backslashes and all but ASCII out of a URI, and browsers, scanners and scripts send them nevertheless. They
//! cannot be read in two ways once they are encoded, so the proxy encodes them (RFC 3986 section 2.1) for all that reads the target as a URI:
//! routes, edits, backends. Plugins and the access log are shown what was sent.
//!
//! What could end the target early for somebody else stays refused: spaces and control bytes (RFC 9112 section 3.2), and `#`.

use std::borrow::Cow;

use super::bytes;

/// A target as it was sent, where a URI does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTarget {
    text: Box<str>,
    /// Where path and query begin.
    path: usize,
}

impl RawTarget {
    /// Of the target `sent`, whose path begins at `path`. Bytes that are no UTF-8 are kept in percent-encoding, because it becomes text.
    pub fn new(sent: &[u8], path: usize) -> Self {
        let (before, from) = sent.split_at(path.min(sent.len()));
        let mut text = text(before);
        let path = text.len();
        text.push_str(&self::text(from));
        Self { text: text.into(), path }
    }

    /// All of it.
    pub fn whole(&self) -> &str {
        &self.text
    }

    /// All of it, where it begins with a scheme.
    pub fn absolute(&self) -> Option<&str> {
        (self.path > 0).then_some(&*self.text)
    }

    /// Path and query. A path that an absolute target leaves out is a slash.
    pub fn path_and_query(&self) -> Cow<'_, str> {
        let text = &self.text[self.path..];
        if self.path > 0 && !text.starts_with('/') { format!("/{text}").into() } else { text.into() }
    }
}

/// How many bytes of a path with its query must be encoded.
///
/// # Errors
/// The first byte that may not be sent at all.
pub fn unencoded(path_and_query: &[u8]) -> Result<usize, u8> {
    let mut count = 0;
    for (byte, fits) in classed(path_and_query) {
        if !fits {
            if !bytes::is_sent(byte) {
                return Err(byte);
            }
            count += 1;
        }
    }
    Ok(count)
}

/// Appends a path with its query, encoded where it must be.
pub fn encode(path_and_query: &[u8], out: &mut Vec<u8>) {
    for (byte, fits) in classed(path_and_query) {
        if fits {
            out.push(byte);
        } else {
            escape(byte, |byte| out.push(byte));
        }
    }
}

/// The bytes, each with whether it may stand where it stands.
fn classed(path_and_query: &[u8]) -> impl Iterator<Item = (u8, bool)> + '_ {
    let mut in_query = false;
    path_and_query.iter().map(move |&byte| {
        if in_query {
            return (byte, bytes::is_query(byte));
        }
        in_query = byte == b'?';
        (byte, in_query || bytes::is_path(byte))
    })
}

/// Bytes as text: what is UTF-8 as it is, everything else percent-encoded.
pub fn text(sent: &[u8]) -> String {
    let mut text = String::with_capacity(sent.len());
    for chunk in sent.utf8_chunks() {
        text.push_str(chunk.valid());
        for &byte in chunk.invalid() {
            escape(byte, |byte| text.push(char::from(byte)));
        }
    }
    text
}

fn escape(byte: u8, mut push: impl FnMut(u8)) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    push(b'%');
    push(DIGITS[usize::from(byte >> 4)]);
    push(DIGITS[usize::from(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use http::Uri;
    use proptest::prelude::*;

    use super::*;

    fn encoded(raw: &[u8]) -> String {
        let mut out = Vec::new();
        encode(raw, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn encodes_what_no_uri_holds_and_nothing_else() {
        for (raw, expected) in [
            ("/a?b=c", "/a?b=c"),
            ("/a?x=<script>\"'`", "/a?x=%3Cscript%3E%22'`"),
            ("/<a>`\\b\"|{}[]^?\\`", "/%3Ca%3E%60%5Cb\"|{}[]^?\\`"),
            ("/\u{e4}?\u{e4}", "/%C3%A4?%C3%A4"),
            ("/%3c<", "/%3c%3C"),
            ("/??<", "/??%3C"),
        ] {
            assert_eq!(encoded(raw.as_bytes()), expected);
            assert_eq!(unencoded(raw.as_bytes()).unwrap() * 2, expected.len() - raw.len());
        }
        assert_eq!(encoded(b"/\xff?\x80"), "/%FF?%80");
        for (raw, bad) in
            [("/a b", b' '), ("/a#b", b'#'), ("/?a#", b'#'), ("/?\0", 0), ("/\x7f", 0x7f), ("/<\t", b'\t')]
        {
            assert_eq!(unencoded(raw.as_bytes()), Err(bad), "{raw:?}");
        }
    }

    #[test]
    fn shows_what_was_sent() {
        let raw = RawTarget::new("http://a/<\u{e4}>".as_bytes(), 8);
        assert_eq!((raw.whole(), &*raw.path_and_query()), ("http://a/<\u{e4}>", "/<\u{e4}>"));
        assert_eq!(RawTarget::new(b"http://a?\"", 8).path_and_query(), "/?\"");
        assert_eq!(RawTarget::new(b"/\xff\xc3\xa4", 0).path_and_query(), "/%FF\u{e4}");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_a_uri_and_needs_no_more(raw in prop::collection::vec(any::<u8>(), 0..40)) {
            let raw = [b"/", &raw[..]].concat();
            if let Ok(count) = unencoded(&raw) {
                let out = encoded(&raw);
                prop_assert_eq!(out.len(), raw.len() + 2 * count);
                prop_assert_eq!(unencoded(out.as_bytes()), Ok(0));
                let uri = Uri::try_from(&out).unwrap();
                prop_assert_eq!(uri.path_and_query().unwrap().as_str(), &out);
            }
        }
    }
}
