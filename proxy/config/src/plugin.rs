//! `[plugin.NAME]`, and `plugins` of a route.

mod reference;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value};

use crate::{
    Location,
    names::{BackendName, PluginName},
    units::Size,
};

pub use reference::Reference;

/// A WebAssembly guest in the way of exchanges, what it may use, and what it may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// The key of its table.
    pub name: PluginName,
    /// Where the table starts.
    pub at: Location,
    /// Where its code is.
    pub module: Module,
    /// What the code's SHA-256 must be.
    pub sha256: Option<[u8; 32]>,
    /// How instances are used. Default [`Isolation::Worker`].
    pub isolation: Isolation,
    /// What becomes of an exchange when it fails. Default [`OnFailure::Refuse`].
    pub on_failure: OnFailure,
    /// What it may use.
    pub limits: Limits,
    /// What it may call.
    pub grants: Grants,
    /// Its own table, as it would be in JSON; dates are text.
    pub config: Map<String, Value>,
}

impl Plugin {
    /// Whether it is the WAF that comes with portcullis, which routes may have a table for.
    pub fn is_waf(&self) -> bool {
        self.module == Module::Builtin("waf".to_owned())
    }

    /// The table that a route's use of this plugin works with: the keys that the route gives replace the plugin's own, whole.
    pub fn config_for(&self, used: &Use) -> Map<String, Value> {
        let mut config = self.config.clone();
        for (key, value) in used.config.iter().flatten() {
            config.insert(key.clone(), value.clone());
        }
        config
    }
}

/// Where a plugin's code is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Module {
    /// A file, seen from the folder of the file that names it.
    File(PathBuf),
    /// One that comes with the executable. `builtin:NAME`.
    Builtin(String),
    /// One from a registry, fetched by `portcullis plugin pull`. `oci://REGISTRY/REPOSITORY:TAG@DIGEST`.
    Oci(Reference),
}

/// How instances are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// A fresh one for each exchange.
    Exchange,
    /// Kept by each worker and used by one exchange after another.
    Worker,
}

/// What becomes of an exchange when a plugin fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused with 503.
    Refuse,
    /// It goes on without the plugin.
    Continue,
}

/// What a plugin may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance: a multiple of 64 KiB, up to 4 GiB. Default 64MiB.
    pub memory: Size,
    /// Of a processor, for one call of a phase. 1ms to 10s, default 50ms.
    pub time: Duration,
    /// Wall clock for one call, host calls and waiting for an instance included. `time` to 60s, default 5s, or `time` where that is
    /// more.
    pub wait: Duration,
    /// Instances at once, over all workers. 1 to 20000, default 1000.
    pub instances: u32,
    /// Bytes of shared values. Up to 1 GiB, default 1MiB.
    pub key_value: Size,
}

/// What a plugin may call. Nothing by default; those that come with the executable may log, count, and have time, chance and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Lines in the log.
    pub log: bool,
    /// Figures.
    pub metrics: bool,
    /// The time.
    pub clock: bool,
    /// Random numbers.
    pub random: bool,
    /// Shared values.
    pub key_value: bool,
    /// Requests to these backends. An empty list grants the import and no backend: for a plugin that can make requests and, as it is
    /// configured, has none to make.
    pub http: Option<Vec<BackendName>>,
    /// Reading these files and what is below these folders, seen from the folder of the file that names them.
    pub files: Option<Vec<PathBuf>>,
    /// Adding lines to this file.
    pub journal: Option<PathBuf>,
}

/// A plugin in the chain of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// Which.
    pub name: PluginName,
    /// Keys that replace those of the plugin's own table on this route.
    pub config: Option<Map<String, Value>>,
}

/// Where the digests of references with a tag are written down: `portcullis.lock` in the folder of the configuration, `path` being
/// the file or the folder that it is read from.
pub fn lock_path(path: &Path) -> PathBuf {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    folder.join("portcullis.lock")
}
