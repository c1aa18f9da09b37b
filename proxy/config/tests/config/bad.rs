//! Each `tests/bad/NAME.toml` (or folder `NAME`) gets exactly the report in `NAME.txt`. `BLESS=1` writes the reports; reading
//! them is part of reviewing a change.

use std::{collections::BTreeSet, fs, path::Path};

use portcullis_config::load::{Source, load, parse};

#[test]
fn every_bad_file_gets_its_report() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut names = BTreeSet::new();
    let mut reports = BTreeSet::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("txt") => reports.insert(name),
            _ => names.insert(name),
        };
    }
    assert!(names.len() >= 40, "only {} cases", names.len());

    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for name in &names {
        let found = report(&folder, name);
        let expected = folder.join(format!("{name}.txt"));
        if bless {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).ok().as_deref() != Some(&found) {
            wrong.push(format!("---- {name} got:\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nBLESS=1 accepts these", wrong.join("\n"));
    assert_eq!(reports.difference(&names).count(), 0, "reports without a file: {:?}", reports.difference(&names));
}

/// The report, as seen from the folder of the cases.
fn report(folder: &Path, name: &str) -> String {
    let file = folder.join(format!("{name}.toml"));
    let loaded = match fs::read_to_string(&file) {
        Ok(text) => parse(&[Source { name: format!("{name}.toml"), text }]),
        Err(_) => load(&folder.join(if file.exists() { format!("{name}.toml") } else { name.to_owned() })),
    };
    match loaded {
        Err(report) => report.to_string().replace(&format!("{}/", folder.display()), ""),
        Ok(loaded) if !loaded.warnings.is_empty() => {
            loaded.warnings.iter().map(|warning| format!("{warning}\n")).collect::<String>()
        }
        Ok(_) => panic!("{name} has nothing wrong"),
    }
}
