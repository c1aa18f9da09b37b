//! What a plugin's file says of itself: the custom section `portcullis-manifest`, TOML text.

use serde::Deserialize;

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
