//! Starting the process.

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use crate::{binary, tool::installed};

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

/// Starts `portcullis run` on `config` in `folder`, with its output going to files there, but for `stdout` where that is given; through the
/// program `wrapper` if it is not empty.
pub(super) fn launch(
    folder: &Path,
    config: &Path,
    environment: &[(String, String)],
    wrapper: &[String],
    stdout: Option<Stdio>,
) -> Child {
    let file = |name| File::create(folder.join(name)).expect("a file can be made in an own folder");
    let mut command = match wrapper.split_first() {
        None => Command::new(binary::portcullis()),
        Some((program, arguments)) => {
            let mut command = Command::new(installed(program));
            command.args(arguments).arg(binary::portcullis());
            command
        }
    };
    command
        .arg("run")
        .arg(config)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env("NO_COLOR", "1")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(stdout.unwrap_or_else(|| file("access.log").into()))
        .stderr(file("error.log"))
        .spawn()
        .unwrap_or_else(|error| panic!("{} cannot be started: {error}", binary::portcullis().display()))
}
