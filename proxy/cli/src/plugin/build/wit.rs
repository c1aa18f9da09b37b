//! The folder of WIT that other languages' tools are given: the contract, and the world of the plugin.

use std::{fs, path::PathBuf};

use anyhow::{Context, bail};

use crate::plugin::{new::contract, project::Project};

/// A folder of WIT for the project's tools.
pub(super) struct Wit {
    /// The folder, in the project's `target`.
    pub folder: PathBuf,
    /// The world's name.
    pub world: String,
}

/// Puts the contract (the project's `wit/`, or the one in this executable) and `world.wit` into one folder.
pub(super) fn prepare(project: &Project) -> anyhow::Result<Wit> {
    let path = project.folder.join("world.wit");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{} cannot be read: it says what the plugin imports", path.display()))?;
    let Some(world) = world(&text) else {
        bail!("{}: there is no line like `world {} {{`", path.display(), project.name);
    };
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
    fs::write(folder.join("world.wit"), &text).with_context(failed)?;
    Ok(Wit { folder, world: world.to_owned() })
}

/// The name in `world NAME {`.
fn world(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.trim_start().strip_prefix("world ")?.split(['{', ' ']).find(|word| !word.is_empty()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn finds_the_world() {
        assert_eq!(super::world("package a:b;\n\n/// world peace\nworld geo-block {\n"), Some("geo-block"));
        assert_eq!(super::world("world x{}"), Some("x"));
        assert_eq!(super::world("interface a {}"), None);
    }
}
