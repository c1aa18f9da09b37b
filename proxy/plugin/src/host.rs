//! What a process has once for all its plugins.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    reaper::Reaper,
    services::{
        Services,
        journal::OpenJournal,
        key_value::KeyValue,
        lines,
        metrics::{Figure, Value},
    },
    ticker::Ticker,
};

/// What a host is made with.
#[derive(Clone, Default)]
pub struct Settings {
    /// Where compiled code is kept, by content and engine; `None`: nowhere. Whoever can write there can run code here.
    pub cache: Option<PathBuf>,
    /// For tests of plugins: a clock that says this many nanoseconds since 1970 and grows by one each time it is asked, and random
    /// numbers that come from this seed.
    pub fixed: Option<(u64, u64)>,
    /// For tests of plugins: takes their lines in place of the log.
    pub lines: Option<lines::Sink>,
    /// Where the relative paths of grants and of plugins begin: the configuration's folder.
    pub folder: PathBuf,
    /// Opens the files that plugins write lines to; `None`: their lines go nowhere.
    pub journals: Option<OpenJournal>,
}

/// Compiled code, shared values, figures, and the thread that ends guests which do not return.
pub struct Host {
    pub(crate) settings: Settings,
    pub(crate) ticker: Ticker,
    pub(crate) reaper: Reaper,
    pub(crate) cache: Option<wasmtime::Cache>,
    /// By the plugin's name: what outlives the plugin.
    services: Mutex<BTreeMap<Arc<str>, Arc<Services>>>,
    /// What plugins asked for that could not be built.
    failed: Mutex<BTreeSet<PathBuf>>,
}

impl Host {
    /// Starts the thread and opens the cache.
    ///
    /// # Errors
    /// When either cannot be.
    pub fn new(settings: Settings) -> io::Result<Arc<Self>> {
        let cache = settings.cache.as_ref().map(|folder| {
            let mut config = wasmtime::CacheConfig::new();
            config.with_directory(folder);
            wasmtime::Cache::new(config)
                .map_err(|error| io::Error::other(format!("the plugin cache {}: {error:#}", folder.display())))
        });
        Ok(Arc::new(Self {
            ticker: Ticker::start()?,
            reaper: Reaper::start()?,
            cache: cache.transpose()?,
            settings,
            services: Mutex::default(),
            failed: Mutex::default(),
        }))
    }

    /// All figures that plugins have set, by plugin and name, with what was dropped.
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (plugin, services) in self.services.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let mut add = |name: String, value| figures.push(Figure { plugin: plugin.clone(), name, value });
            services.figures.all().into_iter().for_each(|(name, value)| add(name, value));
            let dropped = [
                ("dropped_figures", services.figures.dropped()),
                ("dropped_journal_lines", services.journaled.dropped()),
                ("dropped_log_lines", services.lines.dropped()),
                ("dropped_notes", services.notes.dropped()),
            ];
            for (name, dropped) in dropped {
                if dropped > 0 {
                    add(name.to_owned(), Value::Counter(dropped));
                }
            }
        }
        figures
    }

    /// The shared values of the plugin of that name.
    pub fn key_value(&self, plugin: &Arc<str>) -> impl std::ops::Deref<Target = KeyValue> + use<> {
        struct Of(Arc<Services>);
        impl std::ops::Deref for Of {
            type Target = KeyValue;
            fn deref(&self) -> &KeyValue {
                &self.0.key_value
            }
        }
        Of(self.services(plugin))
    }

    /// Drops what is past its time among shared values, a part of them each time. To be called about once a second.
    pub fn sweep(&self) {
        let services: Vec<_> = self.services.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        services.iter().for_each(|services| services.key_value.sweep());
    }

    /// Files and folders that plugins have asked for which then could not be built, since [`forget_failed`](Self::forget_failed): they may
    /// be built once these change.
    pub fn failed_files(&self) -> Vec<PathBuf> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// To be called when a load begins.
    pub fn forget_failed(&self) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn remember_failed(&self, paths: Vec<PathBuf>) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).extend(paths);
    }

    pub(crate) fn services(&self, plugin: &Arc<str>) -> Arc<Services> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.entry(plugin.clone()).or_insert_with(|| Arc::new(Services::new(plugin, &self.settings))).clone()
    }
}
