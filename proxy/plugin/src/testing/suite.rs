//! Every case in every way.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{runtime, sync::mpsc};

use super::{
    case::{self, Case},
    diff,
    exchange::{self, Ran, Way},
    outcome::{Outcome, Shown},
    report::{CaseReport, PhaseReport, Problem, Report},
    script::Script,
    shape::{self, Division, End},
};
use crate::{
    BodyMode, BuildError, Definition, Grants, Host, Inspection, Isolation, Level, Limits, Local, OnFailure, Phase,
    Plugin, Settings, inspect,
};

/// Where chance begins, in each run anew.
const SEED: u64 = 0x706f_7274_6375_6c6c;

/// Requests of a plugin that wait for an answer. A guest has one at a time.
const WAITING_MAX: usize = 8;

/// A plugin and its cases.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The plugin's file.
    pub module: Bytes,
    /// The cases.
    pub cases: Vec<Case>,
    /// What the plugin may use.
    pub limits: Limits,
    /// Where compiled code is kept; `None`: nowhere.
    pub cache: Option<PathBuf>,
}

impl Suite {
    /// Runs every case in every way. The plugin is granted what it imports, and the backends that answers are written for.
    ///
    /// Takes from a part of a second to minutes: to be called where waiting is fine, and in no executor.
    ///
    /// # Errors
    /// When the file is no plugin, or nothing can be run here. What is wrong with a case is in the report.
    pub fn run(&self) -> Result<Report, BuildError> {
        let inspection = inspect(&self.module)?;
        let manifest = inspection.manifest.as_ref().map(|manifest| manifest.name.clone());
        let name: Arc<str> = manifest.filter(|name| !name.is_empty()).unwrap_or_else(|| "plugin".into()).into();
        let unable = |error| BuildError(format!("no plugin can be run here: {error}"));
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let into = lines.clone();
        let host = Host::new(Settings {
            cache: self.cache.clone(),
            fixed: Some((0, SEED)),
            lines: Some(Arc::new(move |_, level: Level, line| {
                into.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{}: {line}", level.name()));
            })),
            ..Settings::default()
        })
        .map_err(unable)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(unable)?;
        let mut running =
            Running { suite: self, inspection, name, host, lines, script: Script::default(), found: Found::default() };
        let mut by_config: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
        for case in &self.cases {
            by_config.entry(&case.config).or_default().push(case);
        }
        for (config, cases) in by_config {
            running.group(&runtime, config, &cases);
        }
        Ok(running.report())
    }
}

struct Running<'a> {
    suite: &'a Suite,
    inspection: Inspection,
    name: Arc<str>,
    host: Arc<Host>,
    lines: Arc<Mutex<Vec<String>>>,
    script: Script,
    found: Found,
}

#[derive(Default)]
struct Found {
    cases: Vec<CaseReport>,
    /// For each phase and isolation (worker, exchange): calls, and the time of one call in each run.
    times: [[(u64, Vec<Duration>); 2]; 5],
    memory: u64,
    warnings: Vec<String>,
}

impl Running<'_> {
    /// Cases with the same configuration.
    fn group(&mut self, runtime: &runtime::Runtime, config: &str, cases: &[&Case]) {
        let built = self
            .build(config, Isolation::Exchange)
            .and_then(|fresh| Ok((fresh, self.build(config, Isolation::Worker)?)));
        let (fresh, used) = match built {
            Ok(built) => built,
            Err(error) => {
                let what = format!("with the configuration {config}: {error}");
                self.found.cases.extend(cases.iter().map(|case| CaseReport {
                    name: case.name.clone(),
                    runs: 0,
                    problems: vec![Problem::new(what.clone(), String::new())],
                    found: None,
                }));
                return;
            }
        };
        self.found.warn(used.warnings().iter().cloned());
        runtime.block_on(async {
            let (outbound, requests) = mpsc::channel(WAITING_MAX);
            tokio::spawn(self.script.clone().serve(requests));
            let fresh = Local::new(fresh, outbound.clone());
            let mut reports: Vec<_> = Vec::new();
            for case in cases {
                let local = Local::new(used.clone(), outbound.clone());
                reports.push(self.case(case, &fresh, &local).await);
            }
            self.orders(cases, &mut reports, || Local::new(used.clone(), outbound.clone())).await;
            self.found.cases.append(&mut reports);
        });
    }

    fn build(&self, config: &str, isolation: Isolation) -> Result<Arc<Plugin>, BuildError> {
        let asks = |import: &str| self.inspection.imports.iter().any(|found| found == import);
        let mut backends: Vec<Arc<str>> =
            self.suite.cases.iter().flat_map(|case| &case.http).map(|answer| answer.backend.as_str().into()).collect();
        backends.sort();
        backends.dedup();
        let definition = Definition {
            name: self.name.clone(),
            module: self.suite.module.clone(),
            config: config.to_owned(),
            limits: self.suite.limits,
            grants: Grants {
                log: asks("log"),
                metrics: asks("metrics"),
                clock: asks("clock"),
                random: asks("random"),
                key_value: asks("key-value"),
                http: asks("http").then_some(backends),
                files: asks("files").then(Vec::new),
                journal: None,
            },
            isolation,
            on_failure: OnFailure::Refuse,
            workers: 1,
        };
        Plugin::build(&self.host, definition)
    }

    /// One case in every way, with a fresh instance each time and with one that was used before.
    async fn case(&mut self, case: &Case, fresh: &Rc<Local>, used: &Rc<Local>) -> CaseReport {
        let mut report = CaseReport { name: case.name.clone(), runs: 0, problems: Vec::new(), found: None };
        let whole = Way::whole(case);
        let (found, ran) = match self.run(case, fresh, &whole, &mut report).await {
            Ok(ran) => ran,
            Err(error) => {
                report.problem(error.0, String::new());
                return report;
            }
        };
        match &case.expect {
            None => report.unexpected(
                format!("nothing is expected yet: `--update` writes what was found into {}.toml", case.name),
                diff::lines("", &write(&found)),
                &ran,
            ),
            Some(expected) if *expected != found => {
                let said = ran.failure.as_ref().map_or_else(String::new, |failure| format!(" ({})", failure.message));
                report.unexpected(
                    format!("not as expected{said}"),
                    diff::lines(&write(expected), &write(&found)),
                    &ran,
                );
            }
            Some(_) => {}
        }
        for local in [fresh, used] {
            // Where each instance must be configured, thousands of them would take minutes.
            let divides = local.plugin().is_imaged() || std::ptr::eq(local, used);
            for of in [Of::Request, Of::Response] {
                if let Err(problem) = self.body(case, local, of, divides, &ran, &mut report).await {
                    report.problems.push(problem);
                    break;
                }
            }
        }
        report.found = Some(found);
        report
    }

    /// One body in every division, with every end. Ends with the first problem: the others are mostly the same.
    async fn body(
        &mut self,
        case: &Case,
        local: &Rc<Local>,
        of: Of,
        divides: bool,
        recorded: &Ran,
        report: &mut CaseReport,
    ) -> Result<(), Problem> {
        let Some((length, ends)) = of.body(case) else { return Ok(()) };
        let mode = of.mode(local.plugin());
        if mode == BodyMode::None {
            return Ok(());
        }
        let isolation = local.plugin().definition().isolation;
        for end in ends {
            let mut way = Way::whole(case);
            of.of(&mut way).1 = end;
            let (_, whole) = self.run(case, local, &way, report).await.map_err(Problem::from)?;
            let where_ = format!("{} {}", of.name(), end.name());
            if let Some(failure) = &whole.failure
                && recorded.failure.is_none()
            {
                let what = format!("with the body of the {where_}, the plugin fails: {}", failure.message);
                return Err(Problem::new(what, String::new()).traced(&whole));
            }
            if !matches!(mode, BodyMode::Stream) || !divides {
                continue;
            }
            for division in shape::divisions(length) {
                let described = division.describe();
                of.of(&mut way).0 = division;
                let (_, divided) = self.run(case, local, &way, report).await.map_err(Problem::from)?;
                if divided.answers != whole.answers {
                    let said =
                        divided.failure.as_ref().map_or_else(String::new, |failure| format!(": {}", failure.message));
                    let what = format!(
                        "the answer depends on how the body of the {where_} is divided: - is in one piece, + is in {described} (on {} \
                         instances){said}",
                        if isolation == Isolation::Worker { "used" } else { "fresh" }
                    );
                    let diff = diff::lines(&write(&whole.outcome()), &write(&divided.outcome()));
                    return Err(Problem::new(what, diff).traced(&divided));
                }
            }
        }
        Ok(())
    }

    /// All cases on one instance, forwards and backwards: what one leaves behind must not be seen by another.
    async fn orders(&mut self, cases: &[&Case], reports: &mut [CaseReport], local: impl Fn() -> Rc<Local>) {
        let forwards: Vec<_> = (0..cases.len()).collect();
        let backwards: Vec<_> = forwards.iter().rev().copied().collect();
        for (order, name) in [(forwards, "in order"), (backwards, "in reverse order")] {
            let local = local();
            for at in order {
                let (case, report) = (cases[at], &mut reports[at]);
                let Some(fresh) = report.found.clone() else { continue };
                let Ok((found, _)) = self.run(case, &local, &Way::whole(case), report).await else { continue };
                if found != fresh {
                    report.problem(
                        format!(
                            "state leaks from one exchange to another: - is with a fresh instance, + is after other cases {name} on one \
                             instance (isolation = \"worker\")"
                        ),
                        diff::lines(&write(&fresh), &write(&found)),
                    );
                }
            }
        }
    }

    /// One exchange, with everything as at the beginning.
    async fn run(
        &mut self,
        case: &Case,
        local: &Rc<Local>,
        way: &Way,
        report: &mut CaseReport,
    ) -> Result<(Outcome, Ran), BuildError> {
        self.host.begin(local.plugin(), case, SEED)?;
        self.script.begin(&case.http);
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let ran = exchange::run(local, case, way).await;
        report.runs += 1;
        self.found.count(&ran, local.plugin().definition().isolation);
        let mut outcome = ran.outcome();
        outcome.log = std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        outcome.http = self.script.asked();
        let figures = self.host.figures();
        // How many lines were too many depends on when a second ended.
        let figures = figures.iter().filter(|figure| figure.plugin == self.name && figure.name != "dropped_log_lines");
        outcome.figures = figures.map(|figure| (figure.name.clone(), Shown::from(&figure.value))).collect();
        self.check_limits(case, &ran);
        Ok((outcome, ran))
    }

    fn check_limits(&mut self, case: &Case, ran: &Ran) {
        let Limits { memory, key_value, .. } = self.suite.limits;
        let used = self.host.key_value(&self.name).used();
        let mut warnings = Vec::new();
        if ran.memory > memory / 2 {
            warnings.push(format!(
                "{}: an instance has more than half of limits.memory ({} KiB)",
                case.name,
                memory >> 10
            ));
        }
        if used > key_value / 2 {
            warnings.push(format!(
                "{}: its values take more than half of limits.key_value ({} KiB)",
                case.name,
                key_value >> 10
            ));
        }
        self.found.warn(warnings);
    }

    fn report(self) -> Report {
        let Found { mut cases, times, memory, mut warnings } = self.found;
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        let mut phases = Vec::new();
        for (phase, [mut worker, mut exchange]) in Phase::ALL.into_iter().zip(times) {
            let calls = worker.0 + exchange.0;
            if calls == 0 {
                continue;
            }
            let [worker_time, exchange_time] = [median(&mut worker.1), median(&mut exchange.1)];
            if worker_time > self.suite.limits.time / 2 {
                let limit = self.suite.limits.time;
                warnings
                    .push(format!("{} takes {worker_time:?}, more than half of limits.time ({limit:?})", phase.name()));
            }
            let microseconds = |time: Duration| time.as_nanos() as f64 / 1000.0;
            phases.push(PhaseReport {
                phase: phase.name(),
                calls,
                worker_us: microseconds(worker_time),
                exchange_us: microseconds(exchange_time),
            });
        }
        Report {
            plugin: self.name.to_string(),
            runs: cases.iter().map(|case| case.runs).sum(),
            cases,
            phases,
            memory_bytes: memory,
            memory_limit_bytes: self.suite.limits.memory,
            warnings,
        }
    }
}

impl Found {
    fn count(&mut self, ran: &Ran, isolation: Isolation) {
        self.memory = self.memory.max(ran.memory);
        let of = usize::from(isolation == Isolation::Exchange);
        for ((calls, time), kept) in ran.costs.calls.into_iter().zip(ran.costs.time).zip(&mut self.times) {
            if calls > 0 {
                kept[of].0 += u64::from(calls);
                kept[of].1.push(time / calls);
            }
        }
    }

    fn warn(&mut self, warnings: impl IntoIterator<Item = String>) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }
}

impl Ran {
    fn outcome(&self) -> Outcome {
        let [request_head, request_body, response_head, response_body, end] = self.answers.clone();
        Outcome { request_head, request_body, response_head, response_body, end, ..Outcome::default() }
    }
}

impl Way {
    /// Bodies in one piece, with the ends that they have.
    fn whole(case: &Case) -> Self {
        let of = |length| (Division::whole(length), End::AsRecorded);
        let recorded = &case.recorded;
        Self {
            request: of(recorded.request.body.len()),
            response: of(recorded.response.as_ref().map_or(0, |response| response.body.len())),
        }
    }
}

/// Which of the two bodies.
#[derive(Clone, Copy)]
enum Of {
    Request,
    Response,
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }

    fn mode(self, plugin: &Plugin) -> BodyMode {
        match self {
            Self::Request => plugin.declaration().request_body,
            Self::Response => plugin.declaration().response_body,
        }
    }

    fn of(self, way: &mut Way) -> &mut (Division, End) {
        match self {
            Self::Request => &mut way.request,
            Self::Response => &mut way.response,
        }
    }

    /// The body's length and the ends to try, if there is such a message: that of the case, and those that it is not.
    fn body(self, case: &Case) -> Option<(usize, [End; 3])> {
        let ends = |is_cut: bool, has_trailers: bool| match (is_cut, has_trailers) {
            (true, _) => [End::AsRecorded, End::Bare, End::Trailers],
            (false, true) => [End::AsRecorded, End::Bare, End::Cut],
            (false, false) => [End::AsRecorded, End::Trailers, End::Cut],
        };
        let recorded = &case.recorded;
        match self {
            Self::Request => {
                let request = &recorded.request;
                Some((request.body.len(), ends(request.is_cut, request.trailers.is_some())))
            }
            Self::Response => recorded
                .response
                .as_ref()
                .map(|response| (response.body.len(), ends(response.is_cut, response.trailers.is_some()))),
        }
    }
}

impl CaseReport {
    fn unexpected(&mut self, what: String, diff: String, ran: &Ran) {
        self.problems.push(Problem { is_about_expectation: true, ..Problem::new(what, diff).traced(ran) });
    }

    fn problem(&mut self, what: String, diff: String) {
        self.problems.push(Problem::new(what, diff));
    }
}

impl Problem {
    fn new(what: String, diff: String) -> Self {
        Self { what, diff, trace: String::new(), is_about_expectation: false }
    }
}

impl Problem {
    /// With what the failure of this run has left, if it failed.
    fn traced(self, ran: &Ran) -> Self {
        Self { trace: ran.failure.as_ref().map_or_else(String::new, |failure| failure.backtrace.clone()), ..self }
    }
}

impl From<BuildError> for Problem {
    fn from(error: BuildError) -> Self {
        Self::new(error.0, String::new())
    }
}

fn write(outcome: &Outcome) -> String {
    case::write(outcome).unwrap_or_else(|error| error.to_string())
}

fn median(times: &mut [Duration]) -> Duration {
    let middle = times.len() / 2;
    if times.is_empty() { Duration::ZERO } else { *times.select_nth_unstable(middle).1 }
}
