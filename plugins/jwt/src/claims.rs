//! What a token must say, beyond being signed (RFC 7519 section 4.1), and how claims become header values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// Claims as a token has them.
pub type Claims = Map<String, Value>;

/// What must hold.
#[derive(Debug, Default)]
pub struct Rules {
    /// `iss` must be one of these, if there are any.
    pub issuers: Vec<String>,
    /// `aud` must have one of these, if there are any.
    pub audiences: Vec<String>,
    /// Seconds by which clocks may differ.
    pub leeway: f64,
    /// Seconds since `iat`, at most.
    pub longest_age: Option<f64>,
    /// Claims that must be there.
    pub required: Vec<String>,
    /// Claims that must have one of these values.
    pub expected: BTreeMap<String, Vec<String>>,
    /// Scopes that it must have, all of them.
    pub scopes: Vec<String>,
}

impl Rules {
    /// Whether a token with these claims is let through. `now` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// The first reason against it.
    pub fn check(&self, claims: &Claims, now: f64) -> Result<(), Refusal> {
        self.check_times(claims, now)?;
        if let Some(name) = self.required.iter().find(|name| find(claims, name).is_none()) {
            return Err(Refusal::Token(match name.as_str() {
                "exp" => "the token has no time of expiry",
                "sub" => "the token has no subject",
                _ => "the token lacks a claim",
            }));
        }
        let issuer = claims.get("iss").and_then(Value::as_str);
        if !self.issuers.is_empty() && !issuer.is_some_and(|issuer| self.issuers.iter().any(|known| known == issuer)) {
            return Err(Refusal::Token("the token is of another issuer"));
        }
        if !self.audiences.is_empty() && !self.audiences.iter().any(|own| has(claims.get("aud"), own)) {
            return Err(Refusal::Token("the token is for another audience"));
        }
        if !self.scopes.iter().all(|scope| has_scope(claims, scope)) {
            return Err(Refusal::Scope("the token lacks a scope"));
        }
        let missing =
            |(name, values): (&String, &Vec<String>)| !values.iter().any(|value| has(find(claims, name), value));
        if self.expected.iter().any(missing) {
            return Err(Refusal::Scope("a claim of the token has another value than is needed"));
        }
        Ok(())
    }

    fn check_times(&self, claims: &Claims, now: f64) -> Result<(), Refusal> {
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(Refusal::Token("a time of the token is no number")),
        };
        if time("exp")?.is_some_and(|expiry| now >= expiry + self.leeway) {
            return Err(Refusal::Token("the token has expired"));
        }
        if time("nbf")?.is_some_and(|begin| now + self.leeway < begin) {
            return Err(Refusal::Token("the token is not valid yet"));
        }
        let issued = time("iat")?;
        if issued.is_some_and(|issued| now + self.leeway < issued) {
            return Err(Refusal::Token("the token is of the future"));
        }
        if let Some(longest) = self.longest_age {
            let issued = issued.ok_or(Refusal::Token("the token does not say when it was issued"))?;
            if now >= issued + longest + self.leeway {
                return Err(Refusal::Token("the token is too old"));
            }
        }
        Ok(())
    }
}

/// A claim by its name or, if that begins with `/`, by a JSON pointer (RFC 6901). `null` is as if it were not there.
fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    let value = match name.strip_prefix('/') {
        None => claims.get(name),
        Some(pointer) => {
            let (first, rest) = pointer.split_once('/').map_or((pointer, None), |(first, rest)| (first, Some(rest)));
            let value = claims.get(&first.replace("~1", "/").replace("~0", "~"));
            match rest {
                None => value,
                Some(rest) => value.and_then(|value| value.pointer(&format!("/{rest}"))),
            }
        }
    };
    value.filter(|value| !value.is_null())
}

/// Whether a claim is this text, or a list with it.
fn has(claim: Option<&Value>, text: &str) -> bool {
    match claim {
        Some(Value::Array(values)) => values.iter().any(|value| is(value, text)),
        Some(value) => is(value, text),
        None => false,
    }
}

fn is(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value == text,
        Value::Bool(value) => text == if *value { "true" } else { "false" },
        Value::Number(value) => value.to_string() == text,
        _ => false,
    }
}

/// `scope` is text with spaces between (RFC 8693); some issuers write `scp`, as that or as a list.
fn has_scope(claims: &Claims, scope: &str) -> bool {
    ["scope", "scp"].iter().any(|name| match claims.get(*name) {
        Some(Value::String(scopes)) => scopes.split(' ').any(|one| one == scope),
        Some(Value::Array(scopes)) => scopes.iter().any(|one| one.as_str() == Some(scope)),
        _ => false,
    })
}

/// A claim as the value of a field: text, numbers and truth values as they are, lists of them with commas between, objects as JSON. Nothing
/// when the token has no such claim.
///
/// # Errors
///
/// When the backend could read something else than what was signed: control characters, space at the ends, a comma within a list, or more
/// than 8 KiB.
pub fn field(claims: &Claims, name: &str) -> Result<Option<String>, Refusal> {
    let Some(value) = find(claims, name) else { return Ok(None) };
    let text = match value {
        Value::Array(values) => {
            let texts: Option<Vec<String>> =
                values.iter().map(|value| plain(value).filter(|text| !text.contains(','))).collect();
            texts.ok_or(UNFIT)?.join(",")
        }
        // ASCII: JSON text has no control characters, and this one no line breaks.
        Value::Object(_) => value.to_string(),
        value => plain(value).ok_or(UNFIT)?,
    };
    if text.len() > 8 << 10 || text.chars().any(char::is_control) || text.trim() != text {
        return Err(UNFIT);
    }
    Ok(Some(text))
}

const UNFIT: Refusal = Refusal::Token("a claim of the token cannot be handed on");

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Claims {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn times_are_held_with_leeway() {
        let rules = Rules { leeway: 10.0, longest_age: Some(100.0), ..Rules::default() };
        for (json, now, text) in [
            (r#"{"iat": 1000, "exp": 1060}"#, 1000.0, None),
            (r#"{"iat": 1000, "exp": 1060}"#, 1069.9, None),
            (r#"{"iat": 1000, "exp": 1060}"#, 1070.0, Some("expired")),
            (r#"{"iat": 1000, "exp": 1060.5}"#, 1070.0, None),
            (r#"{"iat": 1000, "nbf": 1020}"#, 1010.0, None),
            (r#"{"iat": 1000, "nbf": 1020}"#, 1009.0, Some("not valid yet")),
            (r#"{"iat": 1000}"#, 990.0, None),
            (r#"{"iat": 1000}"#, 989.0, Some("of the future")),
            (r#"{"iat": 1000}"#, 1110.0, Some("too old")),
            (r#"{}"#, 1000.0, Some("when it was issued")),
            (r#"{"iat": 1000, "exp": "1060"}"#, 1000.0, Some("no number")),
            (r#"{"iat": 1000, "exp": null}"#, 1000.0, Some("no number")),
        ] {
            match (rules.check(&claims(json), now), text) {
                (Ok(()), None) => {}
                (Err(Refusal::Token(found)), Some(text)) => assert!(found.contains(text), "{json} {now}: {found}"),
                (found, text) => panic!("{json} {now}: {found:?}, not {text:?}"),
            }
        }
    }

    #[test]
    fn issuer_and_audience_must_be_known() {
        let rules = Rules { issuers: vec!["a".into(), "b".into()], audiences: vec!["x".into()], ..Rules::default() };
        for (json, good) in [
            (r#"{"iss": "a", "aud": "x"}"#, true),
            (r#"{"iss": "b", "aud": ["y", "x"]}"#, true),
            (r#"{"iss": "c", "aud": "x"}"#, false),
            (r#"{"iss": ["a"], "aud": "x"}"#, false),
            (r#"{"aud": "x"}"#, false),
            (r#"{"iss": "a", "aud": "xy"}"#, false),
            (r#"{"iss": "a", "aud": []}"#, false),
            (r#"{"iss": "a"}"#, false),
        ] {
            assert_eq!(rules.check(&claims(json), 0.0).is_ok(), good, "{json}");
        }
    }

    #[test]
    fn scopes_and_values_are_403() {
        let rules = Rules {
            scopes: vec!["read".into(), "write".into()],
            expected: [("/realm/roles".to_owned(), vec!["admin".to_owned(), "ops".to_owned()])].into(),
            ..Rules::default()
        };
        for (json, good) in [
            (r#"{"scope": "write read more", "realm": {"roles": ["ops"]}}"#, true),
            (r#"{"scp": ["write", "read"], "realm": {"roles": "admin"}}"#, true),
            (r#"{"scope": "write reader", "realm": {"roles": ["ops"]}}"#, false),
            (r#"{"scope": "write read", "realm": {"roles": ["user"]}}"#, false),
            (r#"{"scope": "write read", "realm": {}}"#, false),
        ] {
            match rules.check(&claims(json), 0.0) {
                Ok(()) => assert!(good, "{json}"),
                Err(refusal) => assert!(!good && matches!(refusal, Refusal::Scope(_)), "{json}: {refusal:?}"),
            }
        }
    }

    #[test]
    fn required_claims_must_be_there() {
        let rules = Rules { required: vec!["sub".into(), "https://example.com/tenant".into()], ..Rules::default() };
        assert!(rules.check(&claims(r#"{"sub": "a", "https://example.com/tenant": 7}"#), 0.0).is_ok());
        assert!(rules.check(&claims(r#"{"sub": "a"}"#), 0.0).is_err());
        assert!(rules.check(&claims(r#"{"sub": null, "https://example.com/tenant": 7}"#), 0.0).is_err());
    }

    #[test]
    fn claims_become_values_that_can_be_read_one_way_only() {
        let claims = claims(
            r#"{"s": "Jürgen", "n": 7, "b": true, "l": ["a", "b", 3], "o": {"a": "ä"}, "nl": "a\r\nx-admin: 1", "lc": ["a,b"],
                "ln": [["a"]], "sp": " a", "nul": null, "deep": {"a/b": [{"c": "d"}]}}"#,
        );
        for (name, value) in [
            ("s", Some("Jürgen")),
            ("n", Some("7")),
            ("b", Some("true")),
            ("l", Some("a,b,3")),
            ("o", Some(r#"{"a":"ä"}"#)),
            ("nul", None),
            ("none", None),
            ("/deep/a~1b/0/c", Some("d")),
            ("/s", Some("Jürgen")),
            ("/deep/none", None),
        ] {
            assert_eq!(field(&claims, name), Ok(value.map(str::to_owned)), "{name}");
        }
        for name in ["nl", "lc", "ln", "sp"] {
            assert_eq!(field(&claims, name), Err(UNFIT), "{name}");
        }
    }
}
