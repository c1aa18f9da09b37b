//! The open end of a log: a file that may be rotated away, or standard output.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::Target;

/// How long nothing is tried after a failure: a full disk or a closed pipe must not keep a core busy.
const PAUSE: Duration = Duration::from_secs(1);

/// How long one piece may wait for a pipe that another process has made non-blocking and that is full.
const PIPE_WAIT: Duration = Duration::from_secs(2);

pub(super) struct Output {
    /// What messages call it.
    log: &'static str,
    target: Target,
    file: File,
    /// The last write stopped within a line: the next starts a new one.
    torn: bool,
    /// Nothing is tried before this.
    paused_until: Option<Instant>,
}

impl Output {
    pub(super) fn open(log: &'static str, target: Target) -> io::Result<Self> {
        let file = match &target {
            // A descriptor of our own: the standard library's buffer would have to be flushed, and hides partial writes.
            Target::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Target::File(path) => open(log, path)?,
        };
        Ok(Self { log, target, file, torn: false, paused_until: None })
    }

    /// Writes whole lines. `false`: some or all of them are lost.
    pub(super) fn write(&mut self, lines: &[u8]) -> bool {
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        let Err(error) = self.write_all(lines) else {
            if self.paused_until.take().is_some() {
                tracing::info!(target = %self.name(), "{}: writing again", self.log);
            }
            return true;
        };
        if self.paused_until.is_none() {
            tracing::warn!(target = %self.name(), %error, "{}: cannot write; lines are dropped until it works", self.log);
        }
        self.paused_until = Some(Instant::now() + PAUSE);
        self.reopen();
        false
    }

    fn write_all(&mut self, mut rest: &[u8]) -> io::Result<()> {
        let mut deadline = None;
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.torn = rest[written - 1] != b'\n';
                    rest = &rest[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let now = Instant::now();
                    if now >= *deadline.get_or_insert(now + PIPE_WAIT) {
                        return Err(error);
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Opens the file again where its path no longer leads to it. Called once a second.
    pub(super) fn follow_rotation(&mut self) {
        let Target::File(path) = &self.target else { return };
        let moved = match (std::fs::metadata(path), self.file.metadata()) {
            (Ok(at_path), Ok(open)) => (at_path.dev(), at_path.ino()) != (open.dev(), open.ino()),
            (Err(error), _) => error.kind() == io::ErrorKind::NotFound,
            (_, Err(_)) => true,
        };
        if moved {
            self.reopen();
        }
    }

    /// The old file stays where the new one cannot be opened: lines in a rotated file are better than no lines.
    fn reopen(&mut self) {
        let Target::File(path) = &self.target else { return };
        match open(self.log, path) {
            Ok(file) => {
                let same = match (file.metadata(), self.file.metadata()) {
                    (Ok(new), Ok(old)) => (new.dev(), new.ino()) == (old.dev(), old.ino()),
                    _ => false,
                };
                self.file = file;
                self.torn &= same;
            }
            Err(error) => tracing::warn!(%error, "{}: still writing to the old file", self.log),
        }
    }

    fn name(&self) -> String {
        match &self.target {
            Target::Stdout => "standard output".into(),
            Target::File(path) => path.display().to_string(),
        }
    }
}

fn open(log: &str, path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot open the {log} {}: {error}", path.display())))
}
