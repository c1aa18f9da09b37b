//! What a suite found.

use serde::Serialize;

use super::{case::Case, outcome::Outcome};

/// What a suite found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The plugin's name.
    pub plugin: String,
    /// Exchanges that were run, over all cases and ways.
    pub runs: u64,
    /// The cases, in the order of their names.
    pub cases: Vec<CaseReport>,
    /// Costs of each phase that came.
    pub phases: Vec<PhaseReport>,
    /// The most linear memory that an instance had, in bytes.
    pub memory_bytes: u64,
    /// What it may have.
    pub memory_limit_bytes: u64,
    /// What should be looked at, one sentence each.
    pub warnings: Vec<String>,
}

impl Report {
    /// Takes what was found as what is expected: gives the cases that change, and what they change to.
    pub fn update<'c>(&mut self, cases: &'c [Case]) -> Vec<(&'c Case, Outcome)> {
        let mut changed = Vec::new();
        for report in &mut self.cases {
            let Some(found) = &report.found else { continue };
            let Some(case) = cases.iter().find(|case| case.name == report.name) else { continue };
            if case.expect.as_ref() != Some(found) {
                changed.push((case, found.clone()));
            }
            report.problems.retain(|problem| !problem.is_about_expectation);
        }
        changed
    }

    /// Whether all is as expected.
    pub fn is_well(&self) -> bool {
        self.cases.iter().all(|case| case.problems.is_empty())
    }
}

/// What became of one case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// Exchanges that were run.
    pub runs: u64,
    /// What is wrong; nothing, if all is as expected.
    pub problems: Vec<Problem>,
    /// What the plugin did with the exchange as it was recorded; `None` if it could not be run.
    pub found: Option<Outcome>,
}

/// One thing that is not as expected.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// In a sentence.
    pub what: String,
    /// Lines that differ, with `-` before what was expected and `+` before what was found.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub diff: String,
    /// Where the plugin failed, and what it wrote to standard error, if it did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace: String,
    /// Whether it would be none if what was found were expected.
    #[serde(skip)]
    pub is_about_expectation: bool,
}

/// What one phase costs for each call.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseReport {
    /// Its name.
    pub phase: &'static str,
    /// Calls that were measured.
    pub calls: u64,
    /// The median over exchanges on an instance that was used before (`isolation = "worker"`), in microseconds.
    pub worker_us: f64,
    /// The same with a fresh instance for each exchange (`isolation = "exchange"`); the phase that comes first pays for making it.
    pub exchange_us: f64,
}
