//! A key set of a backend: fetched when needed, shared by all instances, kept while the backend is away.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use portcullis_sdk::{http, key_value, log, settings::Millis};
use serde::Deserialize;
use serde_json::Value;

use crate::{jwk, key::Key};

/// Where the set is, and how long it is good for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The backend's name in the configuration; it must be granted.
    pub backend: String,
    /// Path and query.
    pub target: String,
    /// How old it may be before it is fetched again.
    #[serde(default = "ten_minutes")]
    pub ttl: Millis,
    /// How old it may be when it cannot be fetched.
    #[serde(default = "one_day")]
    pub stale: Millis,
    /// The shortest time between two fetches.
    #[serde(default = "half_a_minute")]
    pub refetch: Millis,
    /// For one fetch.
    #[serde(default = "two_seconds")]
    pub timeout: Millis,
}

impl Settings {
    /// Checks what a type cannot.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn check(&self) -> Result<(), String> {
        if !self.target.starts_with('/') || self.target.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(format!("`remote.target` is {:?}: write path and query, like \"/jwks.json\"", self.target));
        }
        for (name, value) in [("ttl", self.ttl), ("refetch", self.refetch), ("timeout", self.timeout)] {
            if value.0 == 0 {
                return Err(format!("`remote.{name}` is 0: write a duration, like \"30s\""));
            }
        }
        if self.stale < self.ttl {
            return Err("`remote.stale` is shorter than `remote.ttl`: make it the longer one".to_owned());
        }
        Ok(())
    }
}

/// The set, as one instance knows it.
#[derive(Debug)]
pub struct Remote {
    settings: Settings,
    known: Mutex<Option<Arc<Set>>>,
}

/// Keys, and when they came.
#[derive(Debug)]
pub struct Set {
    /// Those that can be used.
    pub keys: Vec<Key>,
    /// Milliseconds since 1970.
    pub fetched: u64,
}

/// The set as all instances share it: eight bytes of when it came, then its JSON.
const SHARED: &str = "jwks";
/// Is there while nobody else should fetch.
const TURN: &str = "jwks/turn";
/// Is there for a second after a fetch failed and there was nothing to fall back on.
const FAILED: &str = "jwks/failed";

impl Remote {
    /// Nothing is fetched yet: configuring happens without traffic, and starting never needs the network.
    pub fn new(settings: Settings) -> Self {
        Self { settings, known: Mutex::new(None) }
    }

    /// The keys, and among them one for which `fits` holds, if the backend has such a one. `now` is in milliseconds since 1970.
    ///
    /// A set that is too old is fetched by one exchange, while others use it still. One without a fitting key (the issuer has changed
    /// its keys, or a client made up a name) is fetched again too, but not more often than `refetch`.
    ///
    /// Nothing when there are no keys at all.
    pub fn keys(&self, now: u64, fits: impl Fn(&Key) -> bool) -> Option<Arc<Set>> {
        let enough = |set: &Set| set.age(now) < self.settings.ttl.0 && set.keys.iter().any(&fits);
        let own = self.lock().clone();
        if let Some(set) = own.as_ref().filter(|set| enough(set)) {
            return Some(Arc::clone(set));
        }
        // Another instance may have fetched it since.
        let newest = match (self.shared(), own) {
            (Some(shared), Some(own)) if shared.fetched <= own.fetched => Some(own),
            (Some(shared), _) => Some(self.keep(shared)),
            (None, own) => own,
        };
        // One that is too old even for that is as none.
        let newest = newest.filter(|set| set.age(now) < self.settings.stale.0);
        match newest {
            Some(set) if enough(&set) => Some(set),
            Some(set) if !self.my_turn() => Some(set),
            Some(set) => Some(self.fetch(now).unwrap_or(set)),
            // With nothing to go on with, waiting for another's fetch is not possible, so each makes its own; after a failure none for a
            // second, or every request would wait for a backend that is away.
            None if matches!(key_value::get(FAILED), Ok(Some(_))) => None,
            None => {
                let set = self.fetch(now);
                if set.is_none() {
                    // If there is no room for the mark, the next request tries again.
                    let _ = key_value::set(FAILED, b"", Some(Duration::from_secs(1)));
                }
                set
            }
        }
    }

    fn shared(&self) -> Option<Set> {
        let value = key_value::get(SHARED).ok()??;
        let (fetched, json) = value.split_first_chunk::<8>()?;
        let (keys, _) = read(json).ok()?;
        Some(Set { keys, fetched: u64::from_be_bytes(*fetched) })
    }

    /// Whether this exchange may fetch: of all, one in each `refetch`.
    fn my_turn(&self) -> bool {
        let refetch = Duration::from_millis(self.settings.refetch.0);
        match key_value::compare_and_swap(TURN, None, b"", Some(refetch)) {
            Ok(mine) => mine,
            Err(error) => {
                // Without a place to remember who fetched when, a client could make us fetch with each request.
                log::warn(format!("the key set is not fetched again: {error:?}; give the plugin more key_value"));
                false
            }
        }
    }

    fn fetch(&self, now: u64) -> Option<Arc<Set>> {
        let Settings { backend, target, timeout, .. } = &self.settings;
        let request = http::Request::get(backend.as_str(), target.as_str())
            .field("accept", "application/jwk-set+json, application/json")
            .timeout(Duration::from_millis(timeout.0));
        let fetched = match http::send(&request) {
            Ok(response) if response.status == 200 => read(&response.body),
            Ok(response) => Err(format!("it answered {}", response.status)),
            Err(error) => Err(format!("{error:?}")),
        };
        match fetched {
            Ok((keys, json)) => {
                let mut value = now.to_be_bytes().to_vec();
                value.extend_from_slice(&json);
                let stale = Duration::from_millis(self.settings.stale.0);
                if let Err(error) = key_value::set(SHARED, &value, Some(stale)) {
                    log::warn(format!(
                        "the key set of {backend}{target} is not shared: {error:?}, {} bytes",
                        value.len()
                    ));
                }
                Some(self.keep(Set { keys, fetched: now }))
            }
            Err(reason) => {
                log::warn(format!("the key set of {backend}{target} cannot be used: {reason}"));
                None
            }
        }
    }

    fn keep(&self, set: Set) -> Arc<Set> {
        let set = Arc::new(set);
        *self.lock() = Some(Arc::clone(&set));
        set
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Set>>> {
        // What is in it is whole at any time.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.fetched)
    }
}

/// The keys of a set that can be used, and the JSON of those alone.
fn read(json: &[u8]) -> Result<(Vec<Key>, Vec<u8>), String> {
    let value: Value = serde_json::from_slice(json).map_err(|error| format!("it is no JSON: {error}"))?;
    let jwk::Set { usable, refused } = jwk::set(&value)?;
    // A secret that everybody can fetch is none.
    let (keys, values): (Vec<Key>, Vec<&Value>) = usable.into_iter().filter(|(key, _)| !key.is_secret()).unzip();
    if keys.is_empty() {
        return Err(format!(
            "none of its keys can be used: {}",
            refused.first().map_or("there are none", String::as_str)
        ));
    }
    let json = serde_json::to_vec(&serde_json::json!({ "keys": values })).map_err(|error| error.to_string())?;
    Ok((keys, json))
}

fn ten_minutes() -> Millis {
    Millis(600_000)
}

fn one_day() -> Millis {
    Millis(86_400_000)
}

fn half_a_minute() -> Millis {
    Millis(30_000)
}

fn two_seconds() -> Millis {
    Millis(2000)
}
