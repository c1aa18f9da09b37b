//! Gives the executable the commit it was built from, for `--version`.
//!
//! `PORTCULLIS_COMMIT` decides where it is set (a package is often built outside its repository), else git, else "unknown".

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=PORTCULLIS_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    let commit = env::var("PORTCULLIS_COMMIT")
        .ok()
        .or_else(|| {
            watch_head();
            git(&["rev-parse", "--short=12", "HEAD"])
        })
        .filter(|commit| !commit.is_empty() && commit.chars().all(|c| c.is_ascii_graphic()))
        .unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=PORTCULLIS_COMMIT={commit}");
}

/// Builds again when HEAD moves. Its log changes with every commit, checkout and reset; the other files are for
/// repositories that keep no log. Only files that exist: cargo takes a missing one for changed, every time.
fn watch_head() {
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
