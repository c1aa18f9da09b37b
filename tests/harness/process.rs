//! Programs that go on beside the scenario.

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::scenario::eventually;

/// A running program. Killed when dropped; when the scenario is failing, what it said is printed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    /// Starts `program` in `folder`, where its output goes to the files `NAME.out` and `NAME.err`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        folder: &Path,
    ) -> Self {
        let (out, err) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        let file = |path| File::create(path).expect("a file can be made in an own folder");
        let child = Command::new(program)
            .args(arguments)
            .env("NO_COLOR", "1")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&err))
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        Self { child, out, err }
    }

    /// Its standard output so far.
    pub fn stdout(&self) -> String {
        read(&self.out)
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> String {
        read(&self.err)
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has a process id");
        kill_process(pid, signal).expect("the process is there");
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it goes on.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the process ends", async || child.try_wait().expect("a child can be waited for")).await
    }

    /// Waits until it has written `text` to either output.
    ///
    /// # Panics
    /// When it does not soon.
    pub async fn says(&self, text: &str) {
        eventually(&format!("{text:?} is written"), async || {
            (self.stdout().contains(text) || self.stderr().contains(text)).then_some(())
        })
        .await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ours alone: the child's own handle, which waits for it afterwards so that the id cannot be somebody else's.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("---- standard output\n{}---- standard error\n{}----", self.stdout(), self.stderr());
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
