//! Starting the process.

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use crate::binary;

/// A process that did not get up.
#[derive(Debug)]
pub struct Refused {
    /// How it ended.
    pub status: ExitStatus,
    /// Its error log.
    pub says: String,
    /// The numbers behind port placeholders.
    pub ports: BTreeMap<String, u16>,
}

/// Starts `portcullis run` in `folder`, with its output going to files there, but for `stdout` where that is given.
pub(super) fn launch(folder: &Path, environment: &[(String, String)], stdout: Option<Stdio>) -> Child {
    let file = |name| File::create(folder.join(name)).expect("a file can be made in an own folder");
    Command::new(binary::portcullis())
        .arg("run")
        .arg(folder.join("portcullis.toml"))
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env("NO_COLOR", "1")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(stdout.unwrap_or_else(|| file("access.log").into()))
        .stderr(file("error.log"))
        .spawn()
        .unwrap_or_else(|error| panic!("{} cannot be started: {error}", binary::portcullis().display()))
}
