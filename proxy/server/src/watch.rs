//! Noticing that a file of the configuration has changed.
//!
//! Folders are watched, not files: editors rename, and Kubernetes swaps a link named `..data`. Where events do not arrive (bind mounts,
//! network file systems), a look at sizes and times every `server.poll` does the same, later.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use portcullis_config::{
    Config,
    plugin::{Module, lock_path},
};
use tokio::sync::{Notify, mpsc};

use crate::{acme, process::blocking, reload::SETTLE, running::Running, snapshot::Snapshot};

/// Watches until dropped; `changed` is notified once for each burst of changes. `before` is how the files were found when they
/// were read, see [`own`] and [`marks`]: what changed since then, while the process started, is a change too.
pub async fn watch(running: Arc<Running>, changed: Arc<Notify>, before: BTreeSet<Mark>) {
    // One waiting event says all: what it was is found out by looking.
    let (tell, mut told) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !matches!(event.kind, notify::EventKind::Access(_))) {
            let _ = tell.try_send(());
        }
    })
    .inspect_err(|error| tracing::warn!(%error, "files are not watched, only looked at every server.poll"))
    .ok();
    let mut watched = BTreeSet::new();
    if let Some(watcher) = &mut watcher {
        follow(watcher, &mut watched, &folders(&running));
    }
    let mut seen = look(&running).await;
    if seen != before {
        changed.notify_one();
    }
    loop {
        if let Some(watcher) = &mut watcher {
            follow(watcher, &mut watched, &folders(&running));
        }
        let poll = running.snapshot().config.server.poll;
        tokio::select! {
            Some(()) = told.recv() => {
                tokio::time::sleep(SETTLE).await;
                while told.try_recv().is_ok() {}
            }
            () = tokio::time::sleep(poll) => {}
        }
        let now = look(&running).await;
        if now != seen {
            seen = now;
            changed.notify_one();
        }
    }
}

/// What tells one state of a file from another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    path: PathBuf,
    state: Option<(u64, u64, Option<SystemTime>)>,
}

async fn look(running: &Arc<Running>) -> BTreeSet<Mark> {
    let running = running.clone();
    blocking("look", move || marks(files(&running))).await.unwrap_or_default()
}

/// The state of each file, as it is now.
pub fn marks(files: impl IntoIterator<Item = PathBuf>) -> BTreeSet<Mark> {
    let mark = |path: PathBuf| {
        let state = fs::metadata(&path).ok().map(|meta| (meta.ino(), meta.len(), meta.modified().ok()));
        Mark { path, state }
    };
    files.into_iter().map(mark).collect()
}

/// Every file whose change may change the snapshot.
fn files(running: &Running) -> BTreeSet<PathBuf> {
    let locked = |files: &Mutex<Vec<PathBuf>>| files.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut files: BTreeSet<_> = locked(&running.files).into_iter().collect();
    files.extend(locked(&running.wanted));
    // Also those that were not there, or could not be read, when it was last loaded.
    files.extend(own(&running.options.config));
    let snapshot = running.snapshot();
    files.extend(named(&snapshot.config));
    files.extend(asked_for(&snapshot));
    files.extend(running.ground.plugins.failed_files());
    files
}

/// The files that plugins have read while they were configured, or looked for, and the folders that they have listed.
pub fn asked_for(snapshot: &Snapshot) -> Vec<PathBuf> {
    snapshot.plugins.iter().flat_map(|plugin| plugin.files()).collect()
}

/// The files of a configuration itself, which is a file or a folder of them, and what `plugin pull` has written down for it.
pub fn own(given: &Path) -> Vec<PathBuf> {
    let lock = lock_path(given);
    if !given.is_dir() {
        return vec![given.to_owned(), lock];
    }
    let entries = fs::read_dir(given).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.chain([lock]).collect()
}

/// The files that a configuration names: certificates, keys, authorities, modules.
pub fn named(config: &Config) -> Vec<PathBuf> {
    let certificates = config.certificates.iter().flat_map(|certificate| [&certificate.cert, &certificate.key]);
    let authorities = config.backends.values().filter_map(|backend| backend.tls.ca.as_ref());
    let modules = config.plugins.values().filter_map(|plugin| match &plugin.module {
        Module::File(path) => Some(path),
        // What is in the store has its digest for a name, and never changes.
        Module::Builtin(_) | Module::Oci(_) => None,
    });
    let named = certificates.chain(authorities).chain(modules).cloned();
    named.chain(acme::files(config)).collect()
}

/// The folders to watch: those of the files, and those of what links lead to.
fn folders(running: &Running) -> BTreeSet<PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("/"),
    };
    let mut folders = BTreeSet::new();
    for file in files(running) {
        folders.insert(folder(&file));
        // One that plugins have listed: what comes into it may matter.
        if file.is_dir() {
            folders.insert(file.clone());
        }
        if let Ok(target) = fs::canonicalize(&file) {
            folders.insert(folder(&target));
        }
    }
    if running.options.config.is_dir() {
        folders.insert(running.options.config.clone());
    }
    folders
}

fn follow(watcher: &mut RecommendedWatcher, watched: &mut BTreeSet<PathBuf>, wanted: &BTreeSet<PathBuf>) {
    for gone in watched.difference(wanted) {
        // It may have been removed itself.
        let _ = watcher.unwatch(gone);
    }
    let mut now: BTreeSet<PathBuf> = watched.intersection(wanted).cloned().collect();
    for new in wanted.difference(watched) {
        match watcher.watch(new, RecursiveMode::NonRecursive) {
            Ok(()) => drop(now.insert(new.clone())),
            // Tried again at the next turn; until then it is looked at.
            Err(error) => tracing::debug!(folder = %new.display(), %error, "a folder is not watched"),
        }
    }
    *watched = now;
}
