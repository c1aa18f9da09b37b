//! `portcullis waf check`

use clap::Args;
use serde_json::json;

use super::rules::{Rules, Wanted};
use crate::output::{Outcome, Paint, print, print_json};

const EXAMPLES: &str = "\
Examples:
  portcullis waf check rules/*.conf
  portcullis waf check /usr/share/modsecurity-crs/owasp-crs.load
  portcullis waf check --config portcullis.toml

What is listed as without effect is read and understood, and changes nothing: a directive that a proxy has no use for, an exclusion
that excludes nothing. What would weaken the rules if it were passed over is an error.

Exit status: 0 when the rules can be used, also where something is without effect; 1 when they cannot.";

/// Load rules; list every mistake, and what is without effect
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    /// Rule files in order: paths, patterns, builtin:baseline
    #[arg(value_name = "FILE")]
    files: Vec<String>,

    #[command(flatten)]
    wanted: Wanted,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn execute(mut self) -> anyhow::Result<Outcome> {
        self.wanted.rules.splice(0..0, std::mem::take(&mut self.files));
        let sources = self.wanted.sources()?;
        let paint = Paint::for_stdout();
        match sources.load() {
            Err(problems) => {
                if self.json {
                    print_json(&json!({ "ok": false, "problems": problems, "notes": [] }))?;
                } else {
                    for problem in &problems {
                        print(&format!("{}: {problem}\n", paint.error("error")))?;
                    }
                    print(&format!("\nThe rules cannot be used: {}.\n", count(problems.len(), "mistake")))?;
                }
                Ok(Outcome::Wrong)
            }
            Ok(rules) => {
                if self.json {
                    print_json(&json!({
                        "ok": true, "problems": [], "notes": rules.notes,
                        "rules": rules.rules, "files": rules.files,
                    }))?;
                } else {
                    for note in &rules.notes {
                        print(&format!("{}: {note}\n", paint.warning("without effect")))?;
                    }
                    let Rules { rules, files, notes, .. } = &rules;
                    let inert =
                        if notes.is_empty() { String::new() } else { format!(", {} without effect", notes.len()) };
                    print(&format!("sound: {} from {}{inert}\n", count(*rules, "rule"), count(*files, "file")))?;
                }
                Ok(Outcome::Well)
            }
        }
    }
}

/// `1 rule`, `2 rules`.
pub(crate) fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}
