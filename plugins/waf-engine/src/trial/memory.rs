//! A key-value memory of its own.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::world::World;

type Values = HashMap<String, (Vec<u8>, u64)>;

/// A world with a clock that it is given and nothing in it at first.
#[derive(Debug)]
pub struct Memory {
    now: fn() -> u64,
    values: Mutex<Values>,
    drawn: AtomicU64,
}

impl Memory {
    /// `now`: as [`World::now`].
    pub fn new(now: fn() -> u64) -> Self {
        Self { now, values: Mutex::default(), drawn: AtomicU64::new(1) }
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        // Every change is one insertion: nothing is ever half done.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn milliseconds(&self) -> u64 {
        (self.now)() / 1_000_000
    }
}

impl World for Memory {
    fn now(&self) -> u64 {
        (self.now)()
    }

    fn random(&self) -> u64 {
        // The same in every run: what is tried must be tried again.
        self.drawn.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let now = self.milliseconds();
        self.values().get(key).filter(|(_, end)| *end > now).map(|(value, _)| value.clone())
    }

    fn set(&self, key: &str, value: &[u8], ttl_ms: u64) -> bool {
        let end = self.milliseconds().saturating_add(ttl_ms);
        self.values().insert(key.into(), (value.to_vec(), end));
        true
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: u64) -> Option<i64> {
        let old = self.get(key).and_then(|value| str::from_utf8(&value).ok()?.parse::<i64>().ok()).unwrap_or(0);
        let sum = old.saturating_add(delta);
        self.set(key, sum.to_string().as_bytes(), ttl_ms);
        Some(sum)
    }

    fn delete(&self, key: &str) {
        self.values().remove(key);
    }
}
