//! The regression tests of the Core Rule Set, in process. `CRS_TEST=942100-1` runs one and prints all that matched.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use waf_engine::{
    model::RuleSet,
    transaction::{Engine, Match},
    trial,
};

use crate::{
    backend,
    exceptions::Exceptions,
    ftw::{self, Expected, Test},
    support::{self, Source},
};

/// The rules in the order that the shared data's README gives.
pub(crate) fn engine(shared: &Path) -> Engine {
    Engine::new(rules(shared))
}

/// As [`engine`], not yet compiled.
pub(crate) fn rules(shared: &Path) -> RuleSet {
    let settings = fs::read_to_string(shared.join("tools/modsec-engine.conf")).unwrap();
    let map = shared.join("libmodsecurity-regression/data/unicode.mapping");
    let settings = settings
        .replace("${ENGINE_MODE}", "DetectionOnly")
        .replace("${WORK}", "/tmp")
        .replace("${UNICODE_MAP}", map.to_str().unwrap());
    let sources = [
        Source::Text("modsec-engine.conf", &settings),
        Source::File("crs-v4.28.0/crs-setup.conf.example"),
        Source::File("tools/crs4-test-setup.conf"),
        Source::File("crs-v4.28.0/rules/*.conf"),
    ];
    support::load(shared, &sources).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What became of the tests of one file.
#[derive(Default, Clone, Copy)]
struct Tally {
    passed: usize,
    failed: usize,
    server: usize,
}

#[test]
fn crs_tests_find_what_they_expect_in_the_log() {
    let Some(shared) = support::shared() else { return };
    let engine = engine(&shared);
    let only = std::env::var("CRS_TEST").ok();
    let mut tests = ftw::tests(&shared.join("crs-v4.28.0/tests/regression/tests"));
    tests.retain(|test| only.as_ref().is_none_or(|id| *id == test.id));
    assert!(!tests.is_empty(), "there is no such test");
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let why = run(&engine, test, only.is_some());
                    found.lock().unwrap().push((test, why));
                }
            });
        }
    });
    report(found.into_inner().unwrap(), only.is_none());
}

/// Prints a line a file and the failures; fails when there is one that is no known exception.
fn report(mut found: Vec<(&Test, Option<Vec<String>>)>, whole: bool) {
    found.sort_by(|(a, _), (b, _)| (&a.file, &a.id).cmp(&(&b.file, &b.id)));
    let exceptions = Exceptions::read("crs");
    let mut tallies = BTreeMap::<&str, Tally>::new();
    let (mut failures, mut astonishing) = (Vec::new(), Vec::new());
    for (test, why) in &found {
        let family = &test.file[..test.file.len().min(3)];
        let tally = tallies.entry(family).or_default();
        match why {
            None => tally.server += 1,
            Some(why) if why.is_empty() => {
                tally.passed += 1;
                if exceptions.has(&test.id) {
                    astonishing.push(test.id.as_str());
                }
            }
            Some(why) => {
                tally.failed += 1;
                if !exceptions.has(&test.id) {
                    failures.push(format!("{}: {}", test.id, why.join("; ")));
                }
            }
        }
    }
    println!("{:8}{:>8}{:>8}{:>14}", "family", "passed", "failed", "server's own");
    let mut sum = Tally::default();
    for (family, tally) in tallies {
        println!("{family:8}{:>8}{:>8}{:>14}", tally.passed, tally.failed, tally.server);
        sum.passed += tally.passed;
        sum.failed += tally.failed;
        sum.server += tally.server;
    }
    println!("{:8}{:>8}{:>8}{:>14}", "all", sum.passed, sum.failed, sum.server);
    assert!(failures.is_empty(), "{} tests failed:\n{}", failures.len(), failures.join("\n"));
    assert!(astonishing.is_empty() || !whole, "no exceptions any more: {}", astonishing.join(", "));
}

/// Why a test failed; `None` where it asks something of the server and nothing of the rules.
fn run(engine: &Engine, test: &Test, talk: bool) -> Option<Vec<String>> {
    let world = support::world();
    let mut why = Vec::new();
    let mut judged = false;
    for stage in &test.stages {
        let bytes = stage.input.bytes();
        let mut matches = Vec::new();
        for request in trial::requests(&bytes) {
            let (transaction, _) =
                trial::begin_and_judge(engine, &world, &support::local(), &request, &backend::answer);
            matches.extend_from_slice(transaction.matches());
        }
        if talk {
            show(&bytes, &matches);
        }
        if !stage.expected.server {
            judged = true;
            compare(&stage.expected, &matches, &mut why);
        }
    }
    judged.then_some(why)
}

fn compare(expected: &Expected, matches: &[Match], why: &mut Vec<String>) {
    let logged: Vec<_> = matches.iter().filter(|found| found.log).collect();
    let has = |id: &u64| logged.iter().any(|found| found.rule == *id);
    for id in expected.ids.iter().filter(|id| !has(id)) {
        why.push(format!("{id} did not match"));
    }
    for id in expected.not_ids.iter().filter(|id| has(id)) {
        why.push(format!("{id} matched"));
    }
    if let Some(pattern) = &expected.lines
        && !logged.iter().any(|found| pattern.is_match(&line(found)))
    {
        why.push(format!("no line matches {pattern}"));
    }
    if let Some(pattern) = &expected.not_lines
        && logged.iter().any(|found| pattern.is_match(&line(found)))
    {
        why.push(format!("a line matches {pattern}"));
    }
}

/// A match as an error log shows it, as far as tests look at it.
fn line(found: &Match) -> String {
    let text = String::from_utf8_lossy;
    let tags: String = found.tags.iter().map(|tag| format!(" [tag \"{}\"]", text(tag))).collect();
    format!(
        "ModSecurity: Warning. [file \"{}\"] [line \"{}\"] [id \"{}\"] [msg \"{}\"] [data \"{}\"]{tags}",
        found.file,
        found.line,
        found.rule,
        text(&found.message),
        escaped(&found.data)
    )
}

/// What is not printable ASCII, quotes and backslashes, as `\xHH`.
fn escaped(bytes: &[u8]) -> String {
    let one = |&byte: &u8| match byte {
        b'"' | b'\\' | 0..=0x1F | 0x7F.. => format!("\\x{byte:02x}"),
        _ => char::from(byte).into(),
    };
    bytes.iter().map(one).collect()
}

fn show(bytes: &[u8], matches: &[Match]) {
    println!("{}\n", bytes.escape_ascii());
    for found in matches {
        println!(
            "{} phase {:?} {}{} = {}\n    {} | {}",
            found.rule,
            found.phase,
            if found.log { "" } else { "(nolog) " },
            found.variable.escape_ascii(),
            found.value.escape_ascii(),
            String::from_utf8_lossy(&found.message),
            found.data.escape_ascii(),
        );
    }
}
