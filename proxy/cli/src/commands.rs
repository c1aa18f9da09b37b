//! The command line: what there is, and which file does it.

mod certs;
mod check;
mod demo;
mod dns;
mod explain;
mod reload;
mod run;
mod schema;
mod status;

#[cfg(test)]
mod tests;

use clap::{Parser, Subcommand};

use crate::output::Outcome;

/// Package version and commit.
pub(crate) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("PORTCULLIS_COMMIT"), ")");

const EXAMPLES: &str = "\
Examples:
  portcullis check portcullis.toml
  portcullis run portcullis.toml
  portcullis explain GET https://shop.example.com/api/cart
  portcullis status

Exit status: 0 when all is well; 1 when a check found errors or a command failed; 2 when the command line is wrong.";

/// An edge proxy: terminates TLS, routes, balances, finds private backends by DNS, and reloads its TOML with nothing dropped.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version = VERSION, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Schema(schema::Schema),
    Explain(explain::Explain),
    Dns(dns::Dns),
    Status(status::Status),
    Reload(reload::Reload),
    Certs(certs::Certs),
    Plugin(crate::plugin::Plugin),
    Waf(crate::waf::Waf),
    Demo(demo::Demo),
}

impl Arguments {
    /// Does what was asked; for `run` and `demo`, until the process is told to stop.
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        match self.command {
            Command::Run(command) => command.execute(),
            Command::Check(command) => command.execute(),
            Command::Schema(command) => command.execute(),
            Command::Explain(command) => command.execute(),
            Command::Dns(command) => command.execute(),
            Command::Status(command) => command.execute(),
            Command::Reload(command) => command.execute(),
            Command::Certs(command) => command.execute(),
            Command::Plugin(command) => command.execute(),
            Command::Waf(command) => command.execute(),
            Command::Demo(command) => command.execute(),
        }
    }
}
