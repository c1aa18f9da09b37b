//! A backend: its endpoints as DNS has them now, and the choice between them.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use portcullis_config::backend::{self as config, OriginHost, Scheme};
use smallvec::SmallVec;
use tokio::{runtime::Handle, task::AbortHandle};

use super::{balance::Balancer, endpoint::Endpoint, health::Standing};
use crate::{
    dns::{self, Followed, Names},
    error::{Error, Kind, Origin, Retry},
    record::Choice,
    tls::client::ClientTls,
};

/// A named group of endpoints with its policy. Shared by all workers; survives a reload that does not change it.
#[derive(Debug)]
pub struct Backend {
    /// As configured.
    pub config: config::Backend,
    /// The name, for records.
    pub name: Arc<str>,
    /// How TLS is spoken to its endpoints.
    pub tls: ClientTls,
    followed: Vec<Option<Followed>>,
    members: ArcSwap<Members>,
    workers: usize,
    updater: std::sync::OnceLock<AbortHandle>,
    /// When connecting last failed, in microseconds since `made`.
    failed_at: AtomicU64,
    made: Instant,
}

/// The endpoints at one moment.
#[derive(Debug)]
pub struct Members {
    /// In a stable order: by origin, then by address.
    pub list: Vec<Member>,
    balancer: Balancer,
    turns: Box<[Turn]>,
}

/// An endpoint and the origin it came from.
#[derive(Clone, Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its share.
    pub weight: u32,
    /// Position in the configuration's `endpoints`.
    pub origin: usize,
}

/// One worker's turn counter, in a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Turn(AtomicUsize);

/// An endpoint that was chosen, and what the record says about it.
#[derive(Debug)]
pub struct Chosen {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Why this one.
    pub choice: Choice,
    /// Whether this exchange is the probe of an ejected endpoint and must report how it went.
    pub probe: bool,
    /// Another address of the same origin in the other address family, for Happy Eyeballs.
    pub alternative: Option<Arc<Endpoint>>,
    /// How old the DNS answer is.
    pub dns_age: Option<Duration>,
    /// Whether it is past its TTL and could not be renewed.
    pub dns_stale: bool,
    /// Where to ask for a new look-up when connecting fails.
    pub followed: Option<Followed>,
}

impl Backend {
    /// Sets the backend up and begins to follow its names. Endpoints of `previous` that are reached the same way are
    /// kept, with their health and the workers' connections.
    pub fn new(
        config: config::Backend,
        tls: ClientTls,
        names: &Arc<Names>,
        previous: Option<&Backend>,
        workers: usize,
        runtime: &Handle,
    ) -> Arc<Self> {
        let followed: Vec<_> =
            config.endpoints.iter().map(|origin| question(origin, &config).map(|q| names.follow(q))).collect();
        let mut known = HashMap::new();
        if let Some(previous) = previous.filter(|previous| previous.is_reached_like(&config, &tls)) {
            for member in &previous.members.load().list {
                known.insert(Key::of(&member.endpoint), Arc::downgrade(&member.endpoint));
            }
        }
        let name = config.name.shared();
        let members = ArcSwap::from_pointee(Members::new(&config, &followed, &mut known, workers));
        let backend = Arc::new(Self {
            config,
            name,
            tls,
            followed,
            members,
            workers,
            updater: Default::default(),
            failed_at: AtomicU64::new(0),
            made: Instant::now(),
        });
        if backend.followed.iter().any(Option::is_some) {
            let task = runtime.spawn(update(Arc::downgrade(&backend), backend.followed.clone(), known));
            let _ = backend.updater.set(task.abort_handle());
        }
        backend
    }

    /// Whether a connection made for `self` may serve `other`.
    fn is_reached_like(&self, other: &config::Backend, tls: &ClientTls) -> bool {
        self.config.tls == other.tls
            && self.tls.authorities() == tls.authorities()
            && self.config.proxy_protocol == other.proxy_protocol
    }

    /// The endpoints at this moment.
    pub fn members(&self) -> Arc<Members> {
        self.members.load_full()
    }

    /// DNS answers by origin, `None` for addresses.
    pub fn answers(&self) -> impl Iterator<Item = Option<Arc<dns::Answer>>> {
        self.followed.iter().map(|followed| followed.as_ref().map(Followed::current))
    }

    /// Whether a name has no answer of any kind yet, or one that the list of endpoints does not show yet.
    pub fn is_pending(&self) -> bool {
        let empty = self.members.load().list.is_empty();
        let mut answers = self.answers().flatten();
        answers.any(|answer| matches!(answer.state, dns::State::Pending) || empty && !answer.records.is_empty())
    }

    /// The next endpoint for an exchange of `worker`, none of `tried` (endpoint ids).
    ///
    /// # Errors
    /// [`Kind::DestinationUnavailable`] (or a DNS kind) when there is none, saying why.
    pub fn choose(&self, worker: usize, tried: &[u64], now: Instant) -> Result<Chosen, Error> {
        let members = self.members.load();
        let turn = members.turns.get(worker).map_or(0, |turn| {
            let value = turn.0.load(Relaxed);
            turn.0.store(value.wrapping_add(1), Relaxed);
            value
        });
        let mut refused: SmallVec<[u64; 4]> = SmallVec::new();
        loop {
            let chosen = members.balancer.choose(
                turn,
                fastrand::u64(..),
                |i| members.list[i].endpoint.open(),
                |i| {
                    let endpoint = &members.list[i].endpoint;
                    !tried.contains(&endpoint.id)
                        && !refused.contains(&endpoint.id)
                        && !matches!(endpoint.health.standing(now), Standing::Ejected(_))
                },
            );
            let Some((i, choice)) = chosen else { return Err(self.why_none(&members, tried, now)) };
            let member = &members.list[i];
            let endpoint = &member.endpoint;
            let probe = endpoint.health.standing(now) == Standing::Probe;
            if probe && !endpoint.health.claim_probe(now, &self.config.health) {
                refused.push(endpoint.id);
                continue;
            }
            let followed = self.followed.get(member.origin).cloned().flatten();
            let answer = followed.as_ref().map(Followed::current);
            return Ok(Chosen {
                endpoint: endpoint.clone(),
                choice: match choice {
                    _ if !tried.is_empty() => Choice::Retry,
                    _ if probe => Choice::Probe,
                    choice => choice,
                },
                probe,
                alternative: self.other_family(&members, member, tried, now),
                dns_age: answer.as_ref().map(|answer| now.saturating_duration_since(answer.at)),
                dns_stale: answer.is_some_and(|answer| matches!(answer.state, dns::State::Stale)),
                followed,
            });
        }
    }

    /// Whether there is an endpoint beside those of `tried` that could be chosen.
    pub fn has_other(&self, tried: &[u64], now: Instant) -> bool {
        self.members.load().list.iter().any(|member| {
            let endpoint = &member.endpoint;
            !tried.contains(&endpoint.id) && !matches!(endpoint.health.standing(now), Standing::Ejected(_))
        })
    }

    /// Every endpoint but those of `tried` is out of the question. Where connecting has failed since the names were last looked up,
    /// they may lead elsewhere by now: waits for the look-up, for a moment. Whether there is another endpoint then.
    ///
    /// Dropping the future leaves the look-up running.
    pub async fn look_again(&self, tried: &[u64], total: Option<Instant>) -> bool {
        /// A nameserver nearby answers in about a millisecond; one that does not is not worth an exchange's time.
        const WAIT: Duration = Duration::from_secs(2);
        const LOOK_EVERY: Duration = Duration::from_millis(5);
        /// The list of endpoints is made a moment after the answer is there.
        const LISTED: Duration = Duration::from_millis(20);
        let failed = self.made + Duration::from_micros(self.failed_at.load(Relaxed));
        let names = || self.followed.iter().flatten().filter(|followed| !followed.is_fixed());
        let times = || names().map(|followed| followed.current().at);
        // When the last name was answered, once each has been since that failure.
        let answered = || times().max().filter(|_| times().all(|at| at > failed));
        if names().next().is_none() {
            return self.has_other(tried, Instant::now());
        }
        if answered().is_none() {
            names().for_each(Followed::hurry);
        }
        let until = Instant::now() + WAIT.min(self.config.time.connect);
        let until = total.map_or(until, |total| total.min(until));
        loop {
            let now = Instant::now();
            if self.has_other(tried, now) {
                return true;
            }
            if now >= until || answered().is_some_and(|at| now >= at + LISTED) {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// `endpoint` answered.
    pub fn succeeded(&self, endpoint: &Endpoint) {
        if endpoint.health.success() {
            tracing::info!(backend = &*self.name, endpoint = %endpoint.address, "endpoint is back");
        }
    }

    /// A try at `chosen`, which reached `endpoint`, failed; `connecting` says that nothing was sent. Errors that are not the
    /// endpoint's doing change nothing.
    pub fn failed(&self, chosen: &Chosen, endpoint: &Endpoint, error: &Error, connecting: bool) {
        if error.origin != Origin::Backend || error.kind == Kind::ConnectionLimitReached {
            return;
        }
        // Whoever stops listening also resets what waits in its backlog: connected, and then cut off without an answer.
        if (connecting || error.kind == Kind::ConnectionTerminated)
            && let Some(followed) = &chosen.followed
        {
            // Perhaps it was created again at another address.
            self.failed_at.store(self.made.elapsed().as_micros() as u64, Relaxed);
            followed.hurry();
        }
        if let Some(length) = endpoint.health.failure(chosen.probe, Instant::now(), &self.config.health, &error.detail)
        {
            tracing::warn!(
                backend = &*self.name, endpoint = %endpoint.address, reason = %error.detail,
                "endpoint is left alone for {length:?}"
            );
        }
    }

    /// A response of `endpoint` broke off after its head, which was a success. Only for breaks: a response in which nothing moves is as
    /// often one that has nothing to say (an event stream) as one of an endpoint that hangs.
    pub fn broke_off(&self, endpoint: &Endpoint, error: &Error) {
        if let Some(length) = endpoint.health.broke_off(Instant::now(), &self.config.health, &error.detail) {
            tracing::warn!(
                backend = &*self.name, endpoint = %endpoint.address, reason = %error.detail,
                "endpoint is left alone for {length:?}"
            );
        }
    }

    fn other_family(&self, members: &Members, member: &Member, tried: &[u64], now: Instant) -> Option<Arc<Endpoint>> {
        self.followed[member.origin].as_ref()?;
        let address = member.endpoint.address;
        members
            .list
            .iter()
            .filter(|other| other.origin == member.origin && other.endpoint.address.is_ipv4() != address.is_ipv4())
            .map(|other| &other.endpoint)
            .find(|other| !tried.contains(&other.id) && other.health.standing(now) == Standing::Good)
            .cloned()
    }

    /// The sentence an operator needs when no endpoint can be chosen.
    fn why_none(&self, members: &Members, tried: &[u64], now: Instant) -> Error {
        let name = &self.name;
        if members.list.is_empty() {
            let mut kind = Kind::DestinationUnavailable;
            let mut reasons = Vec::new();
            for (origin, followed) in self.config.endpoints.iter().zip(&self.followed) {
                let Some(followed) = followed else { continue };
                let host = match &origin.host {
                    OriginHost::Ip(address) => address.to_string(),
                    OriginHost::Name(name) | OriginHost::Srv(name) => name.clone(),
                };
                let answer = followed.current();
                if matches!(answer.state, dns::State::Refused(_)) {
                    kind = Kind::DestinationIpProhibited;
                }
                reasons.push(format!("{host}: {}", answer.state));
            }
            let mut error =
                Error::backend(kind, Retry::Never, format!("backend {name} has no endpoints: {}", reasons.join("; ")));
            error.status = 503;
            return error;
        }
        let reasons: Vec<_> = members
            .list
            .iter()
            .take(8)
            .map(|member| {
                let endpoint = &member.endpoint;
                let address = endpoint.address;
                match endpoint.health.standing(now) {
                    _ if tried.contains(&endpoint.id) => format!("{address} was tried"),
                    Standing::Ejected(left) => format!(
                        "{address} failed ({}) and is left alone for {:.1}s more",
                        endpoint.health.last_failure(),
                        left.as_secs_f32()
                    ),
                    Standing::Probe => format!("{address} is being probed"),
                    Standing::Good => format!("{address} is good"),
                }
            })
            .collect();
        Error::backend(
            Kind::DestinationUnavailable,
            Retry::Never,
            format!("no endpoint of backend {name} can be used: {}", reasons.join("; ")),
        )
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(updater) = self.updater.get() {
            updater.abort();
        }
    }
}

impl Members {
    fn new(
        config: &config::Backend,
        followed: &[Option<Followed>],
        known: &mut HashMap<Key, Weak<Endpoint>>,
        workers: usize,
    ) -> Self {
        let mut list = Vec::new();
        for (origin, (written, followed)) in config.endpoints.iter().zip(followed).enumerate() {
            let mut add = |address: SocketAddr, weight: u32, name: &str, host: &str| {
                let key = Key { address, scheme: written.scheme, host: host.into() };
                let endpoint = match known.get(&key).and_then(Weak::upgrade) {
                    Some(endpoint) => {
                        endpoint.revive();
                        endpoint
                    }
                    None => {
                        let endpoint = Endpoint::new(address, written.scheme, name.into(), host.into(), workers);
                        known.insert(key, Arc::downgrade(&endpoint));
                        endpoint
                    }
                };
                list.push(Member { endpoint, weight, origin });
            };
            match (&written.host, followed) {
                (OriginHost::Ip(address), _) => {
                    add(SocketAddr::new(*address, written.port), written.weight, "", &address.to_string());
                }
                (OriginHost::Name(name) | OriginHost::Srv(name), Some(followed)) => {
                    for record in &followed.current().records {
                        let port = record.port.unwrap_or(written.port);
                        let weight = match record.port {
                            Some(_) => u32::from(record.weight).max(1),
                            None => written.weight,
                        };
                        add(SocketAddr::new(record.address, port), weight, name, name);
                    }
                }
                (OriginHost::Name(_) | OriginHost::Srv(_), None) => {}
            }
        }
        known.retain(|_, endpoint| endpoint.strong_count() > 0);
        let balancer = Balancer::new(config.balance, list.iter().map(|member| member.weight).collect());
        // Each worker starts at another place, or all of them would begin with the first endpoint.
        let turns = (0..workers).map(|worker| Turn(AtomicUsize::new(worker))).collect();
        Self { list, balancer, turns }
    }
}

/// What makes two endpoints the same one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    address: SocketAddr,
    scheme: Scheme,
    host: Box<str>,
}

impl Key {
    fn of(endpoint: &Endpoint) -> Self {
        Self { address: endpoint.address, scheme: endpoint.scheme, host: (&*endpoint.host).into() }
    }
}

fn question(origin: &config::Origin, backend: &config::Backend) -> Option<dns::Question> {
    let (name, kind) = match &origin.host {
        OriginHost::Ip(_) => return None,
        OriginHost::Name(name) => (name, dns::Kind::Address),
        OriginHost::Srv(name) => (name, dns::Kind::Service),
    };
    Some(dns::Question { name: name.clone(), kind, allow_local: backend.allow_local })
}

/// Follows the names of a backend for as long as it lives. Owned by the backend, which aborts it.
async fn update(backend: Weak<Backend>, followed: Vec<Option<Followed>>, mut known: HashMap<Key, Weak<Endpoint>>) {
    let mut versions: Vec<_> = followed.iter().flatten().map(Followed::subscribe).collect();
    drop(followed);
    loop {
        // Answers that came since the backend was built count as changes, so the list is made before the first wait.
        {
            let Some(backend) = backend.upgrade() else { return };
            for version in &mut versions {
                version.mark_unchanged();
            }
            let old = backend.members.load_full();
            let new = Members::new(&backend.config, &backend.followed, &mut known, backend.workers);
            if old.list.len() != new.list.len()
                || old.list.iter().zip(&new.list).any(|(a, b)| a.endpoint.id != b.endpoint.id || a.weight != b.weight)
            {
                report(&backend, &old, &new);
                backend.members.store(Arc::new(new));
            }
        }
        let changes = versions.iter_mut().map(|version| Box::pin(version.changed()));
        if futures_util::future::select_all(changes).await.0.is_err() {
            return;
        }
    }
}

/// Logs which endpoints came and went, and retires those that went.
fn report(backend: &Backend, old: &Members, new: &Members) {
    let name = &*backend.name;
    let has = |members: &Members, id| members.list.iter().any(|member| member.endpoint.id == id);
    for member in old.list.iter().filter(|member| !has(new, member.endpoint.id)) {
        member.endpoint.retire();
        tracing::info!(backend = name, endpoint = %member.endpoint.address, "endpoint left; its connections are drained");
    }
    for member in new.list.iter().filter(|member| !has(old, member.endpoint.id)) {
        tracing::info!(backend = name, endpoint = %member.endpoint.address, host = &*member.endpoint.host, "endpoint found");
    }
}
