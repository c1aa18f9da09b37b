//! The shared values of a test, as the host keeps them: quota, sizes, times to live by the test's clock.

use std::collections::BTreeMap;

use crate::key_value::Error;

/// What an entry costs beside its key and value.
const ENTRY: usize = 64;

pub(crate) struct Values {
    pub(crate) quota: usize,
    /// Milliseconds, of the test's clock.
    pub(crate) now: u64,
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    value: Value,
    until: Option<u64>,
}

enum Value {
    Bytes(Vec<u8>),
    Number(i64),
}

impl Value {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Number(number) => number.to_string().into_bytes(),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Number(_) => 8,
        }
    }
}

impl Values {
    pub(crate) fn new() -> Self {
        Self { quota: 1 << 20, now: 0, entries: BTreeMap::new() }
    }

    pub(crate) fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.live(key)?;
        Ok(self.entries.get(key).map(|entry| entry.value.bytes()))
    }

    pub(crate) fn set(&mut self, key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Error> {
        self.live(key)?;
        if value.len() > 64 << 10 {
            return Err(Error::Size);
        }
        self.put(key, Value::Bytes(value.to_owned()), ttl_ms)
    }

    pub(crate) fn add(&mut self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
        self.live(key)?;
        match self.entries.get_mut(key) {
            Some(Entry { value: Value::Number(number), .. }) => {
                *number = number.saturating_add(delta);
                Ok(*number)
            }
            Some(_) => Err(Error::NotANumber),
            None => self.put(key, Value::Number(delta), ttl_ms).map(|()| delta),
        }
    }

    pub(crate) fn delete(&mut self, key: &str) -> Result<(), Error> {
        self.live(key)?;
        self.entries.remove(key);
        Ok(())
    }

    /// Checks the key, and forgets what is past its time.
    fn live(&mut self, key: &str) -> Result<(), Error> {
        let now = self.now;
        self.entries.retain(|_, entry| entry.until.is_none_or(|until| now < until));
        if (1..=1024).contains(&key.len()) { Ok(()) } else { Err(Error::Size) }
    }

    fn put(&mut self, key: &str, value: Value, ttl_ms: Option<u64>) -> Result<(), Error> {
        let others: usize = self
            .entries
            .iter()
            .filter(|(name, _)| *name != key)
            .map(|(name, entry)| ENTRY + name.len() + entry.value.size())
            .sum();
        if others + ENTRY + key.len() + value.size() > self.quota {
            return Err(Error::Quota);
        }
        let until = ttl_ms.map(|ttl| self.now.saturating_add(ttl));
        self.entries.insert(key.to_owned(), Entry { value, until });
        Ok(())
    }
}
