//! Plugins in other languages: the project's own script `build` knows the tools of its language.

use std::{fs, process::Command};

use anyhow::{Context, ensure};

use super::{bindings, tool, wit};
use crate::plugin::project::{Language, Project};

/// Runs `./build WIT OUT`, for C with the folder of the generated files in the variable `BINDINGS`; gives what it made.
pub(super) fn compile(project: &Project) -> anyhow::Result<Vec<u8>> {
    let script = project.folder.join("build");
    ensure!(
        tool::is_program(&script),
        "{} is no executable file. It makes the plugin, called as `./build WIT OUT.wasm`; `portcullis plugin new` writes one",
        script.display()
    );
    let wit = wit::prepare(project)?;
    let out = project.folder.join("target").join(format!("{}.wasm", project.name));
    let mut command = Command::new(script);
    command.current_dir(&project.folder).arg(&wit).arg(&out);
    if project.language == Language::C {
        command.env("BINDINGS", bindings::prepare(project, &wit)?);
    }
    tool::run(&mut command)?;
    fs::read(&out).with_context(|| format!("{} cannot be read", out.display()))
}
