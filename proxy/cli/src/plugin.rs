//! `portcullis plugin`: one command a file.

mod bench;
mod build;
mod inspect;
mod load;
mod new;
mod project;
mod pull;
mod record;
mod test;

use clap::{Args, Subcommand};

use self::load::{definition, load};
use crate::output::Outcome;

// Those that an executable has in it, made by the build script: name, and code where it was there.
include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// Whether `builtin:NAME` has code in it.
pub(crate) fn is_there(name: &str) -> bool {
    BUILTINS.iter().any(|(known, code)| *known == name && code.is_some())
}

/// Makes the plugins known that are part of the executable. Before any command that may load one.
pub(crate) fn register() {
    portcullis_plugin::module::register_builtins(BUILTINS);
}

const EXAMPLES: &str = "\
Examples:
  portcullis plugin new geo-block --lang rust
  portcullis plugin build
  portcullis plugin test
  portcullis plugin inspect geo-block.wasm
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
    New(new::New),
    Build(build::Build),
    Test(test::Test),
    Bench(bench::Bench),
    Inspect(inspect::Inspect),
    Pull(pull::Pull),
    Record(record::Record),
}

impl Plugin {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        match self.command {
            Command::New(command) => command.execute(),
            Command::Build(command) => command.execute(),
            Command::Test(command) => command.execute(),
            Command::Bench(command) => command.execute(),
            Command::Inspect(command) => command.execute(),
            Command::Pull(command) => command.execute(),
            Command::Record(command) => command.execute(),
        }
    }
}
