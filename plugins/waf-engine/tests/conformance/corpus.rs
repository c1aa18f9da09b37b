//! The project's own requests: ordinary ones pass, attacks do not. Of the stock rule sets too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use waf_engine::{
    transaction::{Engine, Intervention, Transaction},
    trial,
};

use crate::{
    backend,
    support::{self, Source},
};

/// `tests/conformance` of the repository.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance")
}

/// All requests below a folder, by path.
fn requests(below: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![folder().join(below)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "http") {
                found.push((path.to_string_lossy().into_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn judge(engine: &Engine, name: &str, bytes: &[u8]) -> (Transaction, Option<Intervention>) {
    let requests = trial::requests(bytes);
    assert_eq!(requests.len(), 1, "{name}");
    trial::begin_and_judge(engine, &support::world(), &support::local(), &requests[0], &backend::answer)
}

/// Those of `below` that are refused, each with what matched.
fn refused(engine: &Engine, below: &str) -> Vec<String> {
    let requests = requests(below);
    assert!(!requests.is_empty());
    let mut found = Vec::new();
    for (name, bytes) in requests {
        let (transaction, intervention) = judge(engine, &name, &bytes);
        if intervention.is_some() {
            let matched = transaction.matches().iter().filter(|found| found.log);
            let rules: Vec<_> = matched
                .map(|found| {
                    format!("{} {} = {}", found.rule, found.variable.escape_ascii(), found.value.escape_ascii())
                })
                .collect();
            found.push(format!("{name}: {}", rules.join(", ")));
        }
    }
    found
}

fn baseline() -> Engine {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../waf/rules");
    let on = Source::Text("mode", "SecRuleEngine On\n");
    Engine::new(
        support::load(&rules, &[on, Source::File("baseline.conf")]).unwrap_or_else(|problems| panic!("{problems}")),
    )
}

#[test]
fn baseline_lets_ordinary_requests_pass() {
    let engine = baseline();
    for below in ["benign", "benign-not-for-crs"] {
        let refused = refused(&engine, below);
        assert!(refused.is_empty(), "{}", refused.join("\n"));
    }
}

#[test]
fn baseline_refuses_attacks() {
    let engine = baseline();
    let mut passed = Vec::new();
    for (name, bytes) in requests("attacks") {
        match judge(&engine, &name, &bytes) {
            (_, Some(intervention)) => assert!(matches!(intervention.status, 400 | 403), "{name}"),
            (transaction, None) => {
                let rules: Vec<_> = transaction.matches().iter().filter(|one| one.log).map(|one| one.rule).collect();
                passed.push(format!("{name} {rules:?}"));
            }
        }
    }
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

/// Rules as an operator has them who follows the manual: the recommended settings, and a rule set as it is.
fn stock(shared: &Path, rules: &[Source<'_>]) -> Engine {
    let settings = fs::read_to_string(shared.join("tools/modsec-engine.conf")).unwrap();
    let map = shared.join("libmodsecurity-regression/data/unicode.mapping");
    let settings = settings
        .replace("${ENGINE_MODE}", "On")
        .replace("${WORK}", "/tmp")
        .replace("${UNICODE_MAP}", map.to_str().unwrap());
    let mut sources = vec![Source::Text("modsec-engine.conf", &settings)];
    sources.extend(rules.iter().map(|source| match source {
        Source::File(name) => Source::File(name),
        Source::Text(name, text) => Source::Text(name, text),
    }));
    Engine::new(support::load(shared, &sources).unwrap_or_else(|problems| panic!("{problems}")))
}

#[test]
fn crs_4_lets_ordinary_requests_pass() {
    let Some(shared) = support::shared() else { return };
    let rules = [Source::File("crs-v4.28.0/crs-setup.conf.example"), Source::File("crs-v4.28.0/rules/*.conf")];
    let refused = refused(&stock(&shared, &rules), "benign");
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn debians_crs_lets_ordinary_requests_pass() {
    let Some(shared) = support::shared() else { return };
    let load = "/usr/share/modsecurity-crs/owasp-crs.load";
    if !Path::new(load).exists() {
        eprintln!("SKIPPED: Debian's modsecurity-crs is not installed");
        return;
    }
    let refused = refused(&stock(&shared, &[Source::File(load)]), "benign");
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
