//! Counters of one worker. Only that worker writes them, so that counting is a plain add in its own cache line;
//! whoever wants the sum reads all workers' and adds up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Map, Value};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What one worker has counted since it started.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }

        /// The sums over `workers` by name.
        pub fn sum<'a>(workers: impl Iterator<Item = &'a Counters>) -> Map<String, Value> {
            let mut sums = Sums::default();
            for worker in workers {
                $(sums.$name += worker.$name.value();)*
            }
            let mut map = Map::new();
            $(map.insert(stringify!($name).to_owned(), sums.$name.into());)*
            map
        }

        #[derive(Default)]
        struct Sums {
            $($name: u64,)*
        }
    };
}

/// A number that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Only the owning thread may call this: it is a load and a store, not an atomic addition.
    pub fn up(&self) {
        self.add(1);
    }

    /// Adds `n`, under the same rule.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes one away, under the same rule (for what is open now).
    pub fn down(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    /// The value, from any thread.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

counters! {
    /// Connections accepted.
    connections,
    /// Connections open now.
    connections_open,
    /// Connections closed at accept because the listener's `connections` limit was reached.
    connections_over_limit,
    /// Connections closed because of `allow` or `deny`.
    connections_denied,
    /// Connections whose PROXY header could not be read.
    proxy_header_errors,
    /// TLS handshakes completed.
    handshakes,
    /// TLS handshakes that failed.
    handshake_errors,
    /// TLS handshakes that took longer than `handshake_time`.
    handshake_timeouts,
    /// Exchanges begun.
    exchanges,
    /// Exchanges open now.
    exchanges_open,
    /// Exchanges answered by a backend.
    exchanges_forwarded,
    /// Tries repeated on another connection or endpoint.
    retries,
    /// Requests refused for how they are framed or written (400).
    requests_malformed,
    /// Requests whose head took longer than `header_time`, or whose body stalled (408).
    requests_slow,
    /// Requests with a body over `body_size` (413).
    bodies_too_large,
    /// Requests with a target over `target_length` (414).
    targets_too_long,
    /// Requests with a head over `header_bytes` or `header_count` (431).
    heads_too_large,
    /// Requests for a host that the connection's certificate does not cover (421).
    misdirected,
    /// HTTP/2 connections ended because the client broke the protocol or a limit (GOAWAY).
    http2_goaways,
    /// Requests that no route matched (404).
    unrouted,
    /// Exchanges that a backend failed (502, 503, 504 or an aborted response).
    backend_errors,
    /// Exchanges that a plugin answered or closed.
    plugin_decisions,
    /// Exchanges that were refused because a plugin failed (503).
    plugin_refusals,
    /// Exchanges whose plugins were not told of their end, because too many others still had to be.
    plugin_logs_dropped,
    /// Exchanges cut off at the drain deadline.
    drained,
    /// Panics caught; each one is a bug.
    panics,
}
