use std::{path::Path, time::Duration};

use portcullis_tests::{
    process::Process,
    repository,
    scenario::{alone, scenario_within},
    shared,
    tool::{Finished, Tool, installed},
};

use super::{crs4, crs4_folder, guarded};

/// A run takes a few seconds on a machine that has nothing else to do.
const RUN_TIME: Duration = Duration::from_secs(240);

/// The engine's settings for regression tests, with the placeholders that their author left filled in. The map of Unicode is the one that is
/// built in; folders are of no consequence, because nothing is stored.
fn engine(tools: &Path) -> String {
    let text = std::fs::read_to_string(tools.join("modsec-engine.conf")).unwrap();
    let text = text.replace("${ENGINE_MODE}", "DetectionOnly").replace("${WORK}", "/nonexistent");
    text.lines().filter(|line| !line.starts_with("SecUnicodeMapFile")).map(|line| format!("{line}\n")).collect()
}

/// Runs the regression tests of CRS 4 that `only` chooses against a proxy of its own, with `setup` for the rules.
async fn run(crs: &Path, setup: &str, only: &[&str]) -> Finished {
    let tools = shared::folder("waf/tools").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let python = installed("python3");
    let backend = tools.join("ftw_backend.py").display().to_string();
    let backend = Process::start("backend", &python, [&*backend, "--port", "0"], folder.path());
    backend.says("listening on").await;
    let address = backend.stdout().trim().rsplit(' ').next().unwrap().to_owned();

    let mut rules = vec!["engine.conf".to_owned()];
    rules.extend(crs4(crs, "setup.conf"));
    let plan = guarded(&rules, "mode = \"rules\"\naudit_log = \"audit.jsonl\"", &address);
    let plan = plan.file("engine.conf", engine(&tools)).file("setup.conf", setup);
    let proxy = plan.start().await;

    let conformance = repository::root().join("tests/conformance").canonicalize().unwrap();
    let at = |name: &str| conformance.join(name).display().to_string();
    let path = |path: std::path::PathBuf| path.display().to_string();
    let log = format!("jsonl:{}", path(proxy.folder().join("audit.jsonl")));
    Tool::at(python)
        .args([path(tools.join("ftw_run.py")), "--tests".into(), path(crs.join("tests/regression/tests"))])
        .args(["--target", &proxy.address("http").to_string(), "--backend", &address, "--log", &log, "--jobs", "8"])
        .args(["--overrides", &at("crs4-overrides.yaml")])
        .args(only)
        .within(RUN_TIME)
        .run()
        .await
}

#[test]
fn every_shared_regression_test_of_crs_4_passes() {
    let Some(crs) = crs4_folder() else { return };
    scenario_within(RUN_TIME + Duration::from_secs(60), async {
        let _alone = alone().await;
        let expected = repository::root().join("tests/conformance/crs4-expected.txt").display().to_string();
        let finished = run(&crs, &setup(""), &["--expect-fail", &expected, "--strict"]).await;
        println!("{}", finished.stdout);
        assert_eq!(finished.code, Some(0), "{}\n{}", finished.stdout, finished.stderr);
        // A test that expects no rule also passes where nothing was logged. That may be so for what is no request at all.
        let silent = finished.stdout.lines().find(|line| line.contains("because the log has no transaction"));
        let count = silent.map_or(Some(0), |line| line.split_whitespace().next()?.parse().ok());
        assert!(count.is_some_and(|count: u32| count <= 3), "{silent:?}");
    });
}

#[test]
fn tests_of_limits_pass_where_limits_are_set() {
    let Some(crs) = crs4_folder() else { return };
    scenario_within(RUN_TIME, async {
        let limits = "SecAction \"id:9990002,phase:1,nolog,pass,t:none,setvar:tx.max_num_args=255,setvar:tx.arg_name_length=100\"\n";
        let finished = run(&crs, &setup(limits), &["--include", "^(920360|920380)-"]).await;
        assert_eq!(finished.code, Some(0), "{}\n{}", finished.stdout, finished.stderr);
    });
}

/// The set-up of CRS 4 for its tests, with `more`.
fn setup(more: &str) -> String {
    let setup = shared::folder("waf/tools").unwrap().join("crs4-test-setup.conf");
    std::fs::read_to_string(setup).unwrap() + more
}
