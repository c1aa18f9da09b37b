//! `portcullis waf`: one command a file. The engine runs here as it is, without a sandbox; it is the one that `builtin:waf` has in it.

mod attacks;
mod check;
mod cost;
mod exclusion;
mod explain;
mod recorded;
mod rules;
mod trial;
mod tune;

use clap::{Args, Subcommand};

use crate::output::Outcome;

const EXAMPLES: &str = "\
Examples:
  portcullis waf check /etc/modsecurity/crs/crs-setup.conf '/usr/share/modsecurity-crs/rules/*.conf'
  portcullis waf explain request.http --rules builtin:baseline
  portcullis waf tune /var/log/portcullis/audit.jsonl --config portcullis.toml
  portcullis waf cost recorded/ --config portcullis.toml

`portcullis waf COMMAND --help` has more.";

/// Check rules of the web application firewall, ask why they matched, and find exclusions
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Waf {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Explain(explain::Explain),
    Tune(tune::Tune),
    Cost(cost::Cost),
}

impl Waf {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        match self.command {
            Command::Check(command) => command.execute(),
            Command::Explain(command) => command.execute(),
            Command::Tune(command) => command.execute(),
            Command::Cost(command) => command.execute(),
        }
    }
}
