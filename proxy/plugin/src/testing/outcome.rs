//! What a plugin did with an exchange, in a form to be written down and compared.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::base64;
use crate::{Failure, FieldEdit, Value, Verdict};

/// What a plugin did in one exchange. Phases that did not come are absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outcome {
    /// Lines for the log, as `info: text`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Requests to backends, as `backend: METHOD /target`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<String>,
    /// Counters and gauges by name; of a histogram, its values' number and sum.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, Shown>,
    /// About the request's head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_head: Option<Answer>,
    /// About all of the request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_body: Option<Answer>,
    /// About the response's head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_head: Option<Answer>,
    /// About all of the response's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_body: Option<Answer>,
    /// There only if the plugin failed when it was told the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Answer>,
}

/// A figure's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Shown {
    /// Of a counter.
    Counter(u64),
    /// Of a gauge.
    Gauge(f64),
    /// Of a histogram.
    Histogram {
        /// How many values.
        count: u64,
        /// Their sum.
        sum: f64,
    },
}

/// What became of a head or a body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// The word for it.
    pub verdict: Word,
    /// How the plugin failed ([`crate::FailureKind::name`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Changes to the head, in order: `set name: value`, `append name: value`, `remove name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<String>,
    /// The new path and query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The new status, or that of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Fields of the answer, as `name: value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// The answer's body; of an edited body, all of what is passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Text>,
    /// The trailers that are passed on in place of the others, as `name: value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trailers: Option<Vec<String>>,
}

/// A verdict, or what took its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Nothing is changed.
    #[default]
    Continue,
    /// Something is.
    Edit,
    /// The client is answered.
    Respond,
    /// The exchange is ended.
    Close,
    /// The plugin failed.
    Fail,
    /// The body was over what the plugin holds, and the proxy refused it without asking.
    Refuse,
}

/// Bytes, as a string where they are UTF-8, else as `{ base64 = "..." }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Text(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Base64 {
        #[serde(with = "coded")]
        base64: Vec<u8>,
    },
}

mod coded {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::base64::encode(bytes, 0))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::base64::decode(text.as_bytes()).ok_or_else(|| D::Error::custom("this is no base64"))
    }
}

impl From<Written> for Text {
    fn from(written: Written) -> Self {
        match written {
            Written::Text(text) => Self(text.into_bytes()),
            Written::Base64 { base64 } => Self(base64),
        }
    }
}

impl From<Text> for Written {
    fn from(text: Text) -> Self {
        match String::from_utf8(text.0) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Base64 { base64: error.into_bytes() },
        }
    }
}

impl From<&Value> for Shown {
    fn from(value: &Value) -> Self {
        match value {
            Value::Counter(count) => Self::Counter(*count),
            Value::Gauge(gauge) => Self::Gauge(*gauge),
            Value::Histogram { count, sum, .. } => Self::Histogram { count: *count, sum: *sum },
        }
    }
}

impl Answer {
    /// One of this word and nothing more.
    pub(crate) fn of(verdict: Word) -> Self {
        Self { verdict, ..Self::default() }
    }

    pub(crate) fn failed(failure: &Failure) -> Self {
        Self { failure: Some(failure.kind.name().to_owned()), ..Self::of(Word::Fail) }
    }

    /// About a head; of a body's verdict everything but the bytes and trailers.
    pub(crate) fn about_head(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Continue => Self::default(),
            Verdict::Close => Self::of(Word::Close),
            Verdict::Respond(response) => Self {
                status: Some(response.status().as_u16()),
                fields: fields(response.headers()),
                body: (!response.body().is_empty()).then(|| Text(response.body().to_vec())),
                ..Self::of(Word::Respond)
            },
            Verdict::Edit(edits) => Self {
                edits: edits.fields.iter().map(edit).collect(),
                target: edits.target.as_ref().map(ToString::to_string),
                status: edits.status.map(|status| status.as_u16()),
                ..Self::of(Word::Edit)
            },
        }
    }

    /// Whether the exchange ends with it.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self.verdict, Word::Respond | Word::Close | Word::Fail | Word::Refuse)
    }
}

/// `name: value`, one for each.
pub(crate) fn fields(map: &HeaderMap) -> Vec<String> {
    map.iter().map(|(name, value)| format!("{name}: {}", shown(value))).collect()
}

fn edit(edit: &FieldEdit) -> String {
    match edit {
        FieldEdit::Set(name, value) => format!("set {name}: {}", shown(value)),
        FieldEdit::Append(name, value) => format!("append {name}: {}", shown(value)),
        FieldEdit::Remove(name) => format!("remove {name}"),
    }
}

/// A value as text. Bytes that are none are escaped, as `\xff`.
fn shown(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().escape_ascii().to_string(),
    }
}
