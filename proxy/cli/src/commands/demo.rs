//! `portcullis demo`

use std::path::PathBuf;

use clap::Args;

use super::VERSION;
use crate::{
    demo, error_log,
    output::{Outcome, print},
    server,
};

const EXAMPLES: &str = "\
Examples:
  portcullis demo
  portcullis demo --dir target/demo

Everything stays on loopback. The folder holds the configuration, which you may edit while the demo runs and which
is kept for the next time, and a certificate authority made for this demo alone. Ctrl-C ends it.";

/// Start a demonstration: a proxy on 8080 and 8443, small backends, and a private DNS zone, in one process
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// Where the demo keeps its configuration and certificate
    #[arg(long, value_name = "DIR", default_value = "portcullis-demo")]
    dir: PathBuf,
}

impl Demo {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let level = error_log::start()?;
        let files = demo::Files::prepare(&self.dir)?;
        // Ends with this function: its tasks are gone before the process is.
        let _town = demo::Town::start()?;
        print(&demo::tour(&files))?;
        server::run(files.config, VERSION, level)?;
        print("The demo has ended; start it again with the same command.\n")?;
        Ok(Outcome::Well)
    }
}
