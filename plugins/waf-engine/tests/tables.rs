//! The tables that Coraza, and before it ModSecurity, test operators and transformations with: each row holds, but for those that
//! `tables/exceptions.txt` names with a reason.

#![allow(clippy::unwrap_used)]

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use waf_engine::{
    model::{Piece, Template},
    operator::{Found, Making, Operator},
    transform::Transformation,
    world::Files,
};

#[derive(Deserialize)]
struct Row {
    name: String,
    #[serde(default)]
    param: String,
    input: String,
    #[serde(default)]
    output: String,
    ret: u8,
    re_groups: Option<Vec<String>>,
}

/// The folder of the tables, if the shared test data is there.
fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("PORTCULLIS_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = shared.join("waf/operators-transformations");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no {}; set PORTCULLIS_SHARED to the folder of the shared test data", folder.display());
    None
}

/// Files of the disk.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        fs::read(path).map_err(|why| why.to_string())
    }

    fn glob(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

/// In the tables, `\xHH` and `\u00HH` stand for that byte also where they are still there after JSON was read.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.strip_prefix(b"x").or_else(|| after.strip_prefix(b"u00")).and_then(|text| text.get(..2));
        let value = digits.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match (byte, value) {
            (b'\\', Some(value)) => {
                out.push(value);
                rest = &after[if after[0] == b'x' { 3 } else { 5 }..];
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

/// Rows of each file, in the order of their names.
fn rows(folder: &Path) -> Vec<(String, Vec<Row>)> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let read = |path: PathBuf| {
        let rows = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap_or_else(|why| panic!("{path:?}: {why}"));
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), rows)
    };
    files.into_iter().map(read).collect()
}

/// What the exceptions' file says about files of which `concerns` says yes: how they name a row.
fn exceptions(concerns: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let lines = include_str!("tables/exceptions.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names = lines.map(|line| {
        let words: Vec<_> = line.split('\t').collect();
        assert_eq!(words.len(), 4, "an exception is a file, an argument, an input and a reason: {line}");
        words[..3].join("\t")
    });
    names.filter(|name| concerns(name.split('\t').next().unwrap())).collect()
}

/// Compares what fails with what may, and says how many rows passed.
fn settle(all: usize, failures: Vec<(String, String)>, excepted: BTreeSet<String>) {
    let failed: BTreeSet<_> = failures.iter().map(|(name, _)| name.clone()).collect();
    for (name, what) in failures.iter().filter(|(name, _)| !excepted.contains(name)) {
        eprintln!("{name}\n    {what}");
    }
    let surprises: Vec<_> = excepted.difference(&failed).collect();
    assert!(
        surprises.is_empty(),
        "these pass, or are not there, and may not stand among the exceptions: {surprises:#?}"
    );
    assert!(failed.is_subset(&excepted), "{} of {all} rows fail", failed.difference(&excepted).count());
    eprintln!("{} of {all} rows pass, {} are exceptions", all - failures.len(), excepted.len());
}

fn row_name(file: &str, row: &Row) -> String {
    format!("{file}\t{}\t{}", serde_json::to_string(&row.param).unwrap(), serde_json::to_string(&row.input).unwrap())
}

#[test]
fn every_transformation_gives_what_its_table_says() {
    let Some(folder) = folder() else { return };
    let (mut all, mut failures) = (0, Vec::new());
    for (file, rows) in rows(&folder.join("transformations/testdata")) {
        let step = Transformation::from_name(&file).unwrap_or_else(|| panic!("there is no transformation {file}"));
        for row in rows {
            all += 1;
            let input = bytes(&row.input);
            let mut out = Vec::new();
            if !step.apply(&input, &mut out, None) {
                out.clone_from(&input);
            }
            // `ret` says now whether something was changed, now whether something was done: only the output is compared.
            if out != bytes(&row.output) {
                let (is, expected) =
                    (String::from_utf8_lossy(&out), String::from_utf8_lossy(&bytes(&row.output)).into_owned());
                failures.push((row_name(&file, &row), format!("gives {is:?}, not {expected:?}")));
            }
        }
    }
    assert!(all > 100, "only {all} rows were found");
    settle(all, failures, exceptions(|file| Transformation::from_name(file).is_some()));
}

#[test]
fn every_operator_answers_as_its_table_says() {
    let Some(folder) = folder() else { return };
    let testdata = folder.join("operators/testdata");
    let data = format!("{}/op/", testdata.display());
    let making = Making { files: &Disk, folder: &data, backtrack_limit: 100_000 };
    let mut no_macros = |template: &Template| {
        let text = template.0.iter().map(|piece| if let Piece::Text(text) = piece { text.as_bytes() } else { b"" });
        Cow::Owned(text.collect::<Vec<_>>().concat())
    };
    let (mut all, mut failures) = (0, Vec::new());
    for (file, rows) in rows(&testdata) {
        for row in rows {
            all += 1;
            let mut fail = |what| failures.push((row_name(&file, &row), what));
            let operator = match Operator::new(&row.name, &row.param, &making) {
                Ok(operator) => operator,
                Err(why) => {
                    fail(why);
                    continue;
                }
            };
            let input = bytes(&row.input);
            let mut found = Found::default();
            let matches = operator.judge(&input, &mut no_macros, &mut found).unwrap();
            if matches != (row.ret == 1) {
                fail(format!("says {matches}"));
            }
            if let Some(expected) = &row.re_groups {
                let groups = found.groups.0.iter().map(|group| group.clone().map_or(&b""[..], |range| &input[range]));
                if !groups.eq(expected.iter().map(String::as_bytes)) {
                    fail(format!("finds {:?}", found.groups));
                }
            }
        }
    }
    assert!(all > 1000, "only {all} rows were found");
    settle(all, failures, exceptions(|file| Transformation::from_name(file).is_none()));
}
