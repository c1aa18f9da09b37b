//! Programs of others that a build needs.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

/// Whether it is a file that can be run.
pub(super) fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Where a program is on the PATH.
///
/// # Errors
/// When it is not there, with how to get it.
pub(super) fn need(program: &str, install: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| is_program(file));
    found.with_context(|| format!("{program} is missing. {install}"))
}

/// Runs a program to its end. What it prints goes to standard error, as it comes: standard output is for the result.
///
/// # Errors
/// When it fails. It has said why.
pub(super) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("{shown} cannot be started"))?;
    if !status.success() {
        bail!("{shown} failed, see above ({status})");
    }
    Ok(())
}

/// What a program prints.
///
/// # Errors
/// When it fails.
pub(super) fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = shown(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{shown} cannot be started"))?;
    if !output.status.success() {
        bail!("{shown} failed, see above ({})", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{shown} printed something that is no text"))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args().take(2));
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
