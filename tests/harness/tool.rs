//! Programs from outside, each with a time limit.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use tokio::{io::AsyncWriteExt, process::Command};

/// A command line to be run.
#[derive(Debug)]
pub struct Tool {
    program: PathBuf,
    arguments: Vec<OsString>,
    input: Vec<u8>,
    limit: Duration,
    folder: Option<PathBuf>,
    environment: Vec<(String, OsString)>,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// Exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Tool {
    /// A program that `make test` installs.
    ///
    /// # Panics
    /// When it is not installed: a scenario that cannot run has failed.
    pub fn new(program: &str) -> Self {
        Self::at(installed(program))
    }

    /// An executable by its path.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            input: Vec::new(),
            limit: Duration::from_secs(30),
            folder: None,
            environment: Vec::new(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// What it reads from standard input, which is closed after that.
    #[must_use]
    pub fn input(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.input = bytes.as_ref().to_vec();
        self
    }

    /// Where it stands when it runs; here unless said otherwise.
    #[must_use]
    pub fn inside(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// A variable that it is given, beside those that are here.
    #[must_use]
    pub fn environment(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// How long it may run; 30 seconds unless said otherwise.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started, or runs longer than its limit; it is killed then.
    pub async fn run(self) -> Finished {
        let mut command = Command::new(&self.program);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut child = command
            .args(&self.arguments)
            // What programs print is compared, so it must not depend on who looks.
            .env("NO_COLOR", "1")
            .envs(self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.program.display()));
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        let input = self.input;
        // Beside reading: a program may fill its output before it has read all. It may also not care to read.
        let writing = tokio::spawn(async move { drop(stdin.write_all(&input).await) });
        let output = tokio::time::timeout(self.limit, child.wait_with_output()).await;
        writing.abort();
        let output = match output {
            Ok(output) => output.expect("the output of a child can be read"),
            Err(_) => panic!("{} {:?} ran longer than {:?}", self.program.display(), self.arguments, self.limit),
        };
        Finished {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it and gives what it printed.
    ///
    /// # Panics
    /// When it does not end with status 0.
    pub async fn output(self) -> String {
        let line = format!("{} {:?}", self.program.display(), self.arguments);
        let finished = self.run().await;
        assert_eq!(finished.code, Some(0), "{line}\n{}\n{}", finished.stdout, finished.stderr);
        finished.stdout
    }
}

/// Where a program is installed: on the path, or where Debian keeps servers, which is not on everybody's path.
///
/// # Panics
/// When it is nowhere.
pub fn installed(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| {
            panic!("{program} is not installed: run `make test`, which installs what the scenarios need")
        })
}
