//! Where in a request the token is, and how it is taken out of it.

use std::str::FromStr;

use portcullis_sdk::{Edits, RequestHead, settings};
use serde::{Deserialize, Deserializer, de};

use crate::refusal::Refusal;

/// A place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `authorization: Bearer ...`
    Bearer,
    /// All of another field's value, by its lower-case name.
    Header(String),
    /// A cookie's value.
    Cookie(String),
    /// A parameter of the query (RFC 6750 section 2.3 warns of it: targets are logged).
    Query(String),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let token = settings::is_token;
        Ok(match text.split_once(':') {
            None if text == "bearer" => Self::Bearer,
            Some(("header", name)) if token(name) && !name.eq_ignore_ascii_case("authorization") => {
                Self::Header(name.to_ascii_lowercase())
            }
            Some(("cookie", name)) if token(name) => Self::Cookie(name.to_owned()),
            Some(("query", name)) if token(name) && !name.contains(['%', '+', '&']) => Self::Query(name.to_owned()),
            _ => {
                return Err(format!(
                    "{text:?} is no place for a token: write \"bearer\", \"header:NAME\", \"cookie:NAME\" or \"query:NAME\""
                ));
            }
        })
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The one token of a request, if there is one.
///
/// # Errors
///
/// When there is more than one: the backend could take another than the one that was checked (RFC 6750 section 2).
pub fn token<'a>(sources: &[Source], head: &'a RequestHead) -> Result<Option<&'a str>, Refusal> {
    let mut tokens = Vec::new();
    sources.iter().for_each(|source| source.collect(head, &mut tokens));
    match tokens.as_slice() {
        [] => Ok(None),
        [token] => {
            let token = std::str::from_utf8(token).map_err(|_| Refusal::Request("the token is not ASCII"))?;
            Ok(Some(token))
        }
        _ => Err(Refusal::Request("there is more than one token in the request")),
    }
}

/// Takes what is at these places out of the request, before the backend sees it.
pub fn strip(sources: &[Source], head: &RequestHead, mut edits: Edits) -> Edits {
    let mut target = head.target.clone();
    let mut cookies: Vec<Vec<u8>> = head.all("cookie").map(<[u8]>::to_vec).collect();
    for source in sources {
        match source {
            Source::Bearer => edits = edits.remove("authorization"),
            Source::Header(name) => edits = edits.remove(name.as_str()),
            Source::Cookie(name) => cookies.iter_mut().for_each(|field| *field = without_cookie(field, name)),
            Source::Query(name) => target = without_parameter(&target, name),
        }
    }
    if target != head.target {
        edits = edits.target(target);
    }
    if !head.all("cookie").eq(cookies.iter().map(Vec::as_slice)) {
        edits = edits.remove("cookie");
        for field in cookies.into_iter().filter(|field| !field.is_empty()) {
            edits = edits.append("cookie", field);
        }
    }
    edits
}

impl Source {
    fn collect<'a>(&self, head: &'a RequestHead, tokens: &mut Vec<&'a [u8]>) {
        match self {
            Self::Bearer => tokens.extend(head.all("authorization").filter_map(bearer)),
            Self::Header(name) => tokens
                .extend(head.fields.iter().filter(|field| field.name == *name).map(|field| field.value.trim_ascii())),
            Self::Cookie(name) => {
                let pairs = head.all("cookie").flat_map(|field| field.split(|byte| *byte == b';'));
                tokens.extend(pairs.filter_map(|pair| value(pair.trim_ascii(), name)).map(unquoted));
            }
            Self::Query(name) => {
                let query = head.query().unwrap_or_default().as_bytes();
                tokens.extend(query.split(|byte| *byte == b'&').filter_map(|pair| value(pair, name)));
            }
        }
    }
}

/// What follows the scheme, whose name is read in any case (RFC 9110 section 11.1). Other schemes are not ours.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.trim_ascii().split_at_checked(6)?;
    let token = scheme.eq_ignore_ascii_case(b"bearer").then_some(token)?;
    (token.is_empty() || token[0].is_ascii_whitespace()).then(|| token.trim_ascii())
}

fn value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (key, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
    (key == name.as_bytes()).then(|| &value[1..])
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

fn without_cookie(field: &[u8], name: &str) -> Vec<u8> {
    let others = field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| value(pair, name).is_none());
    others.filter(|pair| !pair.is_empty()).collect::<Vec<_>>().join(&b"; "[..])
}

fn without_parameter(target: &str, name: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let others: Vec<_> = query.split('&').filter(|pair| value(pair.as_bytes(), name).is_none()).collect();
    if others.is_empty() { path.to_owned() } else { format!("{path}?{}", others.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Source> {
        ["bearer", "header:X-Token", "cookie:session", "query:access_token"].map(|text| text.parse().unwrap()).into()
    }

    fn root(target: &str) -> RequestHead {
        RequestHead::get_request(target)
    }

    #[test]
    fn tokens_are_found_where_they_may_be() {
        for head in [
            root("/").field("authorization", "Bearer abc"),
            root("/").field("authorization", "bearer  abc "),
            root("/").field("x-token", "abc"),
            root("/").field("cookie", "a=b; session=abc"),
            root("/").field("cookie", "a=b").field("cookie", "session=\"abc\""),
            root("/?a=b&access_token=abc"),
            root("/?access_token=abc").field("authorization", "Basic YTpi"),
        ] {
            assert_eq!(token(&all(), &head), Ok(Some("abc")), "{head:?}");
        }
        for head in [
            root("/"),
            root("/").field("authorization", "Bearerabc"),
            root("/").field("cookie", "xsession=abc"),
            root("/access_token=abc"),
        ] {
            assert_eq!(token(&all(), &head), Ok(None), "{head:?}");
        }
    }

    #[test]
    fn two_tokens_are_refused() {
        for head in [
            root("/?access_token=a").field("authorization", "Bearer a"),
            root("/?access_token=a&access_token=a"),
            root("/").field("cookie", "session=a; session=b"),
            root("/").field("authorization", "Bearer a").field("authorization", "Bearer b"),
        ] {
            assert!(matches!(token(&all(), &head), Err(Refusal::Request(_))), "{head:?}");
        }
    }

    #[test]
    fn stripping_leaves_the_rest() {
        let head = root("/a?b=c&access_token=x&d").field("cookie", "a=b; session=x; c=d").field("x-token", "y");
        let expected = Edits::new()
            .remove("authorization")
            .remove("x-token")
            .target("/a?b=c&d")
            .remove("cookie")
            .append("cookie", "a=b; c=d");
        assert_eq!(strip(&all(), &head, Edits::new()), expected);
        let head = root("/a?access_token=x").field("cookie", "session=x");
        let expected = Edits::new().target("/a").remove("cookie");
        assert_eq!(strip(&all()[2..], &head, Edits::new()), expected);
        assert_eq!(strip(&all()[2..], &root("/a?b"), Edits::new()), Edits::new());
    }

    #[test]
    fn other_places_are_refused() {
        for text in ["", "Bearer", "header:", "header:Authorization", "query:a&b", "cookie:a;b", "body:token"] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }
}
