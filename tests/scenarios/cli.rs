//! The command line, as an operator and as a script use it.
//!
//! - [`check`]: every mistake with its place; files, names and TLS endpoints; JSON; exit status
//! - [`look`]: `explain`, `dns`, `schema`, `--version`, help
//! - [`plugin`]: `plugin inspect`, and `plugin pull` from a registry
//! - [`waf`]: `waf check`, `explain`, `tune` and `cost`
//! - [`process`]: `run` by file, by folder, by default; `status` and `reload` over the socket and its rights

mod check;
mod look;
mod plugin;
mod process;
mod waf;

use std::path::PathBuf;

use portcullis_tests::{
    binary,
    tool::{Finished, Tool},
};
use serde_json::Value;
use tempfile::TempDir;

/// A folder to stand in.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("portcullis-cli-").tempdir().unwrap() }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `portcullis` here.
    async fn run(&self, arguments: &[&str]) -> Finished {
        Tool::at(binary::portcullis())
            .args(arguments)
            .inside(self.folder.path())
            // What somebody has logged in to here, or goes through, is none of a scenario's.
            .environment("DOCKER_CONFIG", self.path("docker"))
            .environment("NO_PROXY", "127.0.0.1")
            .run()
            .await
    }

    /// [`run`](Self::run) for what prints JSON.
    async fn json(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let finished = self.run(arguments).await;
        let value = serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
        (finished.code, value)
    }
}
