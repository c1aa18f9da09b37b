//! `portcullis plugin test`

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use portcullis_config::units::{self, Size};
use portcullis_plugin::{
    Limits, cache_folder,
    testing::{Case, Report, Suite, table_as_json},
};

use super::{load, project::Project};
use crate::output::{Outcome, Paint, print, print_json};

const EXAMPLES: &str = "\
Examples:
  portcullis plugin test
  portcullis plugin test tests --module geo-block.wasm --memory 16MiB --time 5ms
  portcullis plugin test --update

A case is NAME.http, an exchange as HTTP text, with NAME.toml: what the plugin is given and what is expected. Each is run with
its bodies whole, in every division into two, byte by byte, with every kind of end, on fresh and on used instances: the answer must
not depend on that. The clock and random numbers are fixed, and backends answer from the case.

Exit status: 0 when all is as expected, 1 when not.";

/// Run recorded exchanges through a plugin, and compare what it does with what is expected
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Test {
    /// The folder with the cases
    #[arg(default_value = "tests")]
    folder: PathBuf,

    /// The plugin's file, or builtin:NAME; by default what `plugin build` makes of the project that the folder lies in
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,

    /// The plugin's table, as a TOML file, for cases that have none of their own
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Only cases with this in their name
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// Write what the plugin does into the cases, as what is expected from now on
    #[arg(long)]
    update: bool,

    /// limits.memory of the plugin
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,

    /// limits.time of the plugin
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    time: Option<Duration>,

    /// limits.wait of the plugin
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    wait: Option<Duration>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Test {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let module = self.module()?;
        let config = self.config.as_deref().map_or_else(|| Ok("{}".to_owned()), table)?;
        let mut cases = Case::load(&self.folder, &config)?;
        if let Some(only) = &self.only {
            cases.retain(|case| case.name.contains(only));
            if cases.is_empty() {
                bail!("no case in {} has {only:?} in its name", self.folder.display());
            }
        }
        let default = Limits::default();
        let limits = Limits {
            memory: self.memory.map_or(default.memory, Size::bytes),
            time: self.time.unwrap_or(default.time),
            wait: self.wait.unwrap_or(default.wait),
            ..default
        };
        let suite = Suite { module, cases, limits, cache: cache_folder() };
        let mut report = suite.run()?;
        let updated = if self.update { self.update(&suite, &mut report)? } else { Vec::new() };
        if self.json {
            let mut value = serde_json::to_value(&report)?;
            value["well"] = report.is_well().into();
            value["updated"] = updated.into();
            print_json(&value)?;
        } else {
            print(&shown(&report, &updated, Paint::for_stdout()))?;
        }
        Ok(if report.is_well() { Outcome::Well } else { Outcome::Wrong })
    }

    fn module(&self) -> anyhow::Result<Bytes> {
        if let Some(file) = &self.module {
            return load(file);
        }
        let project = Project::around(&self.folder)?;
        let file = project.module();
        if !file.exists() {
            bail!(
                "{} is not there: run `portcullis plugin build {}` first, or name another with --module FILE",
                file.display(),
                project.folder.display()
            );
        }
        load(&file)
    }

    /// Writes what was found into the cases' files; gives the names of those that changed. What is found in some ways only stays a
    /// problem.
    fn update(&self, suite: &Suite, report: &mut Report) -> anyhow::Result<Vec<String>> {
        let mut updated = Vec::new();
        for (case, found) in report.update(&suite.cases) {
            let path = self.folder.join(format!("{}.toml", case.name));
            let text = case.updated(&found)?;
            fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
            updated.push(case.name.clone());
        }
        Ok(updated)
    }
}

/// A TOML file as JSON text.
fn table(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let table = text.parse().map_err(|error| anyhow!("{}: {error}", path.display()))?;
    Ok(table_as_json(table))
}

fn shown(report: &Report, updated: &[String], paint: Paint) -> String {
    let mut out = String::new();
    for case in &report.cases {
        let well = case.problems.is_empty();
        let word = match well {
            true if updated.contains(&case.name) => "updated",
            true => "ok",
            false => "wrong",
        };
        let word = if well { word.to_owned() } else { paint.error(word) };
        out += &format!("{word:8}{} ({} runs)\n", case.name, case.runs);
        for problem in &case.problems {
            out += &format!("  {}\n", problem.what);
            for line in problem.diff.lines() {
                out += &format!("    {line}\n");
            }
            for line in problem.trace.lines() {
                out += &format!("    | {line}\n");
            }
        }
    }
    out.push('\n');
    if !report.phases.is_empty() {
        out += &format!(
            "{:14}{:>8}{:>14}{:>16}\n",
            paint.heading("phase         ").trim_end_matches(' '),
            "calls",
            "worker",
            "exchange"
        );
        for phase in &report.phases {
            out += &format!(
                "{:14}{:>8}{:>11.1} us{:>13.1} us\n",
                phase.phase, phase.calls, phase.worker_us, phase.exchange_us
            );
        }
        out +=
            &format!("memory        {} KiB of {} KiB\n\n", report.memory_bytes >> 10, report.memory_limit_bytes >> 10);
    }
    for warning in &report.warnings {
        out += &format!("{}: {warning}\n", paint.warning("warning"));
    }
    let wrong = report.cases.iter().filter(|case| !case.problems.is_empty()).count();
    let Report { plugin, runs, cases, .. } = report;
    out += &match (wrong, cases.len()) {
        (0, 1) => format!("{plugin}: 1 case is as expected, {runs} runs\n"),
        (0, all) => format!("{plugin}: {all} cases are as expected, {runs} runs\n"),
        (wrong, all) => format!("{plugin}: {wrong} of {all} cases not as expected, {runs} runs\n"),
    };
    out
}
