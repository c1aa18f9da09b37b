//! The folder of WIT that other languages' tools are given: the contract, and the world of the plugin.

use std::{fs, path::PathBuf};

use anyhow::Context;

use crate::plugin::{new::contract, project::Project};

/// Puts the contract (the project's `wit/`, or the one in this executable) and `world.wit` into one folder of the project's `target`.
pub(super) fn prepare(project: &Project) -> anyhow::Result<PathBuf> {
    let path = project.folder.join("world.wit");
    let world = fs::read_to_string(&path)
        .with_context(|| format!("{} cannot be read: it says what the plugin imports", path.display()))?;
    let folder = project.folder.join("target/wit");
    let failed = || format!("{} cannot be written", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(failed)?;
    }
    fs::create_dir_all(&folder).with_context(failed)?;
    let own = project.folder.join("wit");
    if own.is_dir() {
        for entry in fs::read_dir(&own).with_context(|| format!("{} cannot be read", own.display()))? {
            let from = entry?.path();
            if from.extension().is_some_and(|extension| extension == "wit")
                && let Some(name) = from.file_name()
            {
                fs::copy(&from, folder.join(name)).with_context(failed)?;
            }
        }
    } else {
        for (name, text) in contract() {
            fs::write(folder.join(name), text).with_context(failed)?;
        }
    }
    fs::write(folder.join("world.wit"), world).with_context(failed)?;
    Ok(folder)
}
