//! `portcullis plugin build`

mod bindings;
mod rust;
mod script;
mod tool;
mod wit;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;

use super::project::{Language, Project};
use crate::{
    outline,
    output::{Outcome, Paint, print, print_json},
};

const EXAMPLES: &str = "\
Examples:
  portcullis plugin build
  portcullis plugin build plugins/geo-block --out /etc/portcullis/geo-block.wasm

What it is written in is known by its Cargo.toml, or by lang = \"c\", \"js\" or \"python\" in plugin.toml.";

/// Build a plugin: compile it, make it a component with its manifest inside, and say what it asks for
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Build {
    /// The folder with plugin.toml
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// Where the plugin is put; by default NAME.wasm in its folder
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Build {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let project = Project::open(&self.folder)?;
        // Tools are run in it.
        let folder =
            project.folder.canonicalize().with_context(|| format!("{} cannot be read", self.folder.display()))?;
        let project = Project { folder, ..project };
        let compiled = match project.language {
            Language::Rust => rust::compile(&project)?,
            Language::C | Language::Js | Language::Python => script::compile(&project)?,
        };
        let (module, inspection) = portcullis_plugin::pack(&compiled, &project.manifest)
            .map_err(|error| anyhow!("what the compiler made is no plugin: {error}"))?;
        let out = self.out.clone().unwrap_or_else(|| project.module());
        replace(&out, &module)?;
        let value = json!({
            "file": out.display().to_string(),
            "size_bytes": module.len(),
            "contract": inspection.contract,
            "imports": inspection.imports,
            "other_imports": inspection.other_imports,
            "grants": inspection.grants_line(),
        });
        match self.json {
            true => print_json(&value)?,
            false => print(&outline::render(&value, Paint::for_stdout()))?,
        }
        Ok(Outcome::Well)
    }
}

/// Writes a file whole or not at all: a proxy may be watching it.
fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let written = fs::write(&new, content).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // The error is the first one's.
        drop(fs::remove_file(&new));
    }
    written.with_context(|| format!("{} cannot be written", path.display()))
}
