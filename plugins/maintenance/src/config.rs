//! The plugin's table.

use portcullis_sdk::settings::{Millis, Network};
use serde::Deserialize;

/// The keys of `[plugin.NAME.config]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether it does anything.
    pub(crate) enabled: bool,
    /// Of the answer.
    pub(crate) status: u16,
    /// When clients may come again.
    pub(crate) retry_after: Option<Millis>,
    /// Of the page.
    pub(crate) title: String,
    /// Of the page, and of JSON.
    pub(crate) message: String,
    /// A page of the operator's own.
    pub(crate) html: Option<String>,
    /// JSON text of the operator's own.
    pub(crate) json: Option<String>,
    /// Who passes.
    pub(crate) allow: Allow,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            status: 503,
            retry_after: None,
            title: "Down for maintenance".to_owned(),
            message: "We are working on this site and will be back soon.".to_owned(),
            html: None,
            json: None,
            allow: Allow::default(),
        }
    }
}

/// Who passes: each of these is enough.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Allow {
    pub(crate) networks: Vec<Network>,
    pub(crate) paths: Vec<String>,
    pub(crate) header: Option<Secret>,
    pub(crate) cookie: Option<Secret>,
}

/// A field or cookie with the value that opens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Without the value.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}
