use std::{fs, path::Path};

use portcullis_tests::{
    binary,
    port::Port,
    process::Process,
    repository::{blocks, read, section},
    scenario::scenario_within,
};

use super::{LIMIT, run, shell};

/// The lines of all blocks for shells of a part.
fn commands(part: &str) -> Vec<String> {
    blocks(part, "sh").concat().lines().map(str::to_owned).collect()
}

/// Runs a command that has to do well.
async fn does(line: &str, folder: &Path) -> String {
    let finished = run(line, folder).await;
    assert_eq!(finished.code, Some(0), "{line}\n{}\n{}", finished.stdout, finished.stderr);
    finished.stdout
}

#[test]
fn the_tutorials_commands_do_what_it_says() {
    scenario_within(LIMIT, async {
        let page = read("docs/plugins/tutorial.md");
        let desk = tempfile::tempdir().unwrap();
        let folder = desk.path().join("doorman");

        let begin = commands(section(&page, "## Begin"));
        let [new, cd, build, test] = &*begin else { panic!("{begin:?}") };
        does(new, desk.path()).await;
        assert_eq!(cd, "cd doorman");
        let built = does(build, &folder).await;
        assert!(built.contains("doorman.wasm"), "{built}");
        let tested = does(test, &folder).await;
        assert!(tested.contains("1 case is as expected"), "{tested}");

        fs::write(folder.join("src/lib.rs"), &blocks(section(&page, "## Write it"), "rust")[0]).unwrap();
        let part = section(&page, "## Test it");
        let test = commands(part);
        let [remove, build, update, cat, test] = &*test else { panic!("{test:?}") };
        does(remove, &folder).await;
        fs::write(folder.join("tests/scanner.http"), &blocks(part, "http")[0]).unwrap();
        let tables = blocks(part, "toml");
        fs::write(folder.join("tests/scanner.toml"), &tables[0]).unwrap();
        does(build, &folder).await;
        does(update, &folder).await;
        assert_eq!(does(cat, &folder).await, tables[1]);
        does(test, &folder).await;

        let part = section(&page, "## Run it");
        let port = Port::reserve();
        let here = |text: &str| text.replace("127.0.0.1:8080", &port.address().to_string());
        let control = folder.join("control.sock");
        let text = here(&blocks(part, "toml")[0]);
        fs::write(folder.join("portcullis.toml"), format!("[server]\ncontrol = \"{}\"\n{text}", control.display()))
            .unwrap();
        let lines = commands(part);
        let [check, start, welcome, refused, bench, inspect] = &*lines else { panic!("{lines:?}") };
        assert!(does(check, &folder).await.contains("sound"));
        let process = Process::start("run", binary::portcullis(), start.split(' ').skip(1), &folder);
        process.says("running generation 1").await;
        let welcome = does(&here(welcome), &folder).await;
        assert!(
            welcome.contains(" 200 ") && welcome.contains("x-door: open") && welcome.ends_with("welcome\n"),
            "{welcome}"
        );
        let refused = does(&here(refused), &folder).await;
        assert!(refused.contains(" 403 ") && refused.ends_with("no nikto in here\n"), "{refused}");

        assert!(does(bench, &folder).await.contains("heads of request and response"));
        assert!(does(inspect, &folder).await.contains("doorman"));
        // The template's own tests are replaced with its source; those that are left must compile.
        shell("cargo test --quiet", &folder).output().await;
    });
}
