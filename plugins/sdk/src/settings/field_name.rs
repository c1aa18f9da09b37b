//! Names of fields that a plugin writes for the backend.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};

use crate::{Edits, RequestHead};

/// A field's name, in lower case, that a plugin may write: none of those that frame the message, belong to the connection, or name the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldName(String);

impl FieldName {
    /// As it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Sets the field to a value that the backend may trust or, without one, removes it: whatever the client wrote there goes.
    ///
    /// Servers that turn names into variables (CGI and its heirs) cannot tell `x_user` from `x-user`, so a client's fields of such names
    /// go too.
    pub fn vouch(&self, value: Option<impl Into<Vec<u8>>>, head: &RequestHead, mut edits: Edits) -> Edits {
        let alike = |name: &str| name.bytes().map(dashed).eq(self.0.bytes().map(dashed));
        for field in head.fields.iter().filter(|field| !field.name.eq_ignore_ascii_case(&self.0) && alike(&field.name))
        {
            edits = edits.remove(field.name.as_str());
        }
        match value {
            Some(value) => edits.set(self.0.as_str(), value),
            None => edits.remove(self.0.as_str()),
        }
    }
}

/// Why a text is no name of a field, or of none that a plugin may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldNameError {
    /// It holds what names must not.
    Syntax(String),
    /// The proxy writes it itself.
    Proxy(String),
}

impl fmt::Display for FieldNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(text) => write!(f, "{text:?} is not the name of a field: write one like \"x-user\""),
            Self::Proxy(text) => write!(f, "{text:?} belongs to the proxy: write another name, like \"x-user\""),
        }
    }
}

impl std::error::Error for FieldNameError {}

const PROXY: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl FromStr for FieldName {
    type Err = FieldNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !is_token(text) {
            return Err(FieldNameError::Syntax(text.chars().take(60).collect()));
        }
        let name = text.to_ascii_lowercase();
        if PROXY.contains(&name.as_str()) {
            return Err(FieldNameError::Proxy(name));
        }
        Ok(Self(name))
    }
}

impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Whether a text is what names of fields, methods, cookies and schemes are made of (RFC 9110 section 5.6.2).
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn dashed(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_and_not_the_proxy_s() {
        assert_eq!("X-User".parse::<FieldName>().unwrap().as_str(), "x-user");
        for (text, part) in [("", "is not the name"), ("x user", "is not the name"), ("Host", "belongs to the proxy")] {
            let error = text.parse::<FieldName>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_of_the_client_passes_as_ours() {
        let name: FieldName = "x-user-id".parse().unwrap();
        let head = RequestHead::get_request("/").field("x-user-id", "a").field("X_User-id", "b").field("x-user", "c");
        let expected = Edits::new().remove("x_user-id").set("x-user-id", "alice");
        assert_eq!(name.vouch(Some("alice"), &head, Edits::new()), expected);
        let expected = Edits::new().remove("x_user-id").remove("x-user-id");
        assert_eq!(name.vouch(None::<&str>, &head, Edits::new()), expected);
    }
}
