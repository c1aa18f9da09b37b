//! A plugin's source folder: what `plugin.toml` in it says.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The manifest's file.
pub(crate) const MANIFEST: &str = "plugin.toml";

/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// With the SDK
    Rust,
    /// With clang and wit-bindgen
    C,
    /// With componentize-js
    Js,
    /// With componentize-py
    Python,
}

/// A plugin's source folder.
pub(crate) struct Project {
    /// The folder.
    pub folder: PathBuf,
    /// The plugin's name.
    pub name: String,
    /// What it is written in.
    pub language: Language,
    /// All of `plugin.toml`.
    pub manifest: String,
}

impl Project {
    /// Of a folder that has a `plugin.toml`.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(MANIFEST);
        let manifest = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read; `portcullis plugin new` makes a project", path.display()))?;
        let table: toml::Table = manifest.parse().with_context(|| format!("{} is wrong", path.display()))?;
        let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
        let Some(name) = text("name").filter(|name| is_name(name)) else {
            bail!(
                "{}: write the plugin's name, in lower case letters, digits and `-`: name = \"my-plugin\"",
                path.display()
            );
        };
        let language = match text("lang") {
            Some("rust") => Language::Rust,
            Some("c") => Language::C,
            Some("js") => Language::Js,
            Some("python") => Language::Python,
            Some(other) => bail!("{}: lang = {other:?}: there are rust, c, js and python", path.display()),
            None if folder.join("Cargo.toml").exists() => Language::Rust,
            None => bail!(
                "{}: write what the plugin is written in: lang = \"c\", \"js\" or \"python\" (with a Cargo.toml it is rust)",
                path.display()
            ),
        };
        Ok(Self { folder: folder.to_owned(), name: name.to_owned(), language, manifest })
    }

    /// The project that `folder`, with cases, belongs to: it is the project's own or lies in it.
    pub(crate) fn around(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.canonicalize().with_context(|| format!("{} cannot be read", folder.display()))?;
        let Some(project) = folder.ancestors().take(2).find(|folder| folder.join(MANIFEST).exists()) else {
            bail!(
                "there is no {MANIFEST} in {} or above it: name the plugin's file with --module FILE",
                folder.display()
            );
        };
        Self::open(project)
    }

    /// Where `plugin build` puts the plugin.
    pub(crate) fn module(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }
}

/// Whether it can name a plugin in a configuration, a crate and a world of WIT: words of lower case letters and digits with `-` between,
/// each with a letter first.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.split('-').all(|word| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words() {
        for name in ["a", "my-plugin", "jwt2", "a-b-c"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-", "a-", "2fa", "a--b", "A", "a_b", "a.b", "../a", "ü", "a-1"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_project_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let open = |manifest: &str| {
            std::fs::write(folder.path().join(MANIFEST), manifest).unwrap();
            Project::open(folder.path()).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(open("name = \"a\"\nlang = \"c\"").ok().unwrap().language, Language::C);
        assert!(open("name = \"a\"").err().unwrap().contains("lang = \"c\""));
        assert!(open("name = \"A b\"").err().unwrap().contains("lower case"));
        assert!(open("name = \"a\"\nlang = \"go\"").err().unwrap().contains("there are rust, c"));
        std::fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        assert_eq!(open("name = \"a\"").ok().unwrap().language, Language::Rust);
        std::fs::create_dir(folder.path().join("tests")).unwrap();
        assert_eq!(Project::around(&folder.path().join("tests")).ok().unwrap().name, "a");
    }
}
