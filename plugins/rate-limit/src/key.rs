//! Whom a request is counted for.

use std::{fmt::Write, str::FromStr};

use portcullis_sdk::settings;
use serde::{Deserialize, Deserializer, de};
use sha2::{Digest, Sha256};

/// One part of what makes two requests count together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The client's address.
    Client,
    /// The path, made alike: decoded, without dot segments, doubled slashes and query.
    Path,
    /// The method.
    Method,
    /// The host that was asked for.
    Host,
    /// A request field's value, by its lower-case name.
    Header(String),
    /// A cookie's value.
    Cookie(String),
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let token = settings::is_token;
        Ok(match text.split_once(':') {
            None if text == "client" => Self::Client,
            None if text == "path" => Self::Path,
            None if text == "method" => Self::Method,
            None if text == "host" => Self::Host,
            Some(("header", name)) if token(name) => Self::Header(name.to_ascii_lowercase()),
            Some(("cookie", name)) if token(name) => Self::Cookie(name.to_owned()),
            _ => {
                return Err(format!(
                    "{text:?} is nothing to count by: write \"client\", \"path\", \"method\", \"host\", \"header:NAME\" or \
                     \"cookie:NAME\""
                ));
            }
        })
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What a key is made of: the parts' values in order. A value that is absent differs from one that is empty.
#[derive(Default)]
pub struct Key(Sha256);

impl Key {
    /// Adds a part's value, or that it is absent.
    pub fn add(&mut self, value: Option<&[u8]>) {
        // With its length, so that no two rows of values are the same bytes.
        match value {
            Some(value) => {
                self.0.update((value.len() as u64 + 1).to_be_bytes());
                self.0.update(value);
            }
            None => self.0.update(0u64.to_be_bytes()),
        }
    }

    /// 128 bits of SHA-256 as hexadecimal: keys of one length, and no header or cookie of a client is kept in memory as it was sent.
    pub fn finish(self) -> String {
        let digest = self.0.finalize();
        digest.iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// A target's path made alike, so that one resource is counted once however it is spelt.
pub fn path(target: &str) -> Vec<u8> {
    let raw = target.split(['?', '#']).next().unwrap_or_default();
    let decoded = decode(raw.as_bytes());
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in decoded.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut path = Vec::with_capacity(decoded.len());
    for segment in segments {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    path
}

fn decode(raw: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        match (byte, digit(raw.get(at + 1)), digit(raw.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// The value of a cookie among the `cookie` fields; the first one of that name.
pub fn cookie<'a>(fields: impl Iterator<Item = &'a [u8]>, name: &str) -> Option<&'a [u8]> {
    fields.flat_map(|field| field.split(|byte| *byte == b';')).find_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        (&pair[..equals] == name.as_bytes()).then(|| &pair[equals + 1..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read() {
        assert_eq!("client".parse(), Ok(Part::Client));
        assert_eq!("header:X-API-Key".parse(), Ok(Part::Header("x-api-key".to_owned())));
        assert_eq!("cookie:SID".parse(), Ok(Part::Cookie("SID".to_owned())));
        for text in ["", "ip", "header", "header:", "header:a b", "cookie:a=b", "client:1"] {
            assert!(text.parse::<Part>().is_err(), "{text}");
        }
    }

    #[test]
    fn one_path_has_one_spelling() {
        for target in ["/a/b", "/a/b?c", "//a///b", "/a/b/", "/%61/b", "/a/./b", "/a/c/../b", "/../a/b", "/a/%2e/b"] {
            assert_eq!(path(target), b"/a/b", "{target}");
        }
        assert_eq!(path("/a%zz%4"), b"/a%zz%4");
        assert_eq!(path("/"), b"");
        assert_ne!(path("/a/b"), path("/a/B"));
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let fields: [&[u8]; 2] = [b"asid=1; b=2", b"sid=x=y ; sid=z"];
        assert_eq!(cookie(fields.into_iter(), "sid"), Some(&b"x=y"[..]));
        assert_eq!(cookie(fields.into_iter(), "b"), Some(&b"2"[..]));
        assert_eq!(cookie(fields.into_iter(), "c"), None);
    }

    #[test]
    fn rows_of_values_do_not_run_into_each_other() {
        let key = |values: &[Option<&[u8]>]| {
            let mut key = Key::default();
            values.iter().for_each(|value| key.add(*value));
            key.finish()
        };
        let keys = [
            key(&[Some(b"ab"), Some(b"c")]),
            key(&[Some(b"a"), Some(b"bc")]),
            key(&[Some(b"abc")]),
            key(&[Some(b"abc"), None]),
            key(&[Some(b"abc"), Some(b"")]),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert_eq!(one.len(), 32);
            assert!(keys[at + 1..].iter().all(|other| other != one));
        }
    }
}
