//! `portcullis status`

use clap::Args;
use portcullis_server::control::Request;

use crate::{
    outline,
    output::{Outcome, Paint, print, print_json},
    running::Running,
};

const EXAMPLES: &str = "\
Examples:
  portcullis status
  portcullis status --json
  portcullis status --control /run/portcullis/control.sock";

/// Show how the running process is doing: generation, listeners, backends and their endpoints, counters
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    #[command(flatten)]
    running: Running,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let value = self.running.ask(&Request::Status {})?;
        if self.json {
            print_json(&value)?;
        } else {
            print(&outline::render(&value, Paint::for_stdout()))?;
        }
        Ok(Outcome::Well)
    }
}
