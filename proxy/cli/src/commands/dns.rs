//! `portcullis dns`

use std::path::PathBuf;

use clap::Args;
use portcullis_server::control::Request;

use crate::{
    config_file, outline,
    output::{Outcome, Paint, print, print_json},
    running::{Running, or_use_a_file},
    server,
};

const EXAMPLES: &str = "\
Examples:
  portcullis dns 1.web.my-app.my-net.private-network.internal
  portcullis dns --srv _http._tcp.my-app.internal
  portcullis dns --config portcullis.toml my-express-api";

/// Look a name up as the proxy does: zone, nameserver, records, TTL, stale or not
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Dns {
    /// The name
    name: String,

    /// Ask for SRV records: addresses with ports
    #[arg(long)]
    srv: bool,

    /// Use the dns table of a configuration instead of asking the running process
    #[arg(long, value_name = "FILE", conflicts_with = "control")]
    config: Option<PathBuf>,

    #[command(flatten)]
    running: Running,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Dns {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let value = match &self.config {
            Some(path) => server::look_up(&config_file::load(path)?.config, &self.name, self.srv)?,
            None => {
                self.running.ask(&Request::Dns { name: self.name.clone(), service: self.srv }).map_err(or_use_a_file)?
            }
        };
        if self.json {
            print_json(&value)?;
        } else {
            print(&outline::render(&value, Paint::for_stdout()))?;
        }
        // A name without an address is what a script asks about: the answer is printed, and the status says no.
        let found = value["records"].as_array().is_some_and(|records| !records.is_empty());
        Ok(if found { Outcome::Well } else { Outcome::Wrong })
    }
}
