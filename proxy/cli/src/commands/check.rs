//! `portcullis check`

use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_config::{Config, load::load};
use serde_json::json;

use crate::{
    config_file,
    output::{Outcome, Paint, print, print_json},
    server::{self, Finding},
};

const EXAMPLES: &str = "\
Examples:
  portcullis check
  portcullis check portcullis.toml
  portcullis check --online /etc/portcullis/portcullis.toml
  portcullis check --json portcullis.toml

Exit status: 0 when the configuration can be run, also with warnings; 1 when it cannot.";

/// Check a configuration: every mistake with its place, and what was expected there
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    /// A TOML file, or a folder of them; by default ./portcullis.toml, then /etc/portcullis/portcullis.toml
    config: Option<PathBuf>,

    /// Also resolve every name, and shake hands with every TLS endpoint
    #[arg(long)]
    online: bool,

    /// Print JSON, for scripts and editors
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let path = config_file::choose(self.config)?;
        let loaded = match load(&path) {
            Ok(loaded) => loaded,
            Err(report) => {
                if self.json {
                    let diagnostics = report.to_json()["diagnostics"].take();
                    print_json(&json!({ "ok": false, "diagnostics": diagnostics, "findings": [] }))?;
                } else {
                    eprint(&Paint::for_stderr().report(&report.to_string()));
                }
                return Ok(Outcome::Wrong);
            }
        };
        let mut findings = server::check_files(&loaded.config, &path);
        if self.online {
            findings.extend(server::check_online(&loaded.config, &path));
        }
        let sound = findings.iter().all(|finding| !finding.error);
        if self.json {
            let warnings: Vec<_> = loaded.warnings.iter().map(|warning| warning.to_json()).collect();
            print_json(&json!({ "ok": sound, "diagnostics": warnings, "findings": findings }))?;
        } else {
            let paint = Paint::for_stderr();
            for warning in &loaded.warnings {
                eprint(&paint.report(&format!("{}\n", warning.to_string().trim_end())));
            }
            for Finding { error, subject, message } in &findings {
                let word = if *error { paint.error("error") } else { paint.warning("warning") };
                eprint(&format!("{word}: {subject}: {message}\n"));
            }
            if sound {
                print(&summary(&path, &loaded.config))?;
            }
        }
        Ok(if sound { Outcome::Well } else { Outcome::Wrong })
    }
}

fn summary(path: &Path, config: &Config) -> String {
    let count = |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    format!(
        "{}: sound: {}, {}, {}, {}\n",
        path.display(),
        count(config.listeners.len(), "listener"),
        count(config.certificates.len(), "certificate"),
        count(config.routes.len(), "route"),
        count(config.backends.len(), "backend"),
    )
}

/// To standard error, where mistakes belong; nobody is left to tell when that is closed.
fn eprint(text: &str) {
    _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
}
