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
    /// Where compiled plugins are kept. Where this is `None`: `/var/cache/portcullis` when run as root, else `portcullis` in
    /// `$XDG_CACHE_HOME` or `~/.cache`, else nowhere. Changing it takes a restart.
    pub plugin_cache: Option<PathBuf>,
    /// Where `portcullis plugin pull` puts modules. Where this is `None`: `/var/lib/portcullis/plugins` when run as root, else
    /// `portcullis/plugins` in `$XDG_DATA_HOME` or `~/.local/share`.
    pub plugin_store: Option<PathBuf>,
}
