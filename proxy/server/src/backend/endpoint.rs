//! One address of a backend, and what all workers know about it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use portcullis_config::backend::Scheme;

use super::health::Health;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// One address of a backend. Shared by all workers and by every configuration in which it stays reachable the same way.
#[derive(Debug)]
pub struct Endpoint {
    /// Unique in this process; keys the workers' pools.
    pub id: u64,
    /// Where to connect.
    pub address: SocketAddr,
    /// What is spoken there.
    pub scheme: Scheme,
    /// The name that led to the address; empty where it is written as an address.
    pub name: Arc<str>,
    /// The name to verify and to send as SNI: the origin's host.
    pub host: Arc<str>,
    /// Whether it is in use, resting, or failing.
    pub health: Health,
    open: Box<[OpenCount]>,
    gone: AtomicBool,
}

/// Exchanges that one worker has open here, in a cache line of its own: only that worker writes it.
#[derive(Debug, Default)]
#[repr(align(64))]
struct OpenCount(AtomicUsize);

impl Endpoint {
    /// A new endpoint that nobody has used, for a process with `workers` workers.
    pub fn new(address: SocketAddr, scheme: Scheme, name: Arc<str>, host: Arc<str>, workers: usize) -> Arc<Self> {
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            address,
            scheme,
            name,
            host,
            health: Health::default(),
            open: (0..workers.max(1)).map(|_| OpenCount::default()).collect(),
            gone: AtomicBool::new(false),
        })
    }

    /// What a request says that is for it by its own name (RFC 9110 section 7.2): its host, and the port where it is not the scheme's.
    pub fn authority(&self) -> String {
        let port = self.address.port();
        let usual = match self.scheme {
            Scheme::Https | Scheme::Tls => 443,
            _ => 80,
        };
        let host = if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]", self.host)
        } else {
            self.host.to_string()
        };
        if port == usual { host } else { format!("{host}:{port}") }
    }

    /// Counts an exchange of `worker` in. Only that worker's thread may call this.
    pub fn opened(&self, worker: usize) {
        if let Some(count) = self.open.get(worker) {
            count.0.store(count.0.load(Relaxed) + 1, Relaxed);
        }
    }

    /// Counts an exchange of `worker` out, under the same rule.
    pub fn closed(&self, worker: usize) {
        if let Some(count) = self.open.get(worker) {
            count.0.store(count.0.load(Relaxed).saturating_sub(1), Relaxed);
        }
    }

    /// Exchanges open at this moment, over all workers.
    pub fn open(&self) -> usize {
        self.open.iter().map(|count| count.0.load(Relaxed)).sum()
    }

    /// Says that no configuration and no DNS answer names this endpoint any longer: its idle connections are closed
    /// at the workers' next tick, those in use end with their exchange.
    pub fn retire(&self) {
        self.gone.store(true, Relaxed);
    }

    /// Takes [`retire`](Self::retire) back: the address was named again before anybody forgot it.
    pub fn revive(&self) {
        self.gone.store(false, Relaxed);
    }

    /// Whether it was retired.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_name_has_a_port_where_that_is_not_the_usual_one() {
        let authority = |scheme, host: &str, port: u16| {
            Endpoint::new(([192, 0, 2, 1], port).into(), scheme, "".into(), host.into(), 1).authority()
        };
        assert_eq!(authority(Scheme::Http, "app.internal", 80), "app.internal");
        assert_eq!(authority(Scheme::Http, "app.internal", 443), "app.internal:443");
        assert_eq!(authority(Scheme::Https, "app.internal", 443), "app.internal");
        assert_eq!(authority(Scheme::H2c, "2001:db8::1", 3000), "[2001:db8::1]:3000");
    }
}
