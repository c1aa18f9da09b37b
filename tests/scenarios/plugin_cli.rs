//! `portcullis plugin`, for authors.
//!
//! - `plugin test` compares with what is expected, in every way that traffic may take: [`testing`]
//! - `plugin new`, `build`, `bench`: [`projects`]
//! - `plugin record`: [`record`]
//! - the tutorial's commands, in its order, do what it says: [`tutorial`]

mod projects;
mod record;
mod testing;
mod tutorial;

use std::{path::Path, time::Duration};

use portcullis_tests::{
    binary,
    repository::root,
    tool::{Finished, Tool},
};

/// What one of a project's commands may take: it compiles the crates of a plugin, and where there is no ready standard library, that too.
const LIMIT: Duration = Duration::from_secs(600);

/// Runs a command line in a shell that finds `portcullis`. Cargo works where `plugins/build` does: crates that both need are built once.
fn shell(line: &str, folder: &Path) -> Tool {
    let path = binary::portcullis().parent().unwrap().display();
    let target = root().canonicalize().unwrap().join("target/guests");
    let cache = root().canonicalize().unwrap().join("target/cache");
    let line = format!(
        "PATH=\"{path}:$PATH\" CARGO_TARGET_DIR='{}' XDG_CACHE_HOME='{}'; export PATH CARGO_TARGET_DIR XDG_CACHE_HOME; \
         unset RUSTC RUSTFLAGS RUSTC_WRAPPER CARGO CARGO_MANIFEST_DIR; {line}",
        target.display(),
        cache.display()
    );
    Tool::new("sh").args(["-c", &line]).inside(folder).within(LIMIT)
}

async fn run(line: &str, folder: &Path) -> Finished {
    shell(line, folder).run().await
}
