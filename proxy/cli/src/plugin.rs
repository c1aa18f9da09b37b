//! `portcullis plugin`: one command a file.

mod inspect;
mod pull;

use clap::{Args, Subcommand};

use crate::output::Outcome;

// Those that an executable has in it, made by the build script: name, and code where it was there.
include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// Makes the plugins known that are part of the executable. Before any command that may load one.
pub(crate) fn register() {
    portcullis_plugin::module::register_builtins(BUILTINS);
}

const EXAMPLES: &str = "\
Examples:
  portcullis plugin inspect geo.wasm
  portcullis plugin pull --config portcullis.toml

`portcullis plugin COMMAND --help` has more.";

/// Look at, fetch, write and try plugins
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Plugin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(inspect::Inspect),
    Pull(pull::Pull),
}

impl Plugin {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        match self.command {
            Command::Inspect(command) => command.execute(),
            Command::Pull(command) => command.execute(),
        }
    }
}
