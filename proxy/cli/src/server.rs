//! What the commands need of `portcullis-server`, in one place.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use portcullis_config::{Config, log::Level};
pub(crate) use portcullis_server::check::Finding;
use portcullis_server::{Options, check, control::ExplainRequest, control::Failure};
use serde_json::Value;

/// Runs the proxy until it is told to stop.
pub(crate) fn run(
    config: PathBuf,
    version: &'static str,
    level: impl Fn(Level) + Send + Sync + 'static,
) -> anyhow::Result<()> {
    // The error's text is complete and may have many lines; a chain of causes would repeat it.
    portcullis_server::run(Options { config, version, level: Box::new(level) }).map_err(|error| anyhow!("{error}"))
}

/// Loads certificates, keys and CAs as the server would.
pub(crate) fn check_files(config: &Config, path: &Path) -> Vec<Finding> {
    check::files(config, path)
}

/// Resolves every name and shakes hands with every TLS endpoint.
pub(crate) fn check_online(config: &Config, path: &Path) -> Vec<Finding> {
    check::online(config, path)
}

/// What would become of a request under a configuration.
pub(crate) fn explain_offline(config: &Config, path: &Path, request: &ExplainRequest) -> anyhow::Result<Value> {
    check::explain_offline(config, path, request).map_err(failed)
}

/// A name as the configuration's `[dns]` finds it.
pub(crate) fn look_up(config: &Config, name: &str, service: bool) -> anyhow::Result<Value> {
    check::look_up(config, name, service).map_err(failed)
}

fn failed(failure: Failure) -> anyhow::Error {
    anyhow!(failure.message)
}
