//! `[server]`: the process itself.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

/// What concerns the whole process.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Worker threads, each with its own executor and accept sockets. `None`: one per core that the process may use.
    /// Changing it takes a restart; a reload says so.
    pub workers: Option<NonZeroUsize>,
    /// How long exchanges and tunnels that no longer belong to the configuration, or to a process that was told to
    /// stop, may go on. Default 30s.
    pub drain: Duration,
    /// The Unix socket for `status`, `reload`, `explain` and `dns`. Default `/run/portcullis/control.sock` when run
    /// as root, else `$XDG_RUNTIME_DIR/portcullis.sock`, else `portcullis-UID.sock` in the folder for temporary files; that choice is
    /// made by the server where this is `None`.
    pub control: Option<PathBuf>,
    /// How many finished exchanges each worker remembers for `explain ID`. Default 256, at most 65536.
    pub recent: usize,
    /// How often files are looked at where change events do not arrive (bind mounts, network file systems).
    /// Default 5s.
    pub poll: Duration,
}
