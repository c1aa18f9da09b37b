//! The rules of libmodsecurity's own regression tests load, and those that it refuses are refused.

use waf_engine::{seclang::Loader, world::Files};

use crate::disk::{Disk, shared};

/// The tests name files below their own folder.
struct TestFiles {
    data: String,
}

impl Files for TestFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        match path.strip_prefix("test-cases/data/") {
            Some(name) => Disk.read(&format!("{}/{name}", self.data)),
            None => Err(format!("{path} is not one of the tests' files")),
        }
    }

    fn glob(&self, _pattern: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

#[test]
fn the_rules_of_libmodsecuritys_tests_load_or_are_refused_as_there() {
    let Some(shared) = shared() else {
        eprintln!("skipped: the shared test data are not there");
        return;
    };
    let folder = format!("{shared}/libmodsecurity-regression");
    let files = TestFiles { data: format!("{folder}/data") };
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in Disk.glob(&format!("{folder}/*.json")).unwrap() {
        let tests: serde_json::Value = serde_json::from_slice(&Disk.read(&path).unwrap()).unwrap();
        for test in tests.as_array().unwrap() {
            let title = test["title"].as_str().unwrap_or_default();
            let rules: Vec<&str> = test["rules"].as_array().unwrap().iter().filter_map(|rule| rule.as_str()).collect();
            let text = rules.join("\n");
            let mut loader = Loader::new(&files);
            loader.text("rules", text.as_bytes());
            let result = loader.finish().map(|_| ()).map_err(|problems| problems[0].to_string());
            let fails = test["expected"].get("parser_error").is_some();
            if result.is_err() != fails {
                wrong.push(format!("{path}: {title}: {result:?}\n{text}"));
            }
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(count > 200, "{count}");
}
