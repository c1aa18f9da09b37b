//! `portcullis run`

use std::path::PathBuf;

use clap::Args;

use super::VERSION;
use crate::{config_file, error_log, output::Outcome, server};

const EXAMPLES: &str = "\
Examples:
  portcullis run
  portcullis run /etc/portcullis/portcullis.toml
  portcullis run /etc/portcullis/conf.d

The configuration is watched: an edit is checked and, if it is sound, taken over with nothing dropped.
SIGHUP looks again at once, SIGTERM and SIGINT let open exchanges finish, a second one ends at once.
PORTCULLIS_LOG=debug makes the error log louder than the configuration says.";

/// Run the proxy until it is told to stop
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    /// A TOML file, or a folder of them; by default ./portcullis.toml, then /etc/portcullis/portcullis.toml
    config: Option<PathBuf>,
}

impl Run {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let config = config_file::choose(self.config)?;
        server::run(config, VERSION, error_log::start()?)?;
        Ok(Outcome::Well)
    }
}
