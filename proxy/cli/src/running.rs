//! Asking the running process, for every command that does.

use std::path::PathBuf;

use clap::Args;
use portcullis_server::control::{self, CallError, Request};
use serde_json::Value;

use crate::config_file;

/// Which process is meant.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// The control socket of the process; by default the one that ./portcullis.toml or
    /// /etc/portcullis/portcullis.toml names, else the usual place
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
}

impl Running {
    /// Sends one request and waits for its answer.
    pub(crate) fn ask(&self, request: &Request) -> Result<Value, CallError> {
        control::call(&self.path(), request)
    }

    fn path(&self) -> PathBuf {
        if let Some(path) = &self.control {
            return path.clone();
        }
        // A configuration with mistakes must not keep anyone from asking the process that runs with the one before.
        config_file::default()
            .and_then(|path| portcullis_config::load::load(&path).ok())
            .map_or_else(control::default_path, |loaded| control::path(&loaded.config.server))
    }
}

/// The error of a command that could also have worked on a file: says so where no process is there to ask.
pub(crate) fn or_use_a_file(error: CallError) -> anyhow::Error {
    match error {
        CallError::NotRunning(_) | CallError::Dead(_) => anyhow::anyhow!("{error}; --config FILE asks a file instead"),
        other => other.into(),
    }
}
