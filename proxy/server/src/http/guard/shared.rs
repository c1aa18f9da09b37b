//! What a connection's guard and its exchanges tell each other.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU8, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

use super::{Refusal, head::BodyLength};
use crate::http::raw::RawTarget;

/// The exchanges' side of a guard.
///
/// hyper calls the service for each head in the same poll in which the guard gave it the head, and never reads a second
/// head before that. So what [`admit`](Self::admit) returns belongs to the request that the service was called with, if the service
/// calls it at once, before its first await.
///
/// Guard and exchanges of a connection run in one task; the type is thread-safe because hyper asks that of what it hands
/// out after an upgrade. Flags are plain loads and stores; the lock is taken for rare things only.
#[derive(Debug)]
pub struct Shared {
    /// When the connection began; times are kept as nanoseconds since.
    epoch: Instant,
    /// Heads given to hyper.
    given: AtomicU64,
    /// Exchanges that ended.
    ended: AtomicU64,
    ended_at: AtomicU64,
    complete_at: AtomicU64,
    /// The body length of the last head: 0 for none, `u64::MAX` for chunks.
    body: AtomicU64,
    in_body: AtomicBool,
    upgrade: AtomicU8,
    /// Whether `rare` holds anything for the last head.
    has_rare: AtomicBool,
    rare: Mutex<Rare>,
}

#[derive(Debug, Default)]
struct Rare {
    refusal: Option<Box<Refusal>>,
    raw_target: Option<Arc<RawTarget>>,
    /// Whom to wake when a held connection may go on.
    held: Option<Waker>,
}

/// The last head asks for no upgrade.
const NO_UPGRADE: u8 = 0;
/// It does, and it is not decided.
const UNDECIDED: u8 = 1;
/// From now on the connection's bytes are not HTTP.
const SWITCHED: u8 = 2;

/// A request that the guard gave to hyper, as the guard saw it.
#[derive(Debug)]
pub struct Admitted {
    /// When set, the request that hyper gave to the service is made up: answer with the refusal's status, and log the refusal.
    /// hyper closes the connection after that answer.
    pub refusal: Option<Box<Refusal>>,
    /// The target as it came, where hyper does not say: it had to be encoded, or is an absolute one.
    pub raw_target: Option<Arc<RawTarget>>,
    /// How long the body is.
    pub body: BodyLength,
    /// Whether the client asks for an upgrade. Then no byte after this request is looked at before `in_flight` is dropped or
    /// [switched](InFlight::switch).
    pub upgrade: bool,
    /// When the last byte of the head had come.
    pub complete_at: Instant,
    /// To be kept until the exchange ends.
    pub in_flight: InFlight,
}

/// An exchange that has not ended. While one lives, its connection does not count as idle. Dropping it says that the
/// exchange has ended: do so when the response's last byte has been given to hyper.
#[derive(Debug)]
pub struct InFlight {
    shared: Arc<Shared>,
    /// Whether the fate of the connection hangs on this exchange.
    upgrade: bool,
}

impl InFlight {
    /// The connection stops being HTTP after this exchange's request: from now on its bytes flow untouched. To be called
    /// before the response that says so (101, or 2xx to CONNECT) is given to hyper. Does nothing where
    /// [`Admitted::upgrade`] was false.
    pub fn switch(&self) {
        self.decide(SWITCHED);
    }

    fn decide(&self, to: u8) {
        if self.upgrade && self.shared.upgrade.compare_exchange(UNDECIDED, to, Release, Relaxed).is_ok() {
            self.shared.wake_held();
        }
    }

    /// Whether bytes of the request's body are still to come.
    pub fn in_body(&self) -> bool {
        self.shared.in_body.load(Acquire)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.ended_at.store(shared.now(), Relaxed);
        shared.ended.fetch_add(1, Release);
        self.decide(NO_UPGRADE);
    }
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            given: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            ended_at: AtomicU64::new(0),
            complete_at: AtomicU64::new(0),
            body: AtomicU64::new(0),
            in_body: AtomicBool::new(false),
            upgrade: AtomicU8::new(NO_UPGRADE),
            has_rare: AtomicBool::new(false),
            rare: Mutex::default(),
        }
    }

    /// What the guard knows of the request that the service was just called with. Once for each request, before the
    /// service's first await.
    pub fn admit(self: &Arc<Self>) -> Admitted {
        let (mut refusal, mut raw_target) = (None, None);
        if self.has_rare.swap(false, Acquire) {
            let mut rare = self.rare();
            (refusal, raw_target) = (rare.refusal.take(), rare.raw_target.take());
        }
        let body = match self.body.load(Acquire) {
            0 => BodyLength::None,
            u64::MAX => BodyLength::Chunked,
            length => BodyLength::Known(length),
        };
        self.in_body.store(body != BodyLength::None, Release);
        let upgrade = self.upgrade.load(Acquire) == UNDECIDED;
        Admitted {
            refusal,
            raw_target,
            body,
            upgrade,
            complete_at: self.epoch + Duration::from_nanos(self.complete_at.load(Relaxed)),
            in_flight: InFlight { shared: self.clone(), upgrade },
        }
    }

    /// The guard gives hyper a head.
    pub(super) fn give(
        &self,
        body: BodyLength,
        upgrade: bool,
        refusal: Option<Box<Refusal>>,
        raw_target: Option<Arc<RawTarget>>,
    ) {
        if refusal.is_some() || raw_target.is_some() || self.has_rare.load(Relaxed) {
            let mut rare = self.rare();
            (rare.refusal, rare.raw_target) = (refusal, raw_target);
            self.has_rare.store(true, Release);
        }
        let body = match body {
            BodyLength::None => 0,
            BodyLength::Known(length) => length,
            BodyLength::Chunked => u64::MAX,
        };
        self.body.store(body, Relaxed);
        self.upgrade.store(if upgrade { UNDECIDED } else { NO_UPGRADE }, Relaxed);
        self.complete_at.store(self.now(), Relaxed);
        self.given.store(self.given.load(Relaxed) + 1, Release);
    }

    /// The guard has given hyper the last byte of a body, or will give no more of it.
    pub(super) fn end_body(&self) {
        self.in_body.store(false, Release);
    }

    /// Heads given so far.
    pub fn given(&self) -> u64 {
        self.given.load(Relaxed)
    }

    /// Whether the last request asks for an upgrade, decided or not.
    pub(super) fn asks_upgrade(&self) -> bool {
        self.upgrade.load(Acquire) != NO_UPGRADE
    }

    /// Since when no exchange is in flight; `None` while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.given.load(Acquire) == self.ended.load(Acquire))
            .then(|| self.epoch + Duration::from_nanos(self.ended_at.load(Relaxed)))
    }

    /// Whether the guard may look at the bytes after a request that asked for an upgrade; `None` while that is not decided, then the
    /// task of `waker` is woken when it is.
    pub(super) fn upgrade_decision(&self, waker: &Waker) -> Option<Decision> {
        let decided = |state| match state {
            UNDECIDED => None,
            SWITCHED => Some(Decision::Switched),
            _ => Some(Decision::Stays),
        };
        decided(self.upgrade.load(Acquire)).or_else(|| {
            self.rare().held = Some(waker.clone());
            // Decided in between: then nobody was woken.
            decided(self.upgrade.load(Acquire))
        })
    }

    fn wake_held(&self) {
        let waker = self.rare().held.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn now(&self) -> u64 {
        // 2^64 nanoseconds are 584 years.
        self.epoch.elapsed().as_nanos() as u64
    }

    fn rare(&self) -> std::sync::MutexGuard<'_, Rare> {
        // Nothing that holds the lock can leave half of a change behind.
        self.rare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request that asked for an upgrade led to.
pub(super) enum Decision {
    /// The connection goes on with HTTP.
    Stays,
    /// It does not.
    Switched,
}
