//! Asking the running process.

use std::{
    io::{self, Read, Write},
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{
    Failure, Reply, Request,
    protocol::{REPLY_BYTES, REQUEST_BYTES},
};

/// How long to wait for the process to take the request.
const SEND: Duration = Duration::from_secs(10);

/// How long to wait for bytes of its reply. A little more than it allows itself.
const REPLY: Duration = Duration::from_secs(125);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No socket.
    #[error("no portcullis runs here: {} does not exist", .0.display())]
    NotRunning(PathBuf),
    /// A socket that nobody serves.
    #[error("no portcullis runs here: {} is left from one that died", .0.display())]
    Dead(PathBuf),
    /// Somebody else's socket.
    #[error("{} may only be used by the user that portcullis runs as, and by root", .0.display())]
    Denied(PathBuf),
    /// The process does not answer.
    #[error("the portcullis at {} does not answer; its error log may say why", .0.display())]
    Silent(PathBuf),
    /// What came is not a reply.
    #[error("the answer at {} cannot be understood ({}): is it a portcullis of another version?", .path.display(), .reason)]
    Garbled {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Larger than the other side would read.
    #[error("the request is too large: at most {REQUEST_BYTES} bytes")]
    TooLarge,
    /// The process said no.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// Anything else that the system says.
    #[error("cannot use {}: {error}", .path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What came of it.
        #[source]
        error: io::Error,
    },
}

/// Sends `request` to the process at `path` and waits for its answer, for about two minutes at most. Blocks.
///
/// # Errors
/// Where no process is there, where it does not answer, or where it answers that it cannot ([`CallError::Failed`]).
pub fn call(path: &Path, request: &Request) -> Result<Value, CallError> {
    let mut line = serde_json::to_vec(request).map_err(|error| garbled(path, error))?;
    line.push(b'\n');
    if line.len() > REQUEST_BYTES {
        return Err(CallError::TooLarge);
    }
    let mut stream = connect(path).map_err(|error| explain(path, error))?;
    // A process that refuses early may close before it has read all; its reply says more than our failed write.
    let sent = stream.write_all(&line);

    let mut reply = Vec::new();
    let received = stream.take(REPLY_BYTES).read_to_end(&mut reply);
    if reply.is_empty() {
        sent.and(received).map_err(|error| explain(path, error))?;
        return Err(CallError::Silent(path.into()));
    }
    match serde_json::from_slice(&reply) {
        Ok(Reply::Ok(value)) => Ok(value),
        Ok(Reply::Error(failure)) => Err(CallError::Failed(failure)),
        Err(error) => Err(garbled(path, error)),
    }
}

fn connect(path: &Path) -> io::Result<UnixStream> {
    // In a folder that everybody may write to, anybody may have put a socket there to be trusted.
    let owner = path.metadata()?.uid();
    let us = rustix::process::geteuid().as_raw();
    if us != 0 && owner != us && owner != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Also bounds connecting, when the other side's backlog is full.
    socket.set_write_timeout(Some(SEND))?;
    socket.set_read_timeout(Some(REPLY))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket.into())
}

fn explain(path: &Path, error: io::Error) -> CallError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => CallError::NotRunning(path),
        io::ErrorKind::ConnectionRefused => CallError::Dead(path),
        io::ErrorKind::PermissionDenied => CallError::Denied(path),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => CallError::Silent(path),
        _ => CallError::System { path, error },
    }
}

fn garbled(path: &Path, error: serde_json::Error) -> CallError {
    CallError::Garbled { path: path.into(), reason: error.to_string() }
}
