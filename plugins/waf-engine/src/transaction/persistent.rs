//! Collections that outlast a transaction (`initcol`, `setsid`, `setuid`, `setrsc`), on the host's memory.
//!
//! Each variable is a key of its own, so that numbers can be added to without a lock: `NAMESPACE/COLLECTION/KEY/name`, where `KEY`
//! has `%` and `/` escaped, and `name` is in lower case. Names that the rules do not write out are listed, one a line, under
//! `NAMESPACE/COLLECTION/KEY/`, for selectors that go over all of them; two transactions that add to that list at the same time may
//! lose one of both.

use std::fmt::Write;

use crate::{model::Variable, operator::leading_number as number, transaction::store, world::World};

/// Names listed for one collection.
const MOST_NAMES: usize = 256;

/// Keys that the host takes have at most 1024 bytes.
const LONGEST_KEY: usize = 512;

/// One collection of one transaction.
#[derive(Debug)]
pub(super) struct Opened {
    pub collection: Variable,
    /// As `initcol` was told.
    pub key: Vec<u8>,
    prefix: String,
    ttl_ms: u64,
}

impl Opened {
    pub fn new(collection: Variable, key: &[u8], namespace: &str, timeout_seconds: u64) -> Self {
        let mut prefix = String::new();
        escape(&mut prefix, namespace.as_bytes());
        prefix.push('/');
        prefix.push_str(collection.name());
        prefix.push('/');
        escape(&mut prefix, key);
        prefix.push('/');
        Self { collection, key: key.to_vec(), prefix, ttl_ms: timeout_seconds.saturating_mul(1000) }
    }

    fn key_of(&self, lower: &[u8]) -> String {
        let mut key = self.prefix.clone();
        escape(&mut key, lower);
        key
    }

    pub fn get(&self, world: &dyn World, lower: &[u8]) -> Option<Vec<u8>> {
        world.get(&self.key_of(lower))
    }

    /// A number is kept so that it can be added to.
    pub fn set(&self, world: &dyn World, lower: &[u8], value: &[u8]) {
        self.set_for(world, lower, value, self.ttl_ms);
    }

    fn set_for(&self, world: &dyn World, lower: &[u8], value: &[u8], ttl_ms: u64) {
        let key = self.key_of(lower);
        if ttl_ms == 0 {
            return world.delete(&key);
        }
        let parsed = number(value);
        if parsed.to_string().as_bytes() == value {
            world.delete(&key);
            if world.add(&key, parsed, ttl_ms).is_some() {
                return;
            }
        }
        world.set(&key, &value[..value.len().min(store::LONGEST)], ttl_ms);
    }

    pub fn add(&self, world: &dyn World, lower: &[u8], delta: i64) {
        let key = self.key_of(lower);
        if world.add(&key, delta, self.ttl_ms).is_none() {
            // Text that begins with a number, or no number at all.
            let sum = world.get(&key).map_or(0, |value| number(&value)).saturating_add(delta);
            self.set(world, lower, sum.to_string().as_bytes());
        }
    }

    pub fn unset(&self, world: &dyn World, lower: &[u8]) {
        world.delete(&self.key_of(lower));
    }

    /// `expirevar`: in so many seconds from now it is gone.
    pub fn expire(&self, world: &dyn World, lower: &[u8], seconds: i64) {
        if let Some(value) = self.get(world, lower) {
            self.set_for(world, lower, &value, u64::try_from(seconds).unwrap_or(0).saturating_mul(1000));
        }
    }

    /// `deprecatevar`: takes `by` for each `seconds` since the last time, not below 0. The time is kept beside the value.
    pub fn deprecate(&self, world: &dyn World, lower: &[u8], by: i64, seconds: i64) {
        let (Some(value), true) = (self.get(world, lower), by > 0 && seconds > 0) else { return };
        let now = i64::try_from(world.now() / 1_000_000_000).unwrap_or(i64::MAX);
        let since_key = format!("{}%since", self.key_of(lower));
        let since = world.get(&since_key).map(|since| number(&since));
        let periods = since.map_or(0, |since| now.saturating_sub(since).max(0) / seconds);
        if since.is_none() || periods > 0 {
            world.set(&since_key, now.to_string().as_bytes(), self.ttl_ms);
        }
        if periods > 0 {
            let taken = by.saturating_mul(periods).min(number(&value).max(0));
            self.add(world, lower, -taken);
        }
    }

    /// Remembers a name that the rules do not write out.
    pub fn list(&self, world: &dyn World, lower: &[u8], known: &[Box<str>]) {
        if lower.contains(&b'\n') || known.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(lower)) {
            return;
        }
        let mut listed = world.get(&self.prefix).unwrap_or_default();
        let count = listed.split(|byte| *byte == b'\n').count();
        if count <= MOST_NAMES && !listed.split(|byte| *byte == b'\n').any(|name| name == lower) {
            listed.extend_from_slice(lower);
            listed.push(b'\n');
            world.set(&self.prefix, &listed, self.ttl_ms);
        }
    }

    /// All variables: the names that rules write out, then those of the list.
    pub fn all(&self, world: &dyn World, known: &[Box<str>]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let listed = world.get(&self.prefix).unwrap_or_default();
        let written = known.iter().map(|name| name.as_bytes());
        let others = listed.split(|byte| *byte == b'\n').filter(|name| !name.is_empty());
        written
            .chain(others)
            .filter_map(|name| Some((name.to_vec(), self.get(world, &name.to_ascii_lowercase())?)))
            .collect()
    }
}

/// The names that rules write out for a collection.
pub(super) fn known(persistent: &[(Variable, Vec<Box<str>>)], collection: Variable) -> &[Box<str>] {
    persistent.iter().find(|(known, _)| *known == collection).map_or(&[], |(_, names)| names)
}

fn escape(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        if out.len() >= LONGEST_KEY {
            // The rest as a number: different texts keep different keys, as far as 64 bits go.
            let rest = bytes
                .iter()
                .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
            let _ = write!(out, "%%{rest:016x}");
            return;
        }
        match byte {
            b'%' | b'/' | 0..=0x20 | 0x7f.. => {
                let _ = write!(out, "%{byte:02x}");
            }
            _ => out.push(char::from(byte)),
        }
    }
}
