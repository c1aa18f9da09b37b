//! Header fields and query parameters that a route asks for.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use portcullis_config::route::{FieldMatch, ValueMatch};

/// Header fields; every one must hold, by any one of its values.
#[derive(Debug)]
pub(super) struct Headers(Box<[(Option<HeaderName>, ValueMatch)]>);

impl Headers {
    pub(super) fn new(fields: &[FieldMatch]) -> Self {
        // The configuration's check lets valid names through alone. One that is not is in no request, and never holds.
        let parse = |field: &FieldMatch| (HeaderName::from_bytes(field.name.as_bytes()).ok(), field.value.clone());
        Self(fields.iter().map(parse).collect())
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn hold(&self, headers: &HeaderMap) -> bool {
        self.0.iter().all(|(name, value)| {
            let Some(name) = name else { return false };
            match value {
                ValueMatch::Present => headers.contains_key(name),
                ValueMatch::Exact(text) => headers.get_all(name).iter().any(|sent| sent.as_bytes() == text.as_bytes()),
                ValueMatch::Regex(regex) => {
                    headers.get_all(name).iter().any(|sent| regex.is_match(&String::from_utf8_lossy(sent.as_bytes())))
                }
            }
        })
    }
}

/// Query parameters; every one must hold, by any one of its values.
#[derive(Debug)]
pub(super) struct Parameters(Box<[FieldMatch]>);

impl Parameters {
    pub(super) fn new(fields: &[FieldMatch]) -> Self {
        Self(fields.into())
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn hold(&self, query: &str) -> bool {
        self.0.iter().all(|field| {
            query.split('&').filter(|pair| !pair.is_empty()).any(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                decode(name) == field.name.as_bytes()
                    && match &field.value {
                        ValueMatch::Present => true,
                        ValueMatch::Exact(text) => decode(value) == text.as_bytes(),
                        ValueMatch::Regex(regex) => regex.is_match(&String::from_utf8_lossy(&decode(value))),
                    }
            })
        })
    }
}

/// Takes percent-encoding off, `+` being a space. What is no encoding stays as it is.
fn decode(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if memchr::memchr2(b'%', b'+', bytes).is_none() {
        return bytes.into();
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match after {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    rest = after;
                    hex(*high) << 4 | hex(*low)
                }
                _ => b'%',
            },
            _ => byte,
        });
    }
    decoded.into()
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(name: &str, value: ValueMatch) -> Parameters {
        Parameters::new(&[FieldMatch { name: name.into(), value }])
    }

    #[test]
    fn parameters_are_decoded() {
        let exact = parameters("a b", ValueMatch::Exact("c/d".into()));
        assert!(exact.hold("x=1&a+b=c%2fd"));
        assert!(exact.hold("a%20b=e&a%20b=c%2Fd"), "any one of several values");
        assert!(!exact.hold("a%20b=c%252fd"));
        assert!(!exact.hold(""));
        let present = parameters("x", ValueMatch::Present);
        assert!(present.hold("x") && present.hold("&&x=") && !present.hold("xx") && !present.hold(""));
        let regex = parameters("x", ValueMatch::Regex(regex::Regex::new("^1+$").unwrap()));
        assert!(regex.hold("x=0&x=1%31") && !regex.hold("x=%ff") && !regex.hold("x=%"));
    }

    #[test]
    fn headers_hold_by_any_value() {
        let headers = |value| Headers::new(&[FieldMatch { name: "x-env".into(), value }]);
        let mut sent = HeaderMap::new();
        assert!(!headers(ValueMatch::Present).hold(&sent));
        sent.append("x-env", "green".parse().unwrap());
        sent.append("x-env", "blue".parse().unwrap());
        assert!(headers(ValueMatch::Present).hold(&sent));
        assert!(headers(ValueMatch::Exact("blue".into())).hold(&sent));
        assert!(!headers(ValueMatch::Exact("Blue".into())).hold(&sent));
        assert!(headers(ValueMatch::Regex(regex::Regex::new("^b").unwrap())).hold(&sent));
    }
}
