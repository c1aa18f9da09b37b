use std::fs;

use portcullis_tests::scenario::scenario;
use serde_json::Value;
use tempfile::TempDir;

use super::run;
use crate::plugins::guest;

const EXCHANGE: &str = "### request\nPOST /a HTTP/1.1\nhost: a.example\n\nabc def\n### response\nHTTP/1.1 200 OK\ncontent-type: text/plain\n\nghi jkl\n";

/// A folder with one case for each of these tables.
fn cases(tables: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, table) in tables {
        fs::write(folder.path().join(format!("{name}.http")), EXCHANGE).unwrap();
        fs::write(folder.path().join(format!("{name}.toml")), table).unwrap();
    }
    folder
}

/// Runs the cases; gives the exit status and the report.
async fn report(folder: &TempDir, name: &str, options: &str) -> (Option<i32>, Value) {
    let line = format!("portcullis plugin test . --module '{}' --json {options}", guest(name));
    let finished = run(&line, folder.path()).await;
    let report = serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
    (finished.code, report)
}

fn problems(report: &Value) -> String {
    let cases = report["cases"].as_array().unwrap();
    let problems = cases.iter().flat_map(|case| case["problems"].as_array().unwrap());
    problems
        .map(|problem| {
            format!("{}\n{}", problem["what"].as_str().unwrap(), problem["diff"].as_str().unwrap_or_default())
        })
        .collect()
}

#[test]
fn what_is_found_becomes_what_is_expected_and_is_then_held_to() {
    scenario(async {
        let given = "# Kept.\nconfig = { do = \"upper\" }\n";
        let folder = cases(&[("shouts", given)]);
        let (code, first) = report(&folder, "good", "").await;
        assert_eq!(code, Some(1));
        assert!(problems(&first).contains("nothing is expected yet"), "{first}");
        let (code, updated) = report(&folder, "good", "--update").await;
        assert_eq!((code, &updated["updated"][0]), (Some(0), &Value::from("shouts")), "{updated}");
        let text = fs::read_to_string(folder.path().join("shouts.toml")).unwrap();
        assert_eq!(
            text,
            format!(
                "{given}\n[expect.request_body]\nverdict = \"edit\"\nbody = \"ABC DEF\"\n\n[expect.response_body]\nverdict = \"edit\"\nbody = \"GHI \
                 JKL\"\n"
            )
        );
        let (code, second) = report(&folder, "good", "").await;
        assert_eq!((code, &second["well"]), (Some(0), &Value::Bool(true)), "{second}");
        // 8 divisions into two, and by single bytes, of two bodies with three ends, twice: more than a hundred.
        assert!(second["runs"].as_u64().unwrap() > 100, "{second}");
        assert!(second["phases"].as_array().unwrap().iter().any(|phase| phase["phase"] == "response_body"));
        assert!(second["memory_bytes"].as_u64().unwrap() > 0);

        fs::write(folder.path().join("shouts.toml"), text.replace("ABC DEF", "ABC DEX")).unwrap();
        let (code, third) = report(&folder, "good", "").await;
        let said = problems(&third);
        assert_eq!(code, Some(1));
        assert!(said.contains("- body = \"ABC DEX\"") && said.contains("+ body = \"ABC DEF\""), "{said}");
    });
}

#[test]
fn an_answer_that_depends_on_the_pieces_is_found() {
    scenario(async {
        // Each piece becomes one byte.
        let table = "config = { phase = \"response_body\", do = \"edit\", data = 1 }\n";
        let folder = cases(&[("pieces", table)]);
        let (code, report) = report(&folder, "hostile", "--update").await;
        let said = problems(&report);
        assert_eq!(code, Some(1), "{report}");
        assert!(said.contains("depends on how the body of the response as recorded is divided"), "{said}");
        assert!(said.contains("pieces of 0 and 7 bytes"), "{said}");
    });
}

#[test]
fn state_that_leaks_from_one_exchange_to_another_is_found() {
    scenario(async {
        let folder = cases(&[("one", "config = { do = \"uses\" }\n"), ("two", "config = { do = \"uses\" }\n")]);
        let (code, report) = report(&folder, "good", "--update").await;
        let said = problems(&report);
        assert_eq!(code, Some(1), "{report}");
        assert!(said.contains("state leaks") && said.contains("+ edits = [\"set x-uses: 2\"]"), "{said}");
        assert!(said.contains("in order") && said.contains("in reverse order"), "{said}");
    });
}

#[test]
fn failures_and_held_bodies_are_told_apart() {
    scenario(async {
        let folder = cases(&[
            ("over", "config = { do = \"holder\", limit = 3 }\n"),
            ("fits", "config = { do = \"holder\", limit = 7 }\n"),
            ("closes", "config = { do = \"close\", phase = \"request_body\" }\n"),
        ]);
        let (code, report) = report(&folder, "good", "--update").await;
        assert_eq!(code, Some(0), "{report}");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("over.toml").contains("verdict = \"refuse\""));
        assert!(!read("over.toml").contains("response_body"), "the backend was not reached");
        assert!(read("fits.toml").contains("edits = [\"set x-held: 7\""), "{}", read("fits.toml"));
        assert!(read("closes.toml").contains("[expect.request_body]\nverdict = \"close\""));

        let folder = cases(&[("traps", "config = { phase = \"request_head\", do = \"trap\" }\n")]);
        let (_, before) = super::testing::report(&folder, "hostile", "").await;
        let trace = before["cases"][0]["problems"][0]["trace"].as_str().unwrap_or_default();
        assert!(trace.contains("attack::run"), "where it failed is told: {before}");
        let (code, report) = super::testing::report(&folder, "hostile", "--update").await;
        assert_eq!(code, Some(0), "{report}");
        assert!(
            fs::read_to_string(folder.path().join("traps.toml"))
                .unwrap()
                .contains("verdict = \"fail\"\nfailure = \"trap\"")
        );
    });
}

#[test]
fn mistakes_in_cases_say_where_they_are() {
    scenario(async {
        let folder = cases(&[("wrong", "confg = {}\n")]);
        let line = format!("portcullis plugin test . --module '{}'", guest("good"));
        let finished = run(&line, folder.path()).await;
        assert_eq!(finished.code, Some(1));
        assert!(
            finished.stderr.contains("wrong.toml") && finished.stderr.contains("unknown field `confg`"),
            "{finished:?}"
        );
        let folder = cases(&[("refused", "config = { do = \"dance\" }\n")]);
        let finished = run(&line, folder.path()).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stdout.contains("it refuses its configuration"), "{finished:?}");
    });
}
