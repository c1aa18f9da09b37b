//! The configuration in force: names turned into handles, matchers compiled, certificates loaded.
//!
//! Built completely before anything changes, by [`build`]; then put in force by one swap. What did not change is taken over
//! from the snapshot before: backends with their endpoints, TLS configurations with their sessions, drain marks of routes.

mod build;
mod diff;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use http::HeaderValue;
use portcullis_config::{
    Config, listener,
    names::{BackendName, RouteName},
    route as config,
};
use portcullis_plugin::Plugin;

pub use self::{
    build::{BuildError, Built, Ground, build},
    diff::diff,
};
use crate::{
    acme::{Acme, Wanted},
    backend::Backend,
    dns::Names,
    http::edits::Edits,
    plugins::Spent,
    route::{Passthrough, Table},
    tls::{certificates::Loaded, server::ServerTls},
};

/// Everything an exchange needs to know, as of one generation.
pub struct Snapshot {
    /// 1 for the configuration that the process started with, one more for each that was put in force after it.
    pub generation: u64,
    /// What it was built from.
    pub config: Arc<Config>,
    /// In the order of the file; positions are what the route table calls listeners by.
    pub listeners: Vec<Arc<Listener>>,
    /// By bound address.
    pub by_address: HashMap<SocketAddr, usize, FixedState>,
    /// Which route a request takes.
    pub table: Table,
    /// Which route a connection takes that is not terminated here.
    pub passthrough: Passthrough,
    /// Positions are those of `config.routes`, and what the table answers with.
    pub routes: Vec<Arc<RouteState>>,
    /// Positions of routes by name.
    pub by_route: HashMap<Arc<str>, usize, FixedState>,
    /// By name.
    pub backends: BTreeMap<BackendName, Arc<Backend>>,
    /// How names are looked up.
    pub names: Arc<Names>,
    /// The certificates; shown by the store once this snapshot is in force.
    pub certificates: Loaded,
    /// The certificates that are ordered: the same in every snapshot.
    pub acme: Arc<Acme>,
    /// What this configuration wants ordered.
    pub wanted: Option<Arc<Wanted>>,
    /// What the chains of the routes are made of: one for each table that a plugin is configured with.
    pub plugins: Vec<Arc<Plugin>>,
    /// What each of them has cost.
    pub spent: Vec<Arc<Spent>>,
    /// Whether one of them can ask for the fingerprint of a ClientHello.
    pub wants_ja4: bool,
}

impl Snapshot {
    /// The position of the listener of that name.
    pub fn by_name(&self, listener: &str) -> Option<usize> {
        self.listeners.iter().position(|known| *known.name == *listener)
    }

    /// Waits until every name of every backend has an answer of some kind, but not longer than `limit`: an exchange that comes
    /// right after must not find a backend empty only because its name was never asked for.
    pub async fn settled(&self, limit: Duration) {
        /// Answers from a nameserver nearby take about a millisecond.
        const LOOK_EVERY: Duration = Duration::from_millis(2);
        let deadline = tokio::time::Instant::now() + limit;
        while self.backends.values().any(|backend| backend.is_pending()) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The route of that name.
    pub fn route(&self, name: &RouteName) -> Option<&Arc<RouteState>> {
        self.by_route.get(name.as_str()).map(|&index| &self.routes[index])
    }
}

/// A listener in force.
pub struct Listener {
    /// As configured.
    pub config: listener::Listener,
    /// Its name, for records.
    pub name: Arc<str>,
    /// Terminates TLS when set.
    pub tls: Option<ServerTls>,
    /// Where its bytes go, under protocol TCP.
    pub backend: Option<Arc<Backend>>,
    /// What stays the same over reloads for as long as the listener keeps its name and protocol.
    pub lasting: Arc<Lasting>,
}

/// The part of a listener that outlives reloads.
#[derive(Debug, Default)]
pub struct Lasting {
    /// Connections open now, over all workers.
    pub open: AtomicUsize,
}

impl Lasting {
    /// Counts a connection in, if fewer than `limit` are open.
    pub fn enter(self: &Arc<Self>, limit: usize) -> Option<Entered> {
        let entered = self.open.fetch_add(1, Relaxed) < limit;
        let guard = Entered(self.clone());
        entered.then_some(guard)
    }
}

/// A connection counted in; dropping it counts it out.
pub struct Entered(Arc<Lasting>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// A route in force.
#[derive(Debug)]
pub struct RouteState {
    /// As configured.
    pub config: config::Route,
    /// Its name, for records.
    pub name: Arc<str>,
    /// What is done.
    pub action: Action,
    /// What is changed on the way; `None` when nothing is.
    pub edits: Option<Edits>,
    /// The plugins on the way, in order: positions in [`Snapshot::plugins`].
    pub chain: Box<[usize]>,
    /// Those of them that judge requests, and are shown the refused ones too.
    pub judges: Box<[usize]>,
    /// Set once the route is gone: when its exchanges must have ended. Shared by every generation that has the route.
    pub drain: Arc<OnceLock<Instant>>,
}

impl RouteState {
    /// Whether the route is gone and its exchanges have had their time.
    pub fn is_drained(&self, now: Instant) -> bool {
        self.drain.get().is_some_and(|deadline| now >= *deadline)
    }

    /// The route is gone: its exchanges may go on for `drain`.
    pub fn retire(&self, now: Instant, drain: Duration) {
        if let Some(deadline) = now.checked_add(drain) {
            let _ = self.drain.set(deadline);
        }
    }
}

/// What a route does, with handles instead of names.
#[derive(Debug)]
pub enum Action {
    /// To one of these, by weight.
    Forward(Shares),
    /// A redirect.
    Redirect(config::Redirect),
    /// A response made here.
    Respond {
        /// Its status.
        status: http::StatusCode,
        /// Its body.
        body: Bytes,
        /// `Content-Type`.
        content_type: Option<HeaderValue>,
    },
    /// The connection's bytes to this backend.
    Passthrough(Arc<Backend>),
}

/// Backends by weight.
#[derive(Debug)]
pub struct Shares {
    /// Each with the sum of weights up to and with its own.
    upto: Vec<(u32, Arc<Backend>)>,
}

impl Shares {
    /// For backends with their weights; never empty.
    pub fn new(weighted: Vec<(u32, Arc<Backend>)>) -> Self {
        let mut sum = 0u32;
        let upto = weighted.into_iter().map(|(weight, backend)| {
            sum = sum.saturating_add(weight);
            (sum, backend)
        });
        Self { upto: upto.collect() }
    }

    /// One of them, `random` being uniform over all `u32`.
    pub fn pick(&self, random: u32) -> &Arc<Backend> {
        let total = self.upto.last().map_or(1, |(sum, _)| *sum);
        let at = ((u64::from(random) * u64::from(total)) >> 32) as u32;
        let i = self.upto.partition_point(|(sum, _)| *sum <= at);
        &self.upto[i.min(self.upto.len() - 1)].1
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.upto.iter().map(|(_, backend)| backend)
    }
}
