//! `REQUEST_COOKIES`: the `Cookie` field in the Netscape format (`SecCookieFormat 0`).

use memchr::memchr;

use crate::body::{Pair, Slice};

/// Adds the cookies of one field's value to `pairs`, at most `limit`. Nothing is decoded. Whether there were more.
///
/// As libmodsecurity splits: at `separator`; the name ends at the first `=` and loses white space before it, not after it; the last
/// cookie loses white space after it; one without a name is skipped.
pub fn read(value: &[u8], separator: u8, limit: usize, pairs: &mut Vec<Pair>) -> bool {
    let mut at = 0;
    let mut count = 0;
    while at < value.len() {
        let mut end = memchr(separator, &value[at..]).map_or(value.len(), |length| at + length);
        let next = end + 1;
        if end == value.len() {
            end = at + trimmed_end(&value[at..end]);
        }
        let start = end - value[at..end].trim_ascii_start().len();
        let equals = memchr(b'=', &value[start..end]).map(|length| start + length);
        let name = Slice::input(start, equals.unwrap_or(end));
        if !name.is_empty() {
            if count == limit {
                return true;
            }
            count += 1;
            pairs.push(Pair { name, value: Slice::input(equals.map_or(end, |at| at + 1), end) });
        }
        at = next;
    }
    false
}

fn trimmed_end(bytes: &[u8]) -> usize {
    bytes.trim_ascii_end().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(value: &str) -> Vec<(&str, &str)> {
        let mut pairs = Vec::new();
        assert!(!read(value.as_bytes(), b';', 100, &mut pairs));
        let text = |slice: Slice| std::str::from_utf8(slice.of(value.as_bytes(), b"")).unwrap();
        pairs.iter().map(|pair| (text(pair.name), text(pair.value))).collect()
    }

    #[test]
    fn cookies_are_split_as_libmodsecurity_splits_them() {
        assert_eq!(
            all("USER_TOKEN=Yes; a=z; t=b;  foo= bar; = ; = = ; ;;lone;baz=value1=insert here something \t"),
            [
                ("USER_TOKEN", "Yes"),
                ("a", "z"),
                ("t", "b"),
                ("foo", " bar"),
                ("lone", ""),
                ("baz", "value1=insert here something")
            ]
        );
        assert_eq!(all(" \t"), []);
    }

    #[test]
    fn more_than_the_limit_is_told() {
        let mut pairs = Vec::new();
        assert!(read(b"a=1;b=2;c=3", b';', 2, &mut pairs));
        assert_eq!(pairs.len(), 2);
    }
}
