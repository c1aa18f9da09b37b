//! The plugin's table.

use std::{collections::BTreeMap, fmt};

use portcullis_sdk::check_name;
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};

use crate::security::Preset;

/// The keys of `[plugin.NAME.config]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The security headers to begin with.
    pub(crate) preset: Preset,
    /// `strict-transport-security`.
    pub(crate) hsts: Choice,
    /// `x-frame-options`.
    pub(crate) frame_options: Choice,
    /// `x-content-type-options`.
    pub(crate) content_type_options: Choice,
    /// `referrer-policy`.
    pub(crate) referrer_policy: Choice,
    /// `content-security-policy`.
    pub(crate) csp: Choice,
    /// `content-security-policy-report-only`.
    pub(crate) csp_report_only: Choice,
    /// `permissions-policy`.
    pub(crate) permissions_policy: Choice,
    /// `cross-origin-opener-policy`.
    pub(crate) opener_policy: Choice,
    /// `cross-origin-resource-policy`.
    pub(crate) resource_policy: Choice,
    /// Security headers that stay as the backend sent them, where it did.
    keep: Vec<String>,
    /// Changes to the request.
    pub(crate) request: Table,
    /// Changes to the response.
    pub(crate) response: Table,
}

impl Config {
    /// The names of `keep`, in lower case.
    pub(crate) fn keep(&self) -> Result<Vec<String>, String> {
        for name in &self.keep {
            check_name(name).map_err(|why| format!("keep: {why}"))?;
        }
        Ok(self.keep.iter().map(|name| name.to_ascii_lowercase()).collect())
    }
}

/// Changes to the fields of one head.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Table {
    /// In place of those of that name.
    pub(crate) set: BTreeMap<String, String>,
    /// Where there is none of that name.
    pub(crate) default: BTreeMap<String, String>,
    /// Beside those of that name.
    pub(crate) append: BTreeMap<String, Values>,
    /// Names; with a `*` at the end, all that begin so.
    pub(crate) remove: Vec<String>,
}

/// A text or a list of texts.
#[derive(Debug)]
pub(crate) struct Values(pub(crate) Vec<String>);

/// A header of the preset: as the preset has it, another value, or `false` for none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Preset,
    Without,
    Value(String),
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Values, E> {
                Ok(Values(vec![value.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Values(values))
            }
        }

        deserializer.deserialize_any(Read)
    }
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl Visitor<'_> for Read {
            type Value = Choice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the field's value as text, or false to leave it out")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Choice, E> {
                if value { Err(E::invalid_value(de::Unexpected::Bool(true), &self)) } else { Ok(Choice::Without) }
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Choice, E> {
                Ok(Choice::Value(value.to_owned()))
            }
        }

        deserializer.deserialize_any(Read)
    }
}
