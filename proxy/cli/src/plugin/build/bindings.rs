//! What a plugin in C includes and is linked with: made of the contract and its world.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use wit_bindgen_core::{Files, wit_parser::Resolve};

use crate::plugin::project::Project;

/// Writes `NAME.h`, `NAME.c` and `NAME_component_type.o`, of the world in `wit` that is called like the project, into its `target`.
pub(super) fn prepare(project: &Project, wit: &Path) -> anyhow::Result<PathBuf> {
    let files = generate(wit, &project.name)?;
    let folder = project.folder.join("target/bindings");
    let failed = || format!("{} cannot be written", folder.display());
    fs::create_dir_all(&folder).with_context(failed)?;
    for (name, content) in files.iter() {
        fs::write(folder.join(name), content).with_context(failed)?;
    }
    Ok(folder)
}

fn generate(wit: &Path, world: &str) -> anyhow::Result<Files> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).context("world.wit is wrong")?;
    let id = resolve.select_world(&[package], Some(world)).map_err(|_| {
        anyhow!(
            "world.wit has no world {world}: it is called like the plugin in plugin.toml, `world {world} {{ ... }}`"
        )
    })?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default()
        .build()
        .generate(&mut resolve, id, &mut files)
        .context("no C can be made of world.wit")?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::new::contract;

    fn generated(world: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in contract() {
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::write(folder.path().join("world.wit"), world).unwrap();
        let files = generate(folder.path(), "geo-block").map_err(|error| format!("{error:#}"))?;
        Ok(files.iter().map(|(name, _)| name.to_owned()).collect())
    }

    #[test]
    fn c_is_made_of_the_plugins_world() {
        let world =
            |name: &str| format!("package portcullis:filter@0.1.0; world {name} {{ import clock; export filter; }}");
        let mut files = generated(&world("geo-block")).unwrap();
        files.sort();
        assert_eq!(files, ["geo_block.c", "geo_block.h", "geo_block_component_type.o"]);
        assert!(generated(&world("other")).unwrap_err().contains("world geo-block { ... }"));
        assert!(
            generated("package portcullis:filter@0.1.0; world geo-block { import clocks; }")
                .unwrap_err()
                .contains("clocks")
        );
    }
}
