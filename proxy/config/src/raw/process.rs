//! `[server]` and `[log]`.

use std::{path::PathBuf, time::Duration};

use super::{choice::choice, number::Whole, table::table, unit::OrZero};
use crate::log::{AccessFormat, Level};

table! {
    /// The process itself.
    Server {
        /// Worker threads. Default: one per core that the process may use. Changing it takes a restart.
        workers: Whole<1, 1024>,
        /// How long exchanges and tunnels of a former configuration, or of a process that was told to stop, may go on. Default 30s.
        drain: OrZero,
        /// The Unix socket for `status`, `reload`, `explain` and `dns`. Default `/run/portcullis/control.sock` for root.
        control: PathBuf,
        /// How many finished exchanges each worker remembers for `explain`. Default 256, at most 65536.
        recent: Whole<0, 65_536>,
        /// How often files are looked at where change events do not arrive. Default 5s.
        poll: Duration,
        /// Where compiled plugins are kept. Default `/var/cache/portcullis` for root, else `portcullis` in the user's folder for caches.
        plugin_cache: PathBuf,
        /// Where `portcullis plugin pull` puts modules. Default `/var/lib/portcullis/plugins` for root, else `portcullis/plugins` in the
        /// user's folder for data.
        plugin_store: PathBuf,
    }
}

table! {
    /// The access log and the error log.
    Log {
        /// The form of the access log, a line an exchange. Default `json`.
        access: AccessFormat,
        /// Where access lines go. Default: standard output.
        file: PathBuf,
        /// How loud the error log on standard error is. Default `info`.
        level: Level,
    }
}

choice!(AccessFormat, "a form of the access log", {
    "json" => AccessFormat::Json,
    "human" => AccessFormat::Human,
    "off" => AccessFormat::Off,
});

choice!(Level, "a level", {
    "error" => Level::Error,
    "warn" => Level::Warn,
    "info" => Level::Info,
    "debug" => Level::Debug,
    "trace" => Level::Trace,
});
