//! Gives the executable the commit it was built from, for `--version`, and the plugins that come with it.
//!
//! `PORTCULLIS_COMMIT` decides where it is set (a package is often built outside its repository), else git, else "unknown".
//! `PORTCULLIS_PLUGINS_DIR` is where plugins are taken from where it is set, else `target/plugins`, which `make plugins` fills.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Those that the executable has in it, as `builtin:NAME`.
const BUILTINS: [&str; 8] =
    ["basic-auth", "headers", "ip-policy", "jwt", "maintenance", "rate-limit", "rewrite-body", "waf"];

fn main() {
    builtins();
    println!("cargo::rerun-if-env-changed=PORTCULLIS_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    // `plugin new` writes copies of them: one that is new is only seen by looking at the folders.
    println!("cargo::rerun-if-changed=../../wit");
    println!("cargo::rerun-if-changed=../../plugins/sdk");
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

/// Writes `builtins.rs`: a table of names, with the code of each that is there. One that is missing is no error: the table says so, and
/// who wants to use it is told.
fn builtins() {
    println!("cargo::rerun-if-env-changed=PORTCULLIS_PLUGINS_DIR");
    let folder = env::var_os("PORTCULLIS_PLUGINS_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins"), PathBuf::from);
    let mut table = "pub(crate) static BUILTINS: &[portcullis_plugin::module::Builtin] = &[\n".to_owned();
    let mut whole = true;
    for name in BUILTINS {
        let file = folder.join(format!("{name}.wasm"));
        let code = match fs::canonicalize(&file) {
            Ok(file) => {
                println!("cargo::rerun-if-changed={}", file.display());
                format!("Some(include_bytes!({file:?}))")
            }
            Err(_) => {
                whole = false;
                "None".to_owned()
            }
        };
        table += &format!("    ({name:?}, {code}),\n");
    }
    table += "];\n";
    // Then one may come. Cargo takes a missing folder for changed, every time; that it cannot be made matters no more than that.
    if !whole {
        _ = fs::create_dir_all(&folder);
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("builtins.rs");
    fs::write(&out, table).unwrap_or_else(|error| panic!("{} cannot be written: {error}", out.display()));
}
