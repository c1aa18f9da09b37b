//! `portcullis waf cost`

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;
use waf_engine::trial as exchange;

use super::{
    recorded::{self, Recorded},
    rules::{OWN, Rules, Wanted},
    trial::{self, Manner},
};
use crate::output::{Outcome, Paint, print, print_json};

const EXAMPLES: &str = "\
Examples:
  portcullis waf cost recorded/ --config portcullis.toml
  portcullis waf cost /var/log/portcullis/audit.jsonl --rules '/usr/share/modsecurity-crs/owasp-crs.load' --top 30

Requests are *.http files (`portcullis plugin record` takes them from a running process) and records of an audit log. The engine runs
natively here, on this machine and without a sandbox; what matters is one rule beside another.";

/// Show how much time each rule takes over recorded requests
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cost {
    /// Requests: files, folders, audit logs
    #[arg(value_name = "REQUESTS", required = true)]
    requests: Vec<PathBuf>,

    #[command(flatten)]
    wanted: Wanted,

    /// How many rules are shown
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,

    /// How often every request is judged
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What one rule took, in all.
#[derive(Default, Clone, Copy)]
struct Sum {
    visits: u64,
    matches: u64,
    nanoseconds: u64,
}

impl Cost {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let kept = recorded::read(&self.requests)?;
        let requests = &kept.records;
        let rules = self.wanted.load()?;
        let whole = whole(&rules, requests, self.rounds);
        let mut sums: Vec<_> = measured(&rules, requests, self.rounds).into_iter().collect();
        sums.sort_by(|(a, one), (b, other)| other.nanoseconds.cmp(&one.nanoseconds).then(a.cmp(b)));
        let judged = f64::from(self.rounds) * requests.len() as f64;
        let per_request = whole.as_secs_f64() * 1e6 / judged;
        let total: u64 = sums.iter().map(|(_, sum)| sum.nanoseconds).sum();
        let share = |sum: &Sum| if total == 0 { 0.0 } else { 100.0 * sum.nanoseconds as f64 / total as f64 };
        let microseconds = |sum: &Sum| sum.nanoseconds as f64 / 1e3 / judged;
        sums.truncate(self.top);
        if self.json {
            let rules: Vec<_> = sums
                .iter()
                .map(|(rule, sum)| {
                    json!({
                        "rule": rule, "us_per_request": microseconds(sum), "percent": share(sum),
                        "visits_per_request": sum.visits as f64 / judged, "matches": sum.matches,
                    })
                })
                .collect();
            print_json(&json!({ "requests": requests.len(), "us_per_request": per_request, "rules": rules }))?;
        } else {
            let paint = Paint::for_stdout();
            let mut text: String =
                kept.remarks().iter().map(|one| format!("{}: {one}\n", paint.warning("note"))).collect();
            text += &format!(
                "{} requests, each {} times: {per_request:.1} us a request, all phases\n\n",
                requests.len(),
                self.rounds
            );
            text += &paint.heading("      rule   us/request       %   visits/request   matches");
            text.push('\n');
            for (rule, sum) in &sums {
                let name = if *rule == 0 { "selection".into() } else { rule.to_string() };
                text += &format!(
                    "{name:>10} {:>12.3} {:>7.1} {:>16.2} {:>9}\n",
                    microseconds(sum),
                    share(sum),
                    sum.visits as f64 / judged,
                    sum.matches / u64::from(self.rounds)
                );
            }
            text += "\nTimes of rules have the cost of taking them in them; \"selection\" is finding out which rules to ask.\n";
            print(&text)?;
        }
        Ok(Outcome::Well)
    }
}

/// The time that judging takes when nobody takes times in between.
fn whole(rules: &Rules, requests: &[Recorded], rounds: u32) -> Duration {
    let world = trial::world();
    let mut took = Duration::ZERO;
    for recorded in requests {
        // The first one fills caches.
        for round in 0..=rounds {
            let mut transaction =
                trial::begin(&rules.engine, recorded.client, Manner { route: OWN, ..Manner::default() });
            let start = Instant::now();
            let answer = |_: &exchange::Request| exchange::Response::empty();
            exchange::judge(&rules.engine, &world, &mut transaction, &recorded.request, &answer);
            if round > 0 {
                took += start.elapsed();
            }
        }
    }
    took
}

fn measured(rules: &Rules, requests: &[Recorded], rounds: u32) -> HashMap<u64, Sum> {
    let mut sums = HashMap::<u64, Sum>::new();
    for recorded in requests {
        for _ in 0..rounds {
            let manner = Manner { measure: true, route: OWN, ..Manner::default() };
            let (transaction, _) = trial::judge(&rules.engine, &recorded.request, recorded.client, manner);
            for cost in transaction.costs() {
                let sum = sums.entry(cost.rule).or_default();
                sum.visits += cost.visits;
                sum.matches += cost.matches;
                sum.nanoseconds += cost.nanoseconds;
            }
        }
    }
    sums
}
