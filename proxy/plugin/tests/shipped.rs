//! The plugins of this project, as their READMEs tell operators to use them: each is built with the table and the grants of its
//! README's example. Wants the files that `make plugins` makes.

#![allow(clippy::unwrap_used, reason = "it is all a test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use portcullis_plugin::{Definition, Grants, Host, Isolation, Limits, Manifest, OnFailure, Plugin, Settings, inspect};
use serde::Deserialize;

/// What is read of a README's example.
#[derive(Debug, Deserialize)]
struct Example {
    plugin: toml::Table,
}

#[derive(Debug, Deserialize)]
struct Entry {
    module: String,
    #[serde(default)]
    grants: toml::Table,
    #[serde(default)]
    config: toml::Table,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folders of the plugins in Rust.
fn shipped() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(repository().join("plugins")).unwrap() {
        let path = entry.unwrap().path();
        let is_guest = fs::read_to_string(path.join("Cargo.toml")).is_ok_and(|manifest| manifest.contains("cdylib"));
        if is_guest {
            found.push((path.file_name().unwrap().to_str().unwrap().to_owned(), path));
        }
    }
    found.sort();
    assert!(found.iter().any(|(name, _)| name == "headers"), "{found:?}");
    found
}

/// The file of a plugin.
fn module(name: &str) -> Bytes {
    let file = repository().join(format!("target/plugins/{name}.wasm"));
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run: make plugins", file.display())).into()
}

/// The entry of a README's first block of TOML.
fn example(name: &str, folder: &Path) -> Entry {
    let readme = read(&folder.join("README.md"));
    let (_, rest) = readme.split_once("```toml\n").unwrap_or_else(|| panic!("the README of {name} has no example"));
    let (example, _) = rest.split_once("```").unwrap();
    let example: Example = toml::from_str(example).unwrap_or_else(|error| panic!("the README of {name}: {error}"));
    let (_, entry) = example.plugin.into_iter().next().expect("the example has a plugin");
    entry.try_into().unwrap_or_else(|error| panic!("the README of {name}: {error}"))
}

/// What plugins that come with the executable may use unless their tables say otherwise.
const OWN: [&str; 5] = ["clock", "key_value", "log", "metrics", "random"];

fn grants(table: &toml::Table) -> Grants {
    let is = |key: &str| table.get(key).is_none_or(|value| value.as_bool().unwrap());
    let backend = |name: &toml::Value| Arc::from(name.as_str().unwrap());
    let path = |path: &toml::Value| PathBuf::from(path.as_str().unwrap());
    Grants {
        log: is("log"),
        metrics: is("metrics"),
        clock: is("clock"),
        random: is("random"),
        key_value: is("key_value"),
        http: table.get("http").map(|backends| backends.as_array().unwrap().iter().map(backend).collect()),
        files: table.get("files").map(|paths| paths.as_array().unwrap().iter().map(path).collect()),
        journal: table.get("journal").map(path),
    }
}

fn build(name: &str, entry: &Entry, isolation: Isolation) -> Arc<Plugin> {
    let host = Host::new(Settings::default()).unwrap();
    let definition = Definition {
        name: Arc::from(name),
        module: module(name),
        config: serde_json::to_string(&entry.config).unwrap(),
        limits: Limits { instances: 10, ..Limits::default() },
        grants: grants(&entry.grants),
        isolation,
        on_failure: OnFailure::Refuse,
        workers: 1,
    };
    Plugin::build(&host, definition).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn each_plugin_loads_as_its_readme_says() {
    for (name, folder) in shipped() {
        let entry = example(&name, &folder);
        assert_eq!(entry.module, format!("builtin:{name}"));
        let plugin = build(&name, &entry, Isolation::Worker);
        assert!(plugin.is_imaged(), "{name}");
        assert_eq!(plugin.warnings(), [] as [&str; 0], "{name}: its samples must run, too");
    }
}

/// The import list is the permission list: a plugin that never calls an interface must not ask for it. The README must name each that
/// it does call, and grant those that plugins of this project do not have by themselves.
#[test]
fn each_plugin_imports_what_its_readme_names_and_no_more() {
    for (name, folder) in shipped() {
        let inspection = inspect(&module(&name)).unwrap();
        let imported: BTreeSet<_> = inspection
            .imports
            .iter()
            .map(|import| import.replace('-', "_"))
            .filter(|import| !["bodies", "connection", "notes"].contains(&import.as_str()))
            .collect();
        let readme = read(&folder.join("README.md"));
        let (_, named) = readme.split_once("\nIt imports ").unwrap_or_default();
        let named = named.split_once('.').unwrap_or_default().0;
        let named: BTreeSet<_> = named.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(imported, named, "{name}");
        let by_its_table = |import: &&String| match import.as_str() {
            "files" => inspection.manifest.as_ref().is_some_and(|manifest| !manifest.files.is_empty()),
            "journal" => inspection.manifest.as_ref().is_some_and(|manifest| !manifest.journal.is_empty()),
            import => OWN.contains(&import),
        };
        let wanted: BTreeSet<_> = imported.iter().filter(|import| !by_its_table(import)).cloned().collect();
        let granted: BTreeSet<_> = example(&name, &folder).grants.keys().cloned().collect();
        assert_eq!(wanted, granted, "{name}");
        assert_eq!(inspection.other_imports, [] as [&str; 0], "{name}");
        assert_eq!(inspection.contract, "0.1.0", "{name}");
    }
}

#[test]
fn each_plugin_carries_its_manifest() {
    for (name, folder) in shipped() {
        let manifest: Manifest = toml::from_str(&read(&folder.join("plugin.toml"))).unwrap();
        assert_eq!(inspect(&module(&name)).unwrap().manifest.as_ref(), Some(&manifest), "{name}");
        assert_eq!(manifest.name, name);
        assert!(!manifest.version.is_empty() && !manifest.description.is_empty(), "{name}");
    }
}
