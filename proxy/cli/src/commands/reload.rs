//! `portcullis reload`

use clap::Args;
use portcullis_server::control::{CallError, Request};
use serde_json::json;

use crate::{
    outline,
    output::{Outcome, Paint, print, print_json},
    running::Running,
};

const EXAMPLES: &str = "\
Examples:
  portcullis reload
  portcullis reload --json

Exit status: 0 when the configuration was taken over, or had not changed; 1 when it has mistakes: the old one serves on.";

/// Make the running process read its configuration again, and wait for the outcome
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Reload {
    #[command(flatten)]
    running: Running,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Reload {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        match self.running.ask(&Request::Reload {}) {
            Ok(value) if self.json => print_json(&value)?,
            Ok(value) => print(&outline::render(&value, Paint::for_stdout()))?,
            Err(CallError::Failed(failure)) if self.json => {
                print_json(&json!({ "error": failure.message, "detail": failure.detail }))?;
                return Ok(Outcome::Wrong);
            }
            Err(CallError::Failed(failure)) => {
                let report = Paint::for_stderr().report(failure.message.trim_end());
                anyhow::bail!("not reloaded, the old configuration serves on\n{report}");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Outcome::Well)
    }
}
