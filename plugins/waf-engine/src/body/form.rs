//! `name=value&name=value`: query strings and `application/x-www-form-urlencoded` bodies.

use memchr::{memchr, memchr2};

use super::{Pair, Slice};

/// Adds the pairs of `input` to `pairs`, at most `limit`. Whether there were more, and whether an escape was invalid.
///
/// As libmodsecurity splits: a pair without `=` is a name with an empty value; an empty pair between two separators counts, one at
/// the end does not.
pub fn read(input: &[u8], separator: u8, limit: usize, made: &mut Vec<u8>, pairs: &mut Vec<Pair>) -> (bool, bool) {
    let mut invalid = false;
    let mut at = 0;
    let mut count = 0;
    while at < input.len() {
        if count == limit {
            return (true, invalid);
        }
        count += 1;
        let end = memchr(separator, &input[at..]).map_or(input.len(), |length| at + length);
        let equals = memchr(b'=', &input[at..end]).map(|length| at + length);
        let name = decode(input, at, equals.unwrap_or(end), made, &mut invalid);
        let value = decode(input, equals.map_or(end, |at| at + 1), end, made, &mut invalid);
        pairs.push(Pair { name, value });
        at = end + 1;
    }
    (false, invalid)
}

/// `input[start..end]` with `+` as a space and `%HH` as a byte. An invalid escape stays as it is, and is told.
fn decode(input: &[u8], start: usize, end: usize, made: &mut Vec<u8>, invalid: &mut bool) -> Slice {
    let bytes = &input[start..end];
    let Some(mut at) = memchr2(b'+', b'%', bytes) else {
        return Slice::input(start, end);
    };
    let begin = made.len();
    made.extend_from_slice(&bytes[..at]);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        made.push(match byte {
            b'+' => b' ',
            b'%' => match escape(bytes, at) {
                Some(byte) => {
                    at += 2;
                    byte
                }
                None => {
                    *invalid = true;
                    b'%'
                }
            },
            byte => byte,
        });
    }
    Slice::made(begin, made.len())
}

/// The byte that two hexadecimal digits at `at` stand for.
pub(crate) fn escape(bytes: &[u8], at: usize) -> Option<u8> {
    Some(hex(*bytes.get(at)?)? << 4 | hex(*bytes.get(at + 1)?)?)
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &str, limit: usize) -> (Vec<(String, String)>, bool, bool) {
        let (mut made, mut pairs) = (Vec::new(), Vec::new());
        let (more, invalid) = read(input.as_bytes(), b'&', limit, &mut made, &mut pairs);
        let text = |slice: Slice| String::from_utf8_lossy(slice.of(input.as_bytes(), &made)).into_owned();
        (pairs.iter().map(|pair| (text(pair.name), text(pair.value))).collect(), more, invalid)
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn pairs_are_split_before_they_are_decoded() {
        let (pairs, more, invalid) = all("key=value&key=other%26x=y=z&+a%3D=b+c&lone", 100);
        let expected = [pair("key", "value"), pair("key", "other&x=y=z"), pair(" a=", "b c"), pair("lone", "")];
        assert_eq!((pairs.as_slice(), more, invalid), (&expected[..], false, false));
    }

    #[test]
    fn empty_pairs_count_but_for_the_last() {
        assert_eq!(all("&&a=&=b&", 100).0, [pair("", ""), pair("", ""), pair("a", ""), pair("", "b")]);
        assert_eq!(all("", 100).0, []);
    }

    #[test]
    fn invalid_escapes_stay_and_are_told() {
        for (input, value) in
            [("a=%2", "%2"), ("a=%", "%"), ("a=%zz%41", "%zzA"), ("a=%A%AC", "%A\u{fffd}"), ("a=%%41", "%A")]
        {
            let (pairs, _, invalid) = all(input, 100);
            assert_eq!((pairs, invalid), (vec![pair("a", value)], true), "{input}");
        }
        assert!(!all("a=%2a%C3%a4", 100).2);
    }

    #[test]
    fn more_than_the_limit_is_dropped_and_told() {
        assert_eq!(all("a=1&b=2&c=%zz", 2), (vec![pair("a", "1"), pair("b", "2")], true, false));
        assert!(!all("a=1&b=2", 2).1);
    }
}
