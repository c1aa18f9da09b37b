//! What the engine asks of its surroundings, asked of the proxy.

use std::{cell::Cell, time::Duration};

use portcullis_sdk::{clock, files, key_value, random};
use waf_engine::world::{Files, World};

/// Rule files, while the plugin is configured.
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        files::read(path).map_err(|error| files::explain(&error))
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        files::glob(pattern).map_err(|error| files::explain(&error))
    }
}

/// Time, chance and shared values, during one phase.
#[derive(Default)]
pub struct Surroundings {
    /// A phase is short, and the proxy's clock is a call away.
    now: Cell<Option<u64>>,
}

impl World for Surroundings {
    fn now(&self) -> u64 {
        self.now.get().unwrap_or_else(|| {
            let now = u64::try_from(clock::now().as_nanos()).unwrap_or(u64::MAX);
            self.now.set(Some(now));
            now
        })
    }

    fn random(&self) -> u64 {
        random::number()
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        key_value::get(key).ok().flatten()
    }

    fn set(&self, key: &str, value: &[u8], ttl_ms: u64) -> bool {
        key_value::set(key, value, Some(Duration::from_millis(ttl_ms))).is_ok()
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: u64) -> Option<i64> {
        key_value::add(key, delta, Some(Duration::from_millis(ttl_ms))).ok()
    }

    fn delete(&self, key: &str) {
        // What cannot be deleted was not there.
        _ = key_value::delete(key);
    }
}
