//! Values by key, shared by all workers and instances of a plugin.
//!
//! In shards, each behind a lock that is held for one look-up: workers that ask for different keys rarely meet.

use std::{
    hash::BuildHasher,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

const SHARDS: usize = 32;

/// Bytes of a key, of a value, and what an entry counts for beside them.
const KEY_MAX: usize = 1024;
const VALUE_MAX: usize = 64 << 10;
const ENTRY: u64 = 64;

/// Why an operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The quota is reached.
    Quota,
    /// It is not a number.
    NotANumber,
    /// Key or value are too long, or the key is empty.
    Size,
}

/// The values of one plugin, by its name in the configuration; kept over reloads, lost with the process.
pub struct KeyValue {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// Bytes that entries count for, over all shards.
    used: AtomicU64,
    quota: AtomicU64,
    /// The shard that the next sweep looks at.
    next: AtomicUsize,
}

type Shard = HashMap<Box<str>, Entry, RandomState>;

struct Entry {
    value: Stored,
    until: Option<Instant>,
}

enum Stored {
    Bytes(Box<[u8]>),
    Number(i64),
}

impl Stored {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Number(_) => 8,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Number(number) => number.to_string().into_bytes(),
        }
    }
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl KeyValue {
    /// An empty store for `quota` bytes.
    pub fn new(quota: u64) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::default(),
            used: AtomicU64::new(0),
            quota: AtomicU64::new(quota),
            next: AtomicUsize::new(0),
        }
    }

    /// Another quota from now on. What is over it stays until it is past its time.
    pub fn set_quota(&self, quota: u64) {
        self.quota.store(quota, Relaxed);
    }

    /// Bytes that are in use.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`Refused::Size`].
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Refused> {
        check(key)?;
        let now = Instant::now();
        let mut shard = self.shard(key);
        self.expire(&mut shard, key, now);
        Ok(shard.get(key).map(|entry| entry.value.bytes()))
    }

    /// Sets it, for `ttl` or until it is deleted.
    ///
    /// # Errors
    /// [`Refused::Size`], [`Refused::Quota`].
    pub fn set(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), Refused> {
        self.change(key, value.len(), |_| Ok(Some((Stored::Bytes(value.into()), Lasts::For(ttl), ()))), ())
    }

    /// Sets it if the present value is `expected`.
    ///
    /// # Errors
    /// [`Refused::Size`], [`Refused::Quota`].
    pub fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<bool, Refused> {
        self.change(
            key,
            value.len(),
            |present| {
                let same = match (present, expected) {
                    (None, None) => true,
                    (Some(Stored::Bytes(bytes)), Some(expected)) => **bytes == *expected,
                    (Some(number), Some(expected)) => number.bytes() == expected,
                    _ => false,
                };
                Ok(same.then(|| (Stored::Bytes(value.into()), Lasts::For(ttl), true)))
            },
            false,
        )
    }

    /// Adds to a number; one that is not there begins at 0 and lasts for `ttl`.
    ///
    /// # Errors
    /// [`Refused::Size`], [`Refused::Quota`], [`Refused::NotANumber`].
    pub fn add(&self, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, Refused> {
        self.change(
            key,
            8,
            |present| {
                let sum = match present {
                    None => delta,
                    Some(Stored::Number(number)) => number.saturating_add(delta),
                    Some(Stored::Bytes(_)) => return Err(Refused::NotANumber),
                };
                let lasts = if present.is_some() { Lasts::AsBefore } else { Lasts::For(ttl) };
                Ok(Some((Stored::Number(sum), lasts, sum)))
            },
            0,
        )
    }

    /// Deletes it.
    ///
    /// # Errors
    /// [`Refused::Size`].
    pub fn delete(&self, key: &str) -> Result<(), Refused> {
        check(key)?;
        let mut shard = self.shard(key);
        if let Some((key, entry)) = shard.remove_entry(key) {
            self.used.fetch_sub(cost(&key, &entry.value), Relaxed);
        }
        Ok(())
    }

    /// Deletes everything.
    pub fn clear(&self) {
        for shard in &self.shards {
            for (key, entry) in lock(shard).drain() {
                self.used.fetch_sub(cost(&key, &entry.value), Relaxed);
            }
        }
    }

    /// Drops what is past its time in one shard, another one each time.
    pub fn sweep(&self) {
        let next = self.next.fetch_add(1, Relaxed) % SHARDS;
        self.sweep_shard(&mut lock(&self.shards[next]), Instant::now());
    }

    fn sweep_shard(&self, shard: &mut Shard, now: Instant) {
        shard.retain(|key, entry| {
            let over = entry.is_over(now);
            if over {
                self.used.fetch_sub(cost(key, &entry.value), Relaxed);
            }
            !over
        });
    }

    fn change<T>(
        &self,
        key: &str,
        length: usize,
        decide: impl Fn(Option<&Stored>) -> Result<Option<(Stored, Lasts, T)>, Refused>,
        unchanged: T,
    ) -> Result<T, Refused> {
        if length > VALUE_MAX {
            return Err(Refused::Size);
        }
        check(key)?;
        let now = Instant::now();
        let mut swept = false;
        loop {
            let mut shard = self.shard(key);
            self.expire(&mut shard, key, now);
            let present = shard.get(key);
            let Some((value, lasts, answer)) = decide(present.map(|entry| &entry.value))? else {
                return Ok(unchanged);
            };
            let before = present.map_or(0, |entry| cost(key, &entry.value));
            let after = cost(key, &value);
            if !self.reserve(before, after) {
                drop(shard);
                if std::mem::replace(&mut swept, true) {
                    return Err(Refused::Quota);
                }
                self.shards.iter().for_each(|shard| self.sweep_shard(&mut lock(shard), now));
                continue;
            }
            let until = match lasts {
                Lasts::For(ttl) => ttl.and_then(|ttl| now.checked_add(ttl)),
                Lasts::AsBefore => present.and_then(|entry| entry.until),
            };
            match shard.get_mut(key) {
                Some(entry) => *entry = Entry { value, until },
                None => drop(shard.insert(key.into(), Entry { value, until })),
            }
            return Ok(answer);
        }
    }

    /// Counts `after` bytes in place of `before`, if the quota allows it; growing smaller is always allowed.
    fn reserve(&self, before: u64, after: u64) -> bool {
        let quota = self.quota.load(Relaxed);
        let changed = self.used.fetch_update(Relaxed, Relaxed, |used| {
            let new = used - before + after;
            (after <= before || new <= quota).then_some(new)
        });
        changed.is_ok()
    }

    fn expire(&self, shard: &mut Shard, key: &str, now: Instant) {
        if shard.get(key).is_some_and(|entry| entry.is_over(now))
            && let Some(entry) = shard.remove(key)
        {
            self.used.fetch_sub(cost(key, &entry.value), Relaxed);
        }
    }

    fn shard(&self, key: &str) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.hasher.hash_one(key) as usize % SHARDS])
    }
}

enum Lasts {
    For(Option<Duration>),
    AsBefore,
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cost(key: &str, value: &Stored) -> u64 {
    key.len() as u64 + value.size() + ENTRY
}

fn check(key: &str) -> Result<(), Refused> {
    if key.is_empty() || key.len() > KEY_MAX { Err(Refused::Size) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

    #[test]
    fn values_come_back_until_their_time() {
        let store = KeyValue::new(1 << 20);
        assert_eq!(store.get("a"), Ok(None));
        store.set("a", b"1", HOUR).unwrap();
        store.set("b", b"2", Some(Duration::ZERO)).unwrap();
        assert_eq!(store.get("a"), Ok(Some(b"1".to_vec())));
        assert_eq!(store.get("b"), Ok(None), "its time was over at once");
        store.delete("a").unwrap();
        assert_eq!(store.get("a"), Ok(None));
        assert_eq!(store.used(), 0);
    }

    #[test]
    fn compare_and_swap_compares() {
        let store = KeyValue::new(1 << 20);
        assert_eq!(store.compare_and_swap("a", Some(b"x"), b"1", None), Ok(false));
        assert_eq!(store.compare_and_swap("a", None, b"1", None), Ok(true));
        assert_eq!(store.compare_and_swap("a", None, b"2", None), Ok(false));
        assert_eq!(store.compare_and_swap("a", Some(b"1"), b"2", None), Ok(true));
        assert_eq!(store.get("a"), Ok(Some(b"2".to_vec())));
        store.add("n", 7, None).unwrap();
        assert_eq!(store.compare_and_swap("n", Some(b"7"), b"x", None), Ok(true));
    }

    #[test]
    fn numbers_add_up_and_keep_their_time() {
        let store = KeyValue::new(1 << 20);
        assert_eq!(store.add("n", 5, HOUR), Ok(5));
        assert_eq!(store.add("n", -7, Some(Duration::ZERO)), Ok(-2), "the time of the first call counts");
        assert_eq!(store.get("n"), Ok(Some(b"-2".to_vec())));
        assert_eq!(store.add("n", i64::MIN, None), Ok(i64::MIN));
        store.set("text", b"5", None).unwrap();
        assert_eq!(store.add("text", 1, None), Err(Refused::NotANumber));
    }

    #[test]
    fn the_quota_holds_and_what_is_over_makes_room() {
        let store = KeyValue::new(10 * (ENTRY + 2 + 100));
        for i in 0..10 {
            store.set(&format!("k{i}"), &[0; 100], Some(Duration::ZERO)).unwrap();
        }
        for i in 0..10 {
            store.set(&format!("l{i}"), &[0; 100], HOUR).unwrap();
        }
        assert_eq!(store.set("m0", &[0; 100], None), Err(Refused::Quota));
        assert_eq!(store.set("l0", &[0; 101], None), Err(Refused::Quota), "an entry cannot grow over it either");
        assert_eq!(store.set("l0", &[0; 99], None), Ok(()), "but shrink");
        assert_eq!(store.set("", b"", None), Err(Refused::Size));
        assert_eq!(store.set("big", &[0; VALUE_MAX + 1], None), Err(Refused::Size));
    }

    #[test]
    fn adding_from_many_threads_loses_nothing() {
        let store = KeyValue::new(1 << 20);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| assert!(store.add("n", 1, HOUR).is_ok())));
            }
        });
        assert_eq!(store.add("n", 0, None), Ok(40_000));
    }
}
