//! The contract and the SDK, as they are in new projects.
//!
//! The SDK is in no registry, so that a project has a copy of it in `vendor/`: it builds wherever its other crates can be had, with
//! exactly the SDK of the portcullis that made it.

use anyhow::Context;
use include_dir::{Dir, File, include_dir};
use toml::{Table, Value};

/// Where the copy lies in a project. The SDK reads the contract from `../../wit`.
pub(crate) const FOLDER: &str = "vendor/portcullis-sdk";

static CONTRACT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../plugins/sdk");
const WORKSPACE: &str = include_str!("../../../../../plugins/Cargo.toml");

/// The files of the contract, by name.
pub(crate) fn contract() -> impl Iterator<Item = (String, String)> {
    CONTRACT.files().filter_map(named)
}

/// The files of the crate, by path.
pub(crate) fn crate_files() -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    let mut folders = vec![&SDK];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        files.extend(folder.files().filter_map(named));
    }
    for (name, text) in &mut files {
        if name == "Cargo.toml" {
            *text = standalone(text, WORKSPACE)?;
        }
    }
    Ok(files)
}

fn named(file: &File<'_>) -> Option<(String, String)> {
    Some((file.path().to_str()?.to_owned(), file.contents_utf8()?.to_owned()))
}

/// A crate's manifest that stands by itself: what it takes from its workspace is written into it.
fn standalone(manifest: &str, workspace: &str) -> anyhow::Result<String> {
    let mut manifest: Table = manifest.parse()?;
    let workspace: Table = workspace.parse()?;
    let workspace = workspace.get("workspace").and_then(Value::as_table).context("there is no workspace")?;
    let of = |section: &str| workspace.get(section).and_then(Value::as_table).cloned().unwrap_or_default();
    manifest.remove("lints");
    manifest.remove("dev-dependencies");
    for (section, from) in [("package", of("package")), ("dependencies", of("dependencies"))] {
        let Some(Value::Table(table)) = manifest.get_mut(section) else { continue };
        for (key, value) in table {
            let Value::Table(inherits) = value else { continue };
            if inherits.remove("workspace").is_none() {
                continue;
            }
            let more = std::mem::take(inherits);
            *value = from.get(key).with_context(|| format!("the workspace has no {section}.{key}"))?.clone();
            if more.is_empty() {
                continue;
            }
            if let Value::String(version) = value {
                *value = Value::Table(Table::from_iter([("version".to_owned(), Value::String(version.clone()))]));
            }
            if let Value::Table(table) = value {
                table.extend(more);
            }
        }
    }
    Ok(toml::to_string(&manifest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inherited_keys_are_written_out() {
        let workspace = "[workspace.package]\nedition = \"2024\"\n[workspace.dependencies]\na = \"1\"\nb = { version = \"2\", default-features = false }\n";
        let manifest = "[package]\nname = \"x\"\nedition.workspace = true\n[dependencies]\na = { workspace = true, features = [\"f\"] }\n\
                        b.workspace = true\nc = \"3\"\n[lints]\nworkspace = true\n";
        let written: Table = standalone(manifest, workspace).unwrap().parse().unwrap();
        let expected: Table = "[package]\nname = \"x\"\nedition = \"2024\"\n[dependencies]\na = { version = \"1\", features = [\"f\"] }\n\
                               b = { version = \"2\", default-features = false }\nc = \"3\"\n"
            .parse()
            .unwrap();
        assert_eq!(written, expected);
        assert!(standalone("[package]\nname.workspace = true", workspace).is_err());
    }

    #[test]
    fn the_copy_is_whole() {
        let files = crate_files().unwrap();
        let has = |name: &str| files.iter().any(|(file, _)| file == name);
        assert!(has("Cargo.toml") && has("src/lib.rs") && has("src/testing/split.rs"));
        assert!(files.iter().all(|(name, _)| !name.starts_with("target")));
        assert!(contract().any(|(name, text)| name == "filter.wit" && text.contains("resource exchange")));
        let manifest = &files.iter().find(|(name, _)| name == "Cargo.toml").unwrap().1;
        assert!(!manifest.contains("workspace"), "{manifest}");
    }
}
