//! `portcullis certs`

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use portcullis_server::control::{CertsRequest, Request};
use serde_json::{Value, json};

use crate::{
    outline,
    output::{Outcome, Paint, print, print_json},
    running::Running,
};

const EXAMPLES: &str = "\
Examples:
  portcullis certs list
  portcullis certs renew shop.example.com
  portcullis certs import shop.example.com --cert fullchain.pem --key privkey.pem
  portcullis certs root > local-root.pem
  portcullis certs export shop.example.com --cert shop.pem --key shop.key

Exit status: 0 when it was done, and for list when every host has a certificate that is valid; 1 otherwise.";

/// The certificates that the running process orders: list them, renew one now, take one in, or give one out
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Certs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show every host with its certificate: issuer, end, next renewal, last error
    #[command(after_help = "Examples:\n  portcullis certs list")]
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Order a certificate anew, now, and wait for it
    #[command(after_help = "Examples:\n  portcullis certs renew shop.example.com")]
    Renew {
        /// The host
        host: String,
        #[command(flatten)]
        common: Common,
    },
    /// Take in a certificate from elsewhere: it is shown at once, and renewed when its time comes
    #[command(
        after_help = "Examples:\n  portcullis certs import shop.example.com --cert fullchain.pem --key privkey.pem"
    )]
    Import {
        /// The host
        host: String,
        /// The chain, leaf first, PEM
        #[arg(long, value_name = "FILE")]
        cert: PathBuf,
        /// The leaf's private key, PEM
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Print the root of this machine's own authority (`tls = { local = true }`), for clients to believe
    #[command(after_help = "Examples:\n  portcullis certs root > local-root.pem")]
    Root {
        #[command(flatten)]
        common: Common,
    },
    /// Write a certificate and its private key to files, or both to standard output
    #[command(after_help = "Examples:\n  portcullis certs export shop.example.com --cert shop.pem --key shop.key")]
    Export {
        /// The host
        host: String,
        /// Where the chain goes
        #[arg(long, value_name = "FILE", requires = "key")]
        cert: Option<PathBuf>,
        /// Where the private key goes; others cannot read the file
        #[arg(long, value_name = "FILE", requires = "cert")]
        key: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    running: Running,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Certs {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        match self.action {
            Action::List { common } => list(&common),
            Action::Renew { host, common } => {
                let value = common.ask(CertsRequest::Renew { host })?;
                common.show(&value)?;
                Ok(Outcome::Well)
            }
            Action::Import { host, cert, key, common } => {
                let request = CertsRequest::Import { host, chain: read(&cert)?, key: read(&key)? };
                let value = common.ask(request)?;
                common.show(&value)?;
                Ok(Outcome::Well)
            }
            Action::Root { common } => {
                let value = common.ask(CertsRequest::Root {})?;
                match common.json {
                    true => print_json(&value)?,
                    false => print(value["root"].as_str().unwrap_or_default())?,
                }
                Ok(Outcome::Well)
            }
            Action::Export { host, cert, key, common } => export(host, cert.zip(key), &common),
        }
    }
}

impl Common {
    fn ask(&self, request: CertsRequest) -> anyhow::Result<Value> {
        Ok(self.running.ask(&Request::Certs(request))?)
    }

    fn show(&self, value: &Value) -> anyhow::Result<()> {
        match self.json {
            true => print_json(value),
            false => print(&outline::render(value, Paint::for_stdout())),
        }
    }
}

fn list(common: &Common) -> anyhow::Result<Outcome> {
    let value = common.ask(CertsRequest::List {})?;
    let certificates = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if common.json {
        print_json(&value)?;
    } else {
        // What a line of a terminal has room for; the rest is in the JSON.
        let brief = |certificate: &Value| {
            let mut line = json!({});
            for key in ["host", "key", "state", "issuer", "not_after", "next", "error"] {
                line[key] = certificate[key].clone();
            }
            line
        };
        print(&outline::render(&certificates.iter().map(brief).collect(), Paint::for_stdout()))?;
    }
    let well = |certificate: &Value| matches!(certificate["state"].as_str(), Some("valid" | "expiring"));
    Ok(if certificates.iter().all(well) { Outcome::Well } else { Outcome::Wrong })
}

fn export(host: String, files: Option<(PathBuf, PathBuf)>, common: &Common) -> anyhow::Result<Outcome> {
    let value = common.ask(CertsRequest::Export { host })?;
    if common.json {
        print_json(&value)?;
        return Ok(Outcome::Well);
    }
    // Where there are several kinds of key, the one that clients get who can take any.
    let text = |key: &str| value[0][key].as_str().map(str::to_owned).context("the answer holds no certificate");
    let (chain, key) = (text("chain")?, text("private_key")?);
    match files {
        None => print(&format!("{chain}{key}"))?,
        Some((chain_file, key_file)) => {
            write(&key_file, &key, 0o600)?;
            write(&chain_file, &chain, 0o644)?;
        }
    }
    Ok(Outcome::Well)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// Makes a file anew, so that no older one's permissions show a key to others.
fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let told = || path.display().to_string();
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(told),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).with_context(told)?;
    file.write_all(text.as_bytes()).with_context(told)
}
