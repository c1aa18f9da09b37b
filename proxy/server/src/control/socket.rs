//! Taking the control socket: safely, alone, and leaving nothing behind.
//!
//! A lock file beside the socket (`PATH.lock`, with the process id in it) decides who runs: the kernel gives the lock
//! back when its holder dies, however it dies. Whoever holds it may remove a socket that is left from a dead process.

use std::{
    fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags, fchmod};
use socket2::{Domain, SockAddr, Type};

/// The control socket, bound and locked. Removed when dropped.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    lock_path: PathBuf,
    /// Device and inode of the socket: a socket that somebody else has put there since is not ours to remove.
    identity: (u64, u64),
    /// Held as long as this lives.
    lock: File,
}

/// Why the control socket could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The lock is held.
    #[error("another portcullis is running{}: it holds {}", with_pid(.pid.as_ref()), .path.display())]
    Running {
        /// Its process id, where it could be read.
        pid: Option<u32>,
        /// The socket.
        path: PathBuf,
    },
    /// A file that is not a socket.
    #[error("{} is there and is not a socket; it is left alone. Name another path with `control` in [server]", .0.display())]
    NotASocket(PathBuf),
    /// Longer than a socket's address may be.
    #[error("the control socket's path {} is too long: a Unix socket's may have 107 bytes. Name another with `control` in [server]", .0.display())]
    TooLong(PathBuf),
    /// Anything else that the system says.
    #[error("cannot {doing} {}: {error}", .path.display())]
    System {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What came of it.
        #[source]
        error: io::Error,
    },
}

fn with_pid(pid: Option<&u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

impl Socket {
    /// Creates the socket at `path` with mode 0600, its folder with mode 0700 where there is none.
    ///
    /// # Errors
    /// Where another process holds it, where something else lies there, or where the system refuses.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let address = SockAddr::unix(path).map_err(|_| BindError::TooLong(path.into()))?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(system("create", folder))?;
        }
        let lock_path = lock_path(path);
        let lock = lock(path, &lock_path)?;
        remove_stale(path)?;

        let failed = |error| system("bind the control socket", path)(error);
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
        // Linux gives the file the mode that the socket has when it is bound: at no time may anyone else connect.
        fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?;
        socket.bind(&address).map_err(failed)?;
        socket.listen(16).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let metadata = path.symlink_metadata().map_err(failed)?;
        Ok(Self { listener: socket.into(), path: path.into(), lock_path, identity: identity(&metadata), lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Leftovers do no harm: the next one takes a dead process's socket and lock over.
        if is_at(&self.path, self.identity) {
            _ = std::fs::remove_file(&self.path);
        }
        // While the lock is still held: see `lock` for whoever has it open already.
        if self.lock.metadata().is_ok_and(|lock| is_at(&self.lock_path, identity(&lock))) {
            _ = std::fs::remove_file(&self.lock_path);
        }
    }
}

/// Device and inode.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn is_at(path: &Path, wanted: (u64, u64)) -> bool {
    path.symlink_metadata().is_ok_and(|found| identity(&found) == wanted)
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn lock(path: &Path, lock_path: &Path) -> Result<File, BindError> {
    let failed = |error| system("lock", lock_path)(error);
    // A holder that ends removes the file. Whoever opened it just before would then hold a lock on a file that nobody
    // else finds; so the path is compared after locking. Ten rounds: each needs another process to have just ended.
    for _ in 0..10 {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(lock_path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // The pid is a courtesy: without it the message is still true.
                _ = file.take(20).read_to_string(&mut pid);
                return Err(BindError::Running { pid: pid.trim().parse().ok(), path: path.into() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let open = file.metadata().map_err(failed)?;
        if is_at(lock_path, identity(&open)) {
            file.set_len(0).map_err(failed)?;
            writeln!(file, "{}", std::process::id()).map_err(failed)?;
            return Ok(file);
        }
    }
    Err(failed(io::Error::other("it keeps being replaced")))
}

/// Removes a socket that lies at `path`; only called while the lock is held, so nobody serves it.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    match path.symlink_metadata() {
        Ok(found) if found.file_type().is_socket() => {
            std::fs::remove_file(path).map_err(system("remove the socket of a dead process at", path))
        }
        Ok(_) => Err(BindError::NotASocket(path.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(system("look at", path)(error)),
    }
}

fn system(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> BindError {
    let path = path.to_owned();
    move |error| BindError::System { doing, path: path.clone(), error }
}
