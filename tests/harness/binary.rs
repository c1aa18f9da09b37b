//! Finding the executable under test.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The path of `portcullis`.
///
/// `PORTCULLIS_BIN` names it, as `make test` does. Without that it is built, once per process, with the profile and into
/// the target folder of this test executable (`TARGET/PROFILE/deps/scenarios-…`): cargo does nothing when it is up to date.
///
/// # Panics
/// When it can be neither found nor built.
pub fn portcullis() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("PORTCULLIS_BIN") {
        Some(path) => {
            let path = PathBuf::from(path);
            assert!(path.is_file(), "PORTCULLIS_BIN names {}, which is not a file", path.display());
            path
        }
        None => build(),
    })
}

fn build() -> PathBuf {
    let me = std::env::current_exe().expect("a running process has an executable");
    let profile = me.parent().and_then(Path::parent).expect("test executables lie in TARGET/PROFILE/deps");
    let target = profile.parent().expect("test executables lie in TARGET/PROFILE/deps");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // The workspace, not the package alone: features are then the same as for the tests, and nothing is compiled twice.
    command.args(["build", "--quiet", "--workspace", "--bins", "--manifest-path"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"));
    command.arg("--target-dir").arg(target);
    if profile.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo can be started");
    assert!(status.success(), "portcullis cannot be built, see above");
    profile.join("portcullis")
}
