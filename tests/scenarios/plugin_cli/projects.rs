use portcullis_tests::scenario::scenario;
use serde_json::Value;

use super::run;
use crate::plugins::guest;

#[test]
fn a_project_is_made_for_each_language_and_never_over_another() {
    scenario(async {
        let folder = tempfile::tempdir().unwrap();
        for language in ["rust", "c", "js", "python"] {
            let line = format!("portcullis plugin new guard --lang {language} --dir {language}");
            let finished = run(&line, folder.path()).await;
            assert_eq!(finished.code, Some(0), "{finished:?}");
            let project = folder.path().join(language);
            for file in
                ["README.md", "plugin.toml", ".gitignore", "wit/filter.wit", "tests/greets.http", "tests/greets.toml"]
            {
                assert!(project.join(file).is_file(), "{language}: {file}");
            }
            let again = run(&line, folder.path()).await;
            assert_eq!(again.code, Some(1));
            assert!(again.stderr.contains("is not empty"), "{again:?}");
        }
    });
}

#[test]
fn what_a_build_needs_and_does_not_find_is_said() {
    scenario(async {
        let folder = tempfile::tempdir().unwrap();
        let finished = run("portcullis plugin build", folder.path()).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains("plugin.toml cannot be read"), "{finished:?}");
        for (language, wanted) in [("js", "npm install"), ("python", "python3 -m venv")] {
            let line = format!(
                "portcullis plugin new guard --lang {language} --dir {language} && portcullis plugin build {language}"
            );
            let finished = run(&line, folder.path()).await;
            assert_eq!(finished.code, Some(1));
            assert!(finished.stderr.contains(wanted), "{finished:?}");
        }
        let finished = run("mkdir tests && portcullis plugin test js/tests", folder.path()).await;
        assert!(finished.stderr.contains("run `portcullis plugin build"), "{finished:?}");
    });
}

#[test]
fn a_plugin_is_measured() {
    scenario(async {
        let folder = tempfile::tempdir().unwrap();
        let line = format!(
            "portcullis plugin bench '{}' --config '{{ \"do\": \"looker\" }}' --seconds 0.02 --json",
            guest("good")
        );
        let finished = run(&line, folder.path()).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let value: Value = serde_json::from_str(&finished.stdout).unwrap();
        let costs = value["costs"].as_array().unwrap();
        // Two isolations, two bodies, two sizes.
        assert_eq!(costs.len(), 8, "{value}");
        assert!(costs.iter().all(|cost| cost["value"].as_str().unwrap().contains("GiB/s")), "{value}");
        assert!(value["start"]["compiled_ms"].as_f64().unwrap() > 0.0);
    });
}
