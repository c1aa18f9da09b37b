//! TXT records by an external program.
//!
//! The contract: `PROGRAM [ARGUMENT...] add NAME VALUE` adds a TXT record `VALUE` at `NAME` (no dot at the end) beside others that may be there, and
//! ends when the zone's servers answer with it; `... remove NAME VALUE` takes it away. Exit status 0: it is done. Otherwise the last line of standard error says why
//! not. It inherits the environment, has nothing on standard input, and is ended when it takes too long.

use std::{future::Future, path::PathBuf, pin::Pin, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
};

use super::Records;

/// What is kept of the end of standard error.
const TOLD: usize = 4 << 10;

/// An external program.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<String>,
    time: Duration,
}

impl Program {
    /// A program, its own first arguments, and how long one call may take.
    pub fn new(path: PathBuf, arguments: Vec<String>, time: Duration) -> Self {
        Self { path, arguments, time }
    }

    async fn call(&self, what: &str, name: &str, value: &str) -> Result<(), String> {
        let program = self.path.display();
        let mut child = Command::new(&self.path)
            .args(&self.arguments)
            .args([what, name, value])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let stderr = child.stderr.take();
        let work = async {
            let told = match stderr {
                Some(stderr) => last(stderr).await,
                None => Vec::new(),
            };
            (child.wait().await, told)
        };
        let (status, told) = tokio::time::timeout(self.time, work)
            .await
            .map_err(|_| format!("{program} {what} did not end within {:?}", self.time))?;
        let status = status.map_err(|error| format!("{program}: {error}"))?;
        if status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&told);
        let line = told.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing").trim();
        Err(format!("{program} {what} ended with {status}: {line}"))
    }
}

/// Reads to the end, and keeps the last bytes.
async fn last(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..length]);
        if kept.len() > TOLD {
            kept.drain(..kept.len() - TOLD);
        }
    }
    kept
}

impl Records for Program {
    fn add<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(self.call("add", name, value))
    }

    fn remove<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(self.call("remove", name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, time: Duration) -> Program {
        Program::new("/bin/sh".into(), vec!["-c".into(), script.into(), "sh".into()], time)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_contract_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("calls");
        let program = shell(&format!("echo \"$@\" >> {}", file.display()), LONG);
        program.add("_acme-challenge.a.example", "one").await.unwrap();
        program.remove("_acme-challenge.a.example", "one").await.unwrap();
        let calls = std::fs::read_to_string(file).unwrap();
        assert_eq!(calls, "add _acme-challenge.a.example one\nremove _acme-challenge.a.example one\n");
    }

    #[tokio::test]
    async fn what_it_says_is_passed_on() {
        let error = shell("echo first >&2; echo no such zone >&2; exit 3", LONG).add("a", "b").await.unwrap_err();
        assert!(error.contains("no such zone") && error.contains('3') && !error.contains("first"), "{error}");
        let error = Program::new("/nowhere/x".into(), Vec::new(), LONG).add("a", "b").await.unwrap_err();
        assert!(error.contains("/nowhere/x"), "{error}");
    }

    #[tokio::test]
    async fn one_that_hangs_or_floods_is_bounded() {
        let error = shell("exec sleep 60", Duration::from_millis(300)).add("a", "b").await.unwrap_err();
        assert!(error.contains("did not end"), "{error}");
        let error = shell("yes 0123456789 | head -c 3000000 >&2; echo end >&2; exit 1", LONG).add("a", "b").await;
        assert!(error.unwrap_err().ends_with("end"));
    }
}
