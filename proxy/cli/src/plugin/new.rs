//! `portcullis plugin new`

mod sdk;
mod templates;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::Args;

pub(super) use self::sdk::contract;
use self::templates::Values;
use super::project::{self, Language};
use crate::output::{Outcome, print};

const EXAMPLES: &str = "\
Examples:
  portcullis plugin new geo-block --lang rust
  portcullis plugin new geo-block --lang python --dir plugins/geo-block

What it makes builds and passes its tests as it is: `portcullis plugin build`, `portcullis plugin test`.
Nothing is overwritten: the folder must be empty or not there yet.";

/// Begin a plugin: a project that builds, with a test
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct New {
    /// Its name: lower case letters and digits, with `-` between words
    name: String,

    /// What it is written in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,

    /// The folder; by default one of its name
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,

    /// One sentence about it
    #[arg(long, value_name = "TEXT", default_value = "Greets the backend in a header field of each request")]
    description: String,

    /// The crate portcullis-sdk, in place of a copy in vendor/
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

impl New {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        ensure!(
            project::is_name(&self.name),
            "{:?} cannot name a plugin: write lower case letters and digits, with `-` between words that begin with a letter, such as \
             geo-block",
            self.name
        );
        ensure!(
            self.lang == Language::Rust || self.sdk.is_none(),
            "--sdk is for --lang rust: the other languages need the contract alone"
        );
        // It stands in TOML, JSON and comments.
        ensure!(
            !self.description.contains(|c: char| c.is_control() || matches!(c, '"' | '\\' | '*')),
            "--description is one line without quotation marks, backslashes and asterisks"
        );
        let folder = self.dir.clone().unwrap_or_else(|| PathBuf::from(&self.name));
        let sdk = self.sdk.as_deref().map(sdk_path).transpose()?;
        let values =
            Values { name: &self.name, description: self.description.trim_end_matches('.'), sdk: sdk.as_deref() };
        let mut files = templates::files(self.lang, &values);
        files.extend(sdk::contract().map(|(name, text)| (format!("wit/{name}"), text)));
        if self.lang == Language::Rust && sdk.is_none() {
            files.extend(sdk::crate_files()?.into_iter().map(|(name, text)| (format!("{}/{name}", sdk::FOLDER), text)));
        }
        write(&folder, &files)?;
        let shown = folder.display();
        print(&format!(
            "{shown} is a plugin in {}. Next:\n\n  cd {shown}\n  portcullis plugin build\n  portcullis plugin test\n\nREADME.md says what it needs \
             and what is where.\n",
            templates::word(self.lang)
        ))?;
        Ok(Outcome::Well)
    }
}

/// The path of an SDK, from wherever it is read.
fn sdk_path(path: &Path) -> anyhow::Result<String> {
    let found = path.canonicalize().with_context(|| format!("--sdk {} cannot be read", path.display()))?;
    ensure!(found.join("Cargo.toml").exists(), "--sdk {}: there is no Cargo.toml", path.display());
    Ok(found.to_str().context("--sdk: the path is not UTF-8")?.to_owned())
}

fn write(folder: &Path, files: &[(String, String)]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut inside = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    // What git puts there is no content.
    if inside.any(|entry| entry.is_ok_and(|entry| entry.file_name() != ".git")) {
        bail!("{} is not empty, and nothing is overwritten: choose another with --dir", folder.display());
    }
    for (name, text) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .and_then(|()| if text.starts_with("#!") { executable(&path) } else { Ok(()) })
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = fs::metadata(path)?.permissions();
    // Whoever may read it.
    permissions.set_mode(permissions.mode() | (permissions.mode() & 0o444) >> 2);
    fs::set_permissions(path, permissions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(folder: &Path, lang: Language) -> anyhow::Result<Outcome> {
        let command = New {
            name: "geo-block".into(),
            lang,
            dir: Some(folder.to_owned()),
            description: "Tests `new`".into(),
            sdk: None,
        };
        command.execute()
    }

    #[test]
    fn a_project_has_no_gaps_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        for lang in [Language::Rust, Language::C, Language::Js, Language::Python] {
            let project = folder.path().join(templates::word(lang));
            new(&project, lang).unwrap();
            let mut folders = vec![project.clone()];
            let mut count = 0;
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                        continue;
                    }
                    count += 1;
                    let text = fs::read_to_string(&path).unwrap();
                    assert!(!text.contains("{{") || path.starts_with(project.join("vendor")), "{}", path.display());
                }
            }
            assert!(count >= 10, "{count}");
            assert_eq!(project::Project::open(&project).unwrap().language, lang);
            assert!(new(&project, lang).unwrap_err().to_string().contains("is not empty"));
        }
    }

    #[test]
    fn names_and_descriptions_are_checked() {
        let new = |name: &str, description: &str| {
            New {
                name: name.into(),
                lang: Language::C,
                dir: Some("/nowhere".into()),
                description: description.into(),
                sdk: None,
            }
            .execute()
            .unwrap_err()
            .to_string()
        };
        assert!(new("Geo", "x").contains("cannot name a plugin"));
        assert!(new("geo", "a \"b\"").contains("--description"));
    }
}
