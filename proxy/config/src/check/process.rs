//! `[server]` and `[log]`.

use std::{num::NonZeroUsize, time::Duration};

use crate::{
    diagnostic::Sink,
    log::{AccessFormat, Level, Log},
    raw,
    server::Server,
};

pub(super) fn server(raw: Option<&raw::Server>, out: &Sink<'_>) -> Server {
    let none = raw::Server::default();
    let raw = raw.unwrap_or(&none);
    Server {
        workers: raw.workers.get().and_then(|workers| NonZeroUsize::new(workers.to())),
        drain: raw.drain.get().map_or(Duration::from_secs(30), |drain| drain.0),
        control: path(&raw.control, out),
        recent: raw.recent.get().map_or(256, |recent| recent.to()),
        poll: raw.poll.or(Duration::from_secs(5)),
        plugin_cache: path(&raw.plugin_cache, out),
        plugin_store: path(&raw.plugin_store, out),
    }
}

pub(super) fn log(raw: Option<&raw::Log>, out: &Sink<'_>) -> Log {
    let none = raw::Log::default();
    let raw = raw.unwrap_or(&none);
    Log { access: raw.access.or(AccessFormat::Json), file: path(&raw.file, out), level: raw.level.or(Level::Info) }
}

/// A path, seen from the folder of the file that names it.
pub(super) fn path(field: &raw::Field<std::path::PathBuf>, out: &Sink<'_>) -> Option<std::path::PathBuf> {
    field.value.as_ref().map(|at| out.sources.beside(at.span.file, &at.value))
}
