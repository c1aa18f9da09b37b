//! What a plugin's file says of itself: the custom section `portcullis-manifest`, TOML text.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::BuildError;

/// The name of the custom section.
pub const SECTION: &str = "portcullis-manifest";

/// A plugin's manifest.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    /// Its own name, as its author calls it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// What it is written in, for whoever builds it. The host does not care.
    pub lang: String,
    /// Keys of the plugin's table, dotted where they are in a table in it, whose values (text or lists of it) are files and patterns: these,
    /// and all that is in their folders, it may read without a further grant.
    pub files: Vec<String>,
    /// The key of the plugin's table whose value is the file that it writes lines to; empty where there is none.
    pub journal: String,
    /// Exchanges that are run through it before its image is taken, so that what it builds at first use is there.
    pub warm: Vec<Sample>,
}

/// An exchange to warm up with.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// An HTTP/1.1 request as text: head, empty line, body. Lines end with LF or CR LF; the body's length needs no field.
    pub request: String,
    /// An HTTP/1.1 response as text.
    pub response: String,
}

impl Sample {
    /// Head and body of `text`, which is a request or a response; `None` where it is empty.
    ///
    /// # Errors
    /// When it is neither, with what is wrong.
    pub(crate) fn split(text: &str) -> Result<Option<Message>, BuildError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let unix = text.trim_start().replace("\r\n", "\n");
        let (head, body) = unix.split_once("\n\n").unwrap_or((unix.trim_end(), ""));
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default().split(' ').map(str::to_owned).collect();
        let mut fields = HeaderMap::new();
        for line in lines {
            let wrong = || BuildError(format!("its manifest has {line:?} where a field `name: value` should be"));
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
            fields.try_append(name, value).map_err(|_| wrong())?;
        }
        Ok(Some(Message { first, fields, body: body.to_owned() }))
    }
}

/// A message of a [`Sample`].
pub(crate) struct Message {
    /// The words of the first line.
    pub first: Vec<String>,
    /// The fields.
    pub fields: HeaderMap,
    /// The body.
    pub body: String,
}

/// Reads the section's content.
///
/// # Errors
/// When it is no manifest, with what is wrong.
pub(crate) fn parse(section: &[u8]) -> Result<Manifest, BuildError> {
    let text = std::str::from_utf8(section).map_err(|_| BuildError("its manifest is not UTF-8".into()))?;
    toml::from_str(text).map_err(|error| BuildError(format!("its manifest cannot be read: {error}")))
}
