//! `portcullis waf explain`

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};
use waf_engine::{
    model::Mode,
    transaction::{Intervention, Match, Transaction},
};

use super::{
    exclusion::{self, Exclusion, shown},
    recorded::{self, Recorded},
    rules::{OWN, Wanted},
    trial::{self, Manner},
};
use crate::output::{Outcome, Paint, print, print_json};

const EXAMPLES: &str = "\
Examples:
  portcullis waf explain request.http --rules builtin:baseline
  portcullis waf explain request.http --config portcullis.toml
  curl -s https://shop.example.com/search?q=x --trace-ascii - | less    # what a client sends

The file has one request as HTTP text: request line, header fields, an empty line, and the body. A Content-Length that is not there is
added. It is judged as in mode \"block\", whatever SecRuleEngine says, in front of a backend that answers 200 and nothing more.

Exit status: 0 when the request would pass, 1 when it would be refused.";

/// Most variables of one rule that are shown.
const SHOWN: usize = 10;

/// Say what the rules make of a request: which matched, on what, and the narrowest exclusion
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Explain {
    /// The request, as HTTP text
    #[arg(value_name = "REQUEST")]
    request: PathBuf,

    #[command(flatten)]
    wanted: Wanted,

    /// The client's address, for rules that look at it
    #[arg(long, value_name = "ADDRESS")]
    client: Option<std::net::IpAddr>,

    /// Also rules that are not to be logged
    #[arg(long)]
    all: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let recorded = recorded::file(&self.request)?;
        let rules = self.wanted.load()?;
        let manner = Manner { mode: Some(Mode::On), route: OWN, watch: true, ..Manner::default() };
        let (transaction, refusal) = trial::judge(&rules.engine, &recorded.request, self.client, manner);
        let found: Vec<Found<'_>> = transaction
            .matches()
            .iter()
            .filter(|found| self.all || found.log)
            .map(|found| Found::of(found, &transaction, &recorded))
            .collect();
        if self.json {
            print_json(&json!({
                "decision": decision_json(refusal.as_ref()),
                "engine": format!("{:?}", rules.engine.settings().mode),
                "rules": found.iter().map(Found::json).collect::<Vec<_>>(),
            }))?;
        } else {
            let paint = Paint::for_stdout();
            let mut text = decision(refusal.as_ref(), rules.engine.settings().mode, paint);
            for found in &found {
                text += &found.text(paint);
            }
            if found.is_empty() {
                text += "No rule matched.\n";
            }
            text += &exclusions(&found);
            print(&text)?;
        }
        Ok(if refusal.is_none() { Outcome::Well } else { Outcome::Wrong })
    }
}

fn decision(refusal: Option<&Intervention>, mode: Mode, paint: Paint) -> String {
    let Some(refusal) = refusal else { return format!("{}\n\n", paint.heading("The request passes.")) };
    let done = match refusal {
        Intervention { drop: true, .. } => "the connection is closed".to_owned(),
        Intervention { redirect: Some(to), status, .. } => {
            format!("it is sent to {} with {status}", String::from_utf8_lossy(to))
        }
        Intervention { status, .. } => format!("it is refused with {status}"),
    };
    let asked = match refusal.rule {
        0 => String::new(),
        rule => format!(" by rule {rule}"),
    };
    let mut text =
        format!("{}{asked}: {}\n", paint.error(&format!("The request does not pass: {done}")), refusal.message);
    match mode {
        Mode::On => {}
        Mode::DetectionOnly => {
            text += "With SecRuleEngine DetectionOnly, as the rules say, this would only be logged.\n"
        }
        Mode::Off => text += "The rules themselves never say SecRuleEngine On; the plugin's mode decides.\n",
    }
    text.push('\n');
    text
}

fn decision_json(refusal: Option<&Intervention>) -> Value {
    refusal.map_or_else(
        || json!({ "pass": true }),
        |refusal| {
            json!({
                "pass": false, "rule": refusal.rule, "status": refusal.status, "drop": refusal.drop,
                "redirect": refusal.redirect.as_ref().map(|to| String::from_utf8_lossy(to)),
                "message": refusal.message,
            })
        },
    )
}

/// A rule that matched, with where it matched.
struct Found<'a> {
    found: &'a Match,
    /// Of its last link: variable, and value after transformations.
    seen: Vec<(String, String)>,
    exclusions: Vec<Exclusion>,
}

impl<'a> Found<'a> {
    fn of(found: &'a Match, transaction: &Transaction, recorded: &Recorded) -> Self {
        let looks = transaction.looks();
        let mut seen = Vec::new();
        for look in looks.iter().filter(|look| look.rule == found.rule && look.matched) {
            let pair = (shown(&look.variable), shown(&look.value));
            if !seen.contains(&pair) {
                seen.push(pair);
            }
        }
        Self { found, seen, exclusions: Exclusion::of(found, looks, &recorded.request.target) }
    }

    fn text(&self, paint: Paint) -> String {
        let found = self.found;
        let score = if found.score == 0 { String::new() } else { format!("  {:+}", found.score) };
        let message = String::from_utf8_lossy(&found.message);
        let mut text = format!("{}{score}  {message}\n", paint.heading(&format!("rule {}", found.rule)));
        _ = writeln!(text, "  {}", paint.faint(&format!("{}:{}, phase {}", found.file, found.line, found.phase as u8)));
        for (variable, value) in self.seen.iter().take(SHOWN) {
            _ = writeln!(text, "  {variable} = {value}");
        }
        if self.seen.len() > SHOWN {
            _ = writeln!(text, "  and {} more", self.seen.len() - SHOWN);
        }
        if !found.data.is_empty() {
            _ = writeln!(text, "  data: {}", shown(&found.data));
        }
        text.push('\n');
        text
    }

    fn json(&self) -> Value {
        let found = self.found;
        json!({
            "rule": found.rule,
            "message": String::from_utf8_lossy(&found.message),
            "data": String::from_utf8_lossy(&found.data),
            "file": &*found.file,
            "line": found.line,
            "phase": found.phase as u8,
            "severity": found.severity,
            "score": found.score,
            "tags": found.tags.iter().map(|tag| String::from_utf8_lossy(tag)).collect::<Vec<_>>(),
            "log": found.log,
            "matched": self.seen.iter().map(|(variable, value)| json!({ "variable": variable, "value": value }))
                .collect::<Vec<_>>(),
            "exclusions": self.exclusions.iter()
                .map(|one| json!({ "toml": one.toml(), "seclang": one.seclang() })).collect::<Vec<_>>(),
        })
    }
}

/// The narrowest exclusions of all of them, those of one place together.
fn exclusions(found: &[Found<'_>]) -> String {
    let together = exclusion::together(found.iter().flat_map(|found| &found.exclusions));
    let mut text = String::new();
    for exclusion in together.iter().take(SHOWN) {
        let place = exclusion.target.as_deref().unwrap_or("the whole request");
        _ = writeln!(text, "If this is mistaken about {place}, the narrowest exclusion, in the configuration:\n");
        indent(&mut text, &exclusion.toml());
        _ = writeln!(text, "\nor in a rule file that is loaded before the rules, under an id that is free:\n");
        indent(&mut text, &exclusion.seclang());
        text.push('\n');
    }
    text
}

fn indent(text: &mut String, block: &str) {
    for line in block.lines() {
        _ = writeln!(text, "    {line}");
    }
}
