//! Finding the guests of `tests/guests`.

use std::{path::PathBuf, process::Command, sync::OnceLock};

use crate::repository;

/// The path of the guest `name`: `good`, `hostile`, `recorder`.
///
/// `PORTCULLIS_GUESTS` names the folder, as `make test` does. Without that they are built, once per process: nothing happens when
/// they are up to date.
///
/// # Panics
/// When it can be neither found nor built.
pub fn path(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| std::env::var_os("PORTCULLIS_GUESTS").map_or_else(build, PathBuf::from));
    let path = folder.join(name).with_extension("wasm");
    assert!(path.is_file(), "there is no guest {}", path.display());
    path
}

fn build() -> PathBuf {
    let root = repository::root();
    let folder = root.join("target/plugins/test");
    let mut command = Command::new(root.join("plugins/build"));
    command.arg("--dir").arg(root.join("tests/guests")).arg("--out").arg(&folder);
    // What cargo tells a test about the package it builds must not reach the build of another one.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_") && name != "CARGO_HOME" && name != "CARGO_TARGET_DIR"
            || name.starts_with("RUST") && name != "RUSTUP_HOME"
        {
            command.env_remove(name);
        }
    }
    let output = command.output().expect("plugins/build can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the guests cannot be built:\n{said}");
    folder
}
