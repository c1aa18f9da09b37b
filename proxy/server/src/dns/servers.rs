//! Nameservers in order, and which of them were silent lately.

use std::{
    fmt::Write,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name, RecordType},
};
use smallvec::SmallVec;

use super::{
    reply,
    wire::{self, Trouble},
};

/// How long a nameserver that did not answer goes to the end of the line, so that not every look-up pays its time-out.
const SILENT: Duration = Duration::from_secs(5);

/// The nameservers of a zone, of the table, or of the system.
#[derive(Debug)]
pub(super) struct Servers {
    list: Box<[Server]>,
    /// How long each may take.
    time: Duration,
    started: Instant,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    /// Milliseconds after `started` until which it counts as silent.
    silent_until: AtomicU64,
}

impl Servers {
    pub(super) fn new(addresses: &[SocketAddr], time: Duration) -> Self {
        let list = addresses.iter().map(|&address| Server { address, silent_until: AtomicU64::new(0) }).collect();
        Self { list, time, started: Instant::now() }
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.list.iter().map(|server| server.address)
    }

    /// Asks one after the other until one answers or denies; the silent ones last. Ends within `time` for each
    /// (twice that where TCP is needed).
    ///
    /// # Errors
    /// What each of them did, in words.
    pub(super) async fn ask(&self, name: &Name, kind: RecordType) -> Result<(Message, SocketAddr), String> {
        let mut reasons = String::new();
        for server in self.in_order() {
            let reason = match wire::ask(server.address, name, kind, self.time).await {
                Ok(message) => {
                    server.silent_until.store(0, Ordering::Relaxed);
                    match verdict(&message) {
                        None => return Ok((message, server.address)),
                        Some(reason) => reason,
                    }
                }
                Err(trouble) => {
                    if matches!(trouble, Trouble::Silent(_) | Trouble::Unreachable(_)) {
                        server.silent_until.store(self.now() + millis(SILENT), Ordering::Relaxed);
                    }
                    trouble.to_string()
                }
            };
            let separator = if reasons.is_empty() { "" } else { "; " };
            // Writing to a String does not fail.
            let _ = write!(reasons, "{separator}{}: {reason}", server.address);
        }
        Err(if reasons.is_empty() { "there is no nameserver to ask".to_owned() } else { reasons })
    }

    /// As of now: who falls silent while it is asked is not asked again.
    fn in_order(&self) -> SmallVec<[&Server; 4]> {
        let now = self.now();
        let mut order: SmallVec<_> = self.list.iter().collect();
        // Cached: look-ups beside this one change the keys while they are compared.
        order.sort_by_cached_key(|server: &&Server| server.silent_until.load(Ordering::Relaxed) > now);
        order
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Why the next nameserver must be asked, if it must.
fn verdict(message: &Message) -> Option<String> {
    match message.metadata.response_code {
        ResponseCode::NoError if reply::is_referral(message) => {
            Some("it refers to other nameservers: it serves neither the zone nor recursion".to_owned())
        }
        ResponseCode::NoError | ResponseCode::NXDomain => None,
        ResponseCode::ServFail => Some("SERVFAIL".to_owned()),
        ResponseCode::Refused => Some("REFUSED".to_owned()),
        code => Some(code.to_string()),
    }
}
