//! What a process has once for all its plugins.

use std::{io, path::PathBuf, sync::Arc};

use crate::services::metrics::Figure;

/// What a host is made with.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where compiled code is kept, by content and engine; `None`: nowhere.
    pub cache: Option<PathBuf>,
    /// For tests of plugins: a clock that says this many nanoseconds since 1970 and grows by one each time it is asked, and random
    /// numbers that come from this seed.
    pub fixed: Option<(u64, u64)>,
}

/// Compiled code, shared values, figures, and the thread that ends guests which do not return.
pub struct Host {
    /// As made with.
    pub settings: Settings,
}

impl Host {
    /// Starts the thread and opens the cache.
    ///
    /// # Errors
    /// When either cannot be.
    pub fn new(settings: Settings) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self { settings }))
    }

    /// All figures that plugins have set, by plugin and name.
    pub fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }
}
