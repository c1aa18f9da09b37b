//! Plugins in Rust, for `wasm32-unknown-unknown`.
//!
//! With the installed compiler if it has the target, else with Debian's `rustc-web`, which builds the standard library from
//! `rust-web-src`: the way out where rustup cannot download. `plugins/build` of the portcullis repository does the same.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::tool;
use crate::plugin::project::Project;

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler, and its own older one, which has neither the target nor the sources.
const DEBIAN: &str = "/usr/bin/rustc";

/// The edition of the SDK, and the Rust that it needs.
const OLDEST: (u32, u32) = (1, 95);

const INSTALL: &str = "Run: rustup target add wasm32-unknown-unknown (or, where rustup cannot download, on Debian 12 and newer as root: \
                       apt-get install rustc-web rust-web-src)";

/// Vector instructions are part of every engine that runs components, and regular expressions need them.
const FLAGS: &str = "-Ctarget-feature=+simd128";

/// Compiles the project; gives a core module with its component type and manifest inside.
pub(super) fn compile(project: &Project) -> anyhow::Result<Vec<u8>> {
    let cargo = match std::env::var_os("CARGO") {
        Some(cargo) => PathBuf::from(cargo),
        None => tool::need("cargo", "Install Rust: https://rustup.rs")?,
    };
    let rustc = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    let mut command = Command::new(cargo);
    command.current_dir(&project.folder);
    command.args(["build", "--release", "--lib", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", FLAGS);
    if !has_target(&rustc) {
        let linker = with_debian(&rustc)?;
        command.args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features="]);
        // Building the standard library is an unstable option, which stable compilers take when told so.
        command.env("RUSTC", DEBIAN).env("RUSTC_BOOTSTRAP", "1");
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    let messages = tool::output(&mut command)?;
    let file = artifact(&messages, &project.folder.join("Cargo.toml")).with_context(
        || "cargo made no .wasm of this package: its Cargo.toml needs crate-type = [\"cdylib\", \"rlib\"] under [lib]",
    )?;
    fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))
}

fn has_target(rustc: &Path) -> bool {
    let printed =
        Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).stderr(Stdio::null()).output();
    printed
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .is_some_and(|folder| Path::new(folder.trim()).is_dir())
}

/// Checks Debian's compiler, and gives a linker, which it comes without.
fn with_debian(rustc: &Path) -> anyhow::Result<PathBuf> {
    let print = |rustc: &Path, argument: &[&str]| tool::output(Command::new(rustc).args(argument));
    ensure!(Path::new(DEBIAN).exists(), "there is no compiler for {TARGET}. {INSTALL}");
    let sysroot = print(Path::new(DEBIAN), &["--print", "sysroot"])?;
    let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std/Cargo.toml");
    ensure!(sources.exists(), "there is no compiler for {TARGET}, and {DEBIAN} has no sources. {INSTALL}");
    let version = print(Path::new(DEBIAN), &["--version"])?;
    if version_of(&version).is_none_or(|version| version < OLDEST) {
        bail!("there is no compiler for {TARGET}, and {DEBIAN} is too old ({}). {INSTALL}", version.trim());
    }
    // rustup's toolchains have one.
    if let (Ok(sysroot), Ok(verbose)) = (print(rustc, &["--print", "sysroot"]), print(rustc, &["-vV"])) {
        let host = verbose.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let linker = Path::new(sysroot.trim()).join(format!("lib/rustlib/{host}/bin/rust-lld"));
        if linker.exists() {
            return Ok(linker);
        }
    }
    tool::need("wasm-ld", "It links WebAssembly. As root: apt-get install lld")
}

/// Of `rustc 1.96.0 (abc 2026-01-01)`.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The .wasm of the package with this manifest, from cargo's messages, one JSON object a line.
fn artifact(messages: &str, manifest: &Path) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest))
        .find_map(|message| {
            let files = message["filenames"].as_array()?.clone();
            files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_cargo_made() {
        let messages = r#"not json
{"reason":"compiler-artifact","manifest_path":"/p/vendor/x/Cargo.toml","filenames":["/p/target/x.wasm"]}
{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","filenames":["/p/target/liba.rlib","/p/target/a.wasm"]}
{"reason":"build-finished","success":true}"#;
        assert_eq!(artifact(messages, Path::new("/p/Cargo.toml")).unwrap(), Path::new("/p/target/a.wasm"));
        assert_eq!(artifact(messages, Path::new("/q/Cargo.toml")), None);
    }

    #[test]
    fn reads_versions() {
        assert_eq!(version_of("rustc 1.96.0 (abc 2026-05-01) (built from a source tarball)\n"), Some((1, 96)));
        assert!(version_of("rustc 1.63.0 (4b91a6ea7 2022-08-08)").unwrap() < OLDEST);
        assert_eq!(version_of("unknown"), None);
    }
}
