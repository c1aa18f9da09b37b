//! Plugins in languages whose tools make their bindings from WIT.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

use super::{tool, wit};
use crate::plugin::project::Project;

/// With componentize-js, called by the project's `build.mjs`.
pub(super) fn js(project: &Project) -> anyhow::Result<Vec<u8>> {
    let node = tool::need("node", None, "Install Node.js 18 or newer, with npm: https://nodejs.org, or apt-get install nodejs npm")?;
    ensure!(
        project.folder.join("node_modules/@bytecodealliance/componentize-js").is_dir(),
        "componentize-js is missing. Run in {}: npm install",
        project.folder.display()
    );
    let wit = wit::prepare(project)?;
    let out = product(project);
    let mut command = Command::new(node);
    command.current_dir(&project.folder).arg("build.mjs").arg(&wit.folder).arg(&wit.world).arg(&out);
    tool::run(&mut command)?;
    read(&out)
}

/// With componentize-py, from the project's `.venv` or the PATH.
pub(super) fn python(project: &Project) -> anyhow::Result<Vec<u8>> {
    let own = project.folder.join(".venv/bin");
    let componentize = tool::need(
        "componentize-py",
        Some(&own),
        &format!(
            "Run in {}: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
            project.folder.display()
        ),
    )?;
    let wit = wit::prepare(project)?;
    let out = product(project);
    let mut command = Command::new(componentize);
    command.current_dir(&project.folder).arg("-q").arg("-d").arg(&wit.folder).args(["-w", &wit.world]);
    command.args(["componentize", "-p"]).arg(&project.folder).arg("-o").arg(&out).arg("plugin");
    tool::run(&mut command)?;
    read(&out)
}

/// With wit-bindgen and clang.
pub(super) fn c(project: &Project) -> anyhow::Result<Vec<u8>> {
    const PACKAGES: &str = "On Debian, as root: apt-get install clang lld wasi-libc libclang-rt-14-dev-wasm32 (with the number of your clang)";
    let bindgen = tool::need("wit-bindgen", None, "Run: cargo install wit-bindgen-cli --version 0.61.1")?;
    let clang = tool::need("clang", None, PACKAGES)?;
    tool::need("wasm-ld", None, PACKAGES)?;
    let wit = wit::prepare(project)?;
    let bindings = project.folder.join("target/bindings");
    let mut command = Command::new(bindgen);
    command.args(["c", "--world", &wit.world, "--out-dir"]).arg(&bindings).arg(&wit.folder);
    tool::run(&mut command)?;
    let out = product(project);
    let mut command = Command::new(clang);
    command.current_dir(&project.folder);
    command.args(["--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-Wall", "-msimd128"]).arg("-I").arg(&bindings);
    // A folder of tests may have programs of its own.
    command.args(files(&project.folder, &["c"])?.into_iter().filter(|file| !is_test(file)));
    command.args(files(&bindings, &["c", "o"])?).arg("-o").arg(&out);
    tool::run(&mut command)?;
    read(&out)
}

fn is_test(file: &Path) -> bool {
    file.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("test_"))
}

/// Where tools put what they make.
fn product(project: &Project) -> PathBuf {
    project.folder.join("target").join(format!("{}.wasm", project.name))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Files with these extensions, in order of their names.
fn files(folder: &Path, extensions: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().and_then(|own| own.to_str()).is_some_and(|own| extensions.contains(&own)))
        .collect();
    files.sort();
    Ok(files)
}
