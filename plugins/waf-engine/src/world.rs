//! What the engine asks of its surroundings.

use std::net::IpAddr;

/// Rule files and what they name, while loading.
pub trait Files {
    /// The whole file. `path` is absolute, or relative to whatever the implementation calls the beginning.
    ///
    /// # Errors
    /// One sentence that says why there is none.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// The paths that match `pattern` (`*`, `?` and `[...]` within names), sorted by bytes. None is not an error.
    ///
    /// # Errors
    /// One sentence, when it cannot be known.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, String>;
}

/// Time, chance and memory that outlasts a transaction, while judging.
pub trait World {
    /// Nanoseconds since 1970-01-01 00:00 UTC.
    fn now(&self) -> u64;

    /// A number nobody can predict, for sampling.
    fn random(&self) -> u64;

    /// A persistent value (of an `initcol` collection), if there is one that is not past its time.
    fn get(&self, key: &str) -> Option<Vec<u8>>;

    /// Keeps a persistent value for `ttl_ms`. Whether it worked: a full store is no reason to stop judging.
    fn set(&self, key: &str, value: &[u8], ttl_ms: u64) -> bool;

    /// Adds to a persistent number, atomically, and gives the sum.
    fn add(&self, key: &str, delta: i64, ttl_ms: u64) -> Option<i64>;

    /// Forgets a persistent value.
    fn delete(&self, key: &str);
}

/// Both ends of a connection, as variables tell them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// `REMOTE_ADDR`.
    pub client: IpAddr,
    /// `REMOTE_PORT`.
    pub client_port: u16,
    /// `SERVER_ADDR`.
    pub server: IpAddr,
    /// `SERVER_PORT`.
    pub server_port: u16,
}
