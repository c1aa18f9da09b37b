//! What the commands need of `portcullis-server`, in one place.

use std::path::PathBuf;

use anyhow::bail;
use portcullis_config::{Config, log::Level};
use portcullis_server::control::ExplainRequest;
use serde::Serialize;
use serde_json::Value;

/// Something that `check` found beyond the configuration's text.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    /// Whether the configuration cannot be run like that.
    pub(crate) error: bool,
    /// What it is about: a file, a name, an endpoint.
    pub(crate) subject: String,
    /// What is the matter.
    pub(crate) message: String,
}

/// Runs the proxy until it is told to stop.
pub(crate) fn run(
    config: PathBuf,
    version: &'static str,
    level: impl Fn(Level) + Send + Sync + 'static,
) -> anyhow::Result<()> {
    level(Level::Info);
    bail!("portcullis {version} cannot run {} yet", config.display())
}

/// Loads certificates, keys and CAs as the server would.
pub(crate) fn check_files(_config: &Config) -> anyhow::Result<Vec<Finding>> {
    Ok(Vec::new())
}

/// Resolves every name and shakes hands with every TLS endpoint.
pub(crate) fn check_online(_config: &Config) -> anyhow::Result<Vec<Finding>> {
    bail!("--online is not connected yet")
}

/// What would become of a request under a configuration.
pub(crate) fn explain_offline(_config: &Config, request: &ExplainRequest) -> anyhow::Result<Value> {
    bail!("cannot explain {} yet", request.url)
}

/// A name as the configuration's `[dns]` finds it.
pub(crate) fn look_up(_config: &Config, name: &str, _service: bool) -> anyhow::Result<Value> {
    bail!("cannot look up {name} yet")
}
