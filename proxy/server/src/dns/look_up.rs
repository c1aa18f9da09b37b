//! One question, from name to answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{
    StreamExt,
    future::{Either, select},
    stream,
};
use hickory_proto::rr::{Name, RecordType, rdata::SRV};
use portcullis_config::dns::Dns;
use tokio::{sync::Semaphore, time::timeout};

use super::{
    Error,
    answer::{Answer, Kind, Question, Record, Source, State},
    local::local_kind,
    reply::{self, Content, Wanted},
    routing::{Public, Route, Routing, to_name},
    system::{Facts, System},
};

/// Records kept of one name.
const MAX_RECORDS: usize = 256;

/// Targets of one service that are looked up, and how many of them at a time.
const MAX_TARGETS: usize = 64;
const TARGETS_AT_A_TIME: usize = 8;

/// Look-ups at a time: each holds a few sockets, and a start with thousands of names must not use up the descriptors.
const LOOK_UPS_AT_A_TIME: usize = 256;

/// A look-up may take this many times what one nameserver may, within `DEADLINE`.
const DEADLINE_FACTOR: u32 = 8;
const DEADLINE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// A set that may not be whole, because a nameserver failed for some of it, is asked for again this soon.
const PARTIAL_TTL: Duration = Duration::from_secs(30);

/// How long what `/etc/hosts` says is believed: it has no TTL, and it changes.
const SYSTEM_HOSTS_TTL: Duration = Duration::from_secs(10);

/// Answers questions; remembers nothing but which nameservers were silent.
#[derive(Debug)]
pub(super) struct Resolver {
    config: Dns,
    routing: Routing,
    turns: Semaphore,
}

/// What became of a name.
enum Outcome<T> {
    Found(Found<T>),
    /// Denied. For how long to believe it, if that was said.
    Nothing {
        ttl: Option<Duration>,
        server: Option<SocketAddr>,
    },
    /// Why, in words.
    Failed(String),
}

struct Found<T> {
    records: Vec<T>,
    ttl: Duration,
    server: Option<SocketAddr>,
}

impl Resolver {
    pub(super) fn new(config: &Dns, system: System) -> Result<Self, Error> {
        let routing = Routing::new(config, system)?;
        Ok(Self { config: config.clone(), routing, turns: Semaphore::new(LOOK_UPS_AT_A_TIME) })
    }

    pub(super) fn config(&self) -> &Dns {
        &self.config
    }

    /// Never panics on what a nameserver says, and always ends; see [`super::Names::look_up`].
    pub(super) async fn look_up(&self, question: &Question) -> Answer {
        if let Some(answer) = self.known(question) {
            return answer;
        }
        // Never closed; were it, the look-up would only go without waiting for its turn.
        let _turn = self.turns.acquire().await;
        let deadline = self.config.time.saturating_mul(DEADLINE_FACTOR).clamp(DEADLINE.0, DEADLINE.1);
        let (source, outcome) = match timeout(deadline, self.ask(question)).await {
            Ok(asked) => asked,
            Err(_) => {
                let source = match to_name(&question.name).ok().and_then(|name| self.routing.zone(&name).cloned()) {
                    Some(zone) => zone.source,
                    None if self.config.nameservers.is_empty() => Source::System,
                    None => Source::Nameservers,
                };
                (source, Outcome::Failed(format!("no answer within {deadline:?}")))
            }
        };
        self.answer(question, source, outcome)
    }

    /// What nobody needs to be asked for, and what can never be asked: it is the same for ever.
    pub(super) fn known(&self, question: &Question) -> Option<Answer> {
        let text = question.name.trim_end_matches('.').to_ascii_lowercase();
        let known = |source, addresses: Vec<IpAddr>| {
            let records = addresses.into_iter().map(Record::address).collect();
            let found = Found { records, ttl: self.config.ttl_ceiling, server: None };
            Some(self.answer(question, source, Outcome::Found(found)))
        };
        if question.kind == Kind::Address {
            if let Some(addresses) = self.config.hosts.get(&text) {
                return known(Source::Hosts, addresses.clone());
            }
            let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
            if let Ok(address) = bare.parse() {
                return known(Source::Literal, vec![address]);
            }
            if text == "localhost" || text.ends_with(".localhost") {
                return known(Source::Literal, vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
            }
        }
        let reason = to_name(&question.name).err()?;
        let failed = Outcome::Failed(format!("`{}` is not a domain name: {reason}", question.name));
        Some(self.answer(question, Source::Literal, failed))
    }

    async fn ask(&self, question: &Question) -> (Source, Outcome<Record>) {
        let name = match to_name(&question.name) {
            Ok(name) => name,
            Err(reason) => return (Source::Literal, Outcome::Failed(reason)),
        };
        if let Some(zone) = self.routing.zone(&name) {
            return (zone.source.clone(), self.records(zone, &name, question.kind).await);
        }
        match self.routing.public().await {
            Public::Nameservers(route) => {
                let outcome = self.records(&route, &name, question.kind).await;
                (route.source, outcome)
            }
            Public::System(route, facts) => self.ask_system(question, &name, route, &facts).await,
        }
    }

    /// `/etc/hosts`, the name as it is, and then, if it has few dots, the name within each search domain; the first that
    /// exists. A search domain may lead into a zone: then the zone's nameservers are asked.
    async fn ask_system(
        &self,
        question: &Question,
        name: &Name,
        route: Route,
        facts: &Facts,
    ) -> (Source, Outcome<Record>) {
        let text = question.name.trim_end_matches('.').to_ascii_lowercase();
        if question.kind == Kind::Address
            && let Some(addresses) = facts.hosts.get(&text)
        {
            let records = addresses.iter().copied().map(Record::address).collect();
            return (Source::SystemHosts, Outcome::Found(Found { records, ttl: SYSTEM_HOSTS_TTL, server: None }));
        }
        let as_it_is = self.records(&route, name, question.kind).await;
        let dots = text.bytes().filter(|&byte| byte == b'.').count();
        if matches!(as_it_is, Outcome::Found(_)) || question.name.ends_with('.') || dots >= facts.ndots {
            return (route.source, as_it_is);
        }
        // A failure weighs more than a denial: some resolvers fail names of one label, and where a search domain
        // could not be asked, the name may be in it.
        let (mut denied, mut failed) = match as_it_is {
            Outcome::Failed(reason) => (None, Some(reason)),
            denied => (Some(denied), None),
        };
        for domain in &facts.search {
            let Ok(mut full) = name.clone().append_domain(domain) else { continue };
            full.set_fqdn(true);
            let route = self.routing.zone(&full).unwrap_or(&route);
            match self.records(route, &full, question.kind).await {
                Outcome::Found(found) => return (route.source.clone(), Outcome::Found(found)),
                Outcome::Failed(reason) => failed = Some(reason),
                Outcome::Nothing { .. } if denied.is_some() => {}
                nothing => denied = Some(nothing),
            }
        }
        let outcome = failed.map(Outcome::Failed).or(denied);
        (route.source, outcome.unwrap_or(Outcome::Nothing { ttl: None, server: None }))
    }

    async fn records(&self, route: &Route, name: &Name, kind: Kind) -> Outcome<Record> {
        match kind {
            Kind::Address => match self.addresses(route, name).await {
                Outcome::Found(Found { records, ttl, server }) => {
                    let records = records.into_iter().map(Record::address).collect();
                    Outcome::Found(Found { records, ttl, server })
                }
                Outcome::Nothing { ttl, server } => Outcome::Nothing { ttl, server },
                Outcome::Failed(reason) => Outcome::Failed(reason),
            },
            Kind::Service => self.services(route, name).await,
        }
    }

    /// A and AAAA at the same time. When one has answered, the other may take as long as one nameserver may.
    async fn addresses(&self, route: &Route, name: &Name) -> Outcome<IpAddr> {
        let v4 = pin!(self.query::<IpAddr>(route, name, RecordType::A));
        let v6 = pin!(self.query::<IpAddr>(route, name, RecordType::AAAA));
        let (first, second) = match select(v4, v6).await {
            Either::Left((first, rest)) => self.second(first, rest).await,
            Either::Right((first, rest)) => self.second(first, rest).await,
        };
        match (first, second) {
            (Outcome::Found(mut one), Outcome::Found(other)) => {
                one.records.extend(other.records);
                one.ttl = one.ttl.min(other.ttl);
                Outcome::Found(one)
            }
            (Outcome::Found(found), Outcome::Nothing { .. }) | (Outcome::Nothing { .. }, Outcome::Found(found)) => {
                Outcome::Found(found)
            }
            (Outcome::Found(mut found), Outcome::Failed(_)) | (Outcome::Failed(_), Outcome::Found(mut found)) => {
                found.ttl = found.ttl.min(PARTIAL_TTL);
                Outcome::Found(found)
            }
            // Nothing of one kind says little about the other.
            (Outcome::Failed(reason), _) | (_, Outcome::Failed(reason)) => Outcome::Failed(reason),
            (Outcome::Nothing { ttl: one, server }, Outcome::Nothing { ttl: other, .. }) => {
                Outcome::Nothing { ttl: one.into_iter().chain(other).min(), server }
            }
        }
    }

    async fn second<T>(&self, first: Outcome<T>, second: impl Future<Output = Outcome<T>>) -> (Outcome<T>, Outcome<T>) {
        if !matches!(first, Outcome::Found(_)) {
            return (first, second.await);
        }
        let second = timeout(self.config.time, second).await;
        (first, second.unwrap_or_else(|_| Outcome::Failed("the other kind of address took too long".to_owned())))
    }

    /// SRV records of the lowest priority, and the addresses of their targets (RFC 2782).
    async fn services(&self, route: &Route, name: &Name) -> Outcome<Record> {
        let mut found = match self.query::<SRV>(route, name, RecordType::SRV).await {
            Outcome::Found(found) => found,
            Outcome::Nothing { ttl, server } => return Outcome::Nothing { ttl, server },
            Outcome::Failed(reason) => return Outcome::Failed(reason),
        };
        let lowest = found.records.iter().map(|service| service.priority).min().unwrap_or_default();
        // A target of `.` says that there is decidedly no such service.
        found.records.retain(|service| service.priority == lowest && !service.target.is_root());
        let targets: BTreeSet<Name> = found.records.iter().map(|service| service.target.clone()).collect();
        let mut by_target = BTreeMap::new();
        let mut failed = None;
        let mut ttl = found.ttl;
        let mut answers = stream::iter(targets.into_iter().take(MAX_TARGETS))
            .map(|target| async move {
                let addresses = self.target(route, &target).await;
                (target, addresses)
            })
            .buffer_unordered(TARGETS_AT_A_TIME);
        while let Some((target, outcome)) = answers.next().await {
            match outcome {
                Outcome::Found(Found { records: mut addresses, ttl: theirs, .. }) => {
                    ttl = ttl.min(theirs);
                    // In order before it is cut, so that what is kept is the same each time.
                    addresses.sort_unstable();
                    addresses.truncate(MAX_RECORDS);
                    by_target.insert(target, addresses);
                }
                Outcome::Nothing { .. } => {}
                Outcome::Failed(reason) => failed = Some(format!("{target}: {reason}")),
            }
        }
        drop(answers);
        let mut records = Vec::new();
        for service in &found.records {
            let addresses = by_target.get(&service.target).into_iter().flatten();
            records.extend(addresses.map(|&address| Record {
                address,
                port: Some(service.port),
                weight: service.weight,
                priority: service.priority,
            }));
            if records.len() > MAX_RECORDS * MAX_TARGETS {
                break;
            }
        }
        match failed {
            Some(reason) if records.is_empty() => return Outcome::Failed(reason),
            Some(_) => ttl = ttl.min(PARTIAL_TTL),
            None if records.is_empty() => return Outcome::Nothing { ttl: Some(ttl), server: found.server },
            None => {}
        }
        Outcome::Found(Found { records, ttl, server: found.server })
    }

    /// The addresses of a service's target: from `hosts`, the zone it is in, or the nameservers that named it.
    async fn target(&self, route: &Route, target: &Name) -> Outcome<IpAddr> {
        let text = target.to_lowercase().to_ascii();
        if let Some(addresses) = self.config.hosts.get(text.trim_end_matches('.')) {
            return Outcome::Found(Found { records: addresses.clone(), ttl: self.config.ttl_ceiling, server: None });
        }
        self.addresses(self.routing.zone(target).unwrap_or(route), target).await
    }

    /// One kind of record, through aliases. An alias that leads into another zone is asked there; one that leads out
    /// of a zone into none is asked of the zone's own nameservers.
    async fn query<T: Wanted>(&self, route: &Route, name: &Name, kind: RecordType) -> Outcome<T> {
        let mut route = route;
        let mut name = name.clone();
        let mut aliases = 0;
        let mut shortest = Duration::MAX;
        loop {
            let (message, server) = match route.servers.ask(&name, kind).await {
                Ok(reply) => reply,
                Err(reason) => return Outcome::Failed(reason),
            };
            let here = |target: &Name| self.routing.zone(target).is_none_or(|zone| zone.source == route.source);
            match reply::read::<T>(&message, &name, kind, &mut aliases, here) {
                Content::Records { records, ttl } => {
                    let ttl = shortest.min(seconds(ttl));
                    return Outcome::Found(Found { records, ttl, server: Some(server) });
                }
                Content::Nothing { ttl, .. } => {
                    return Outcome::Nothing { ttl: ttl.map(seconds), server: Some(server) };
                }
                Content::Alias { target, ttl } => {
                    shortest = shortest.min(seconds(ttl));
                    // `aliases` has grown, so this loop ends.
                    route = self.routing.zone(&target).unwrap_or(route);
                    name = target;
                }
                Content::TooManyAliases => {
                    return Outcome::Failed(format!("{server}: more than {} aliases in a row", reply::MAX_ALIASES));
                }
            }
        }
    }

    /// Limits, order, and which addresses may be used.
    fn answer(&self, question: &Question, from: Source, outcome: Outcome<Record>) -> Answer {
        let mut answer = Answer {
            question: question.clone(),
            records: Vec::new(),
            state: State::NoSuchName,
            from,
            nameserver: None,
            ttl: Duration::ZERO,
            at: Instant::now(),
            trouble: None,
        };
        match outcome {
            Outcome::Failed(reason) => answer.state = State::Failed(reason.into()),
            Outcome::Nothing { ttl, server } => {
                // A denial without SOA says nothing about its time: it is not to be kept (RFC 2308 section 5).
                answer.ttl = ttl.unwrap_or(self.config.ttl_floor).min(self.config.negative_ceiling);
                answer.nameserver = server;
            }
            Outcome::Found(Found { mut records, ttl, server }) => {
                answer.ttl = ttl.max(self.config.ttl_floor).min(self.config.ttl_ceiling);
                answer.nameserver = server;
                let public = answer.from.is_public() && question.name.trim_end_matches('.').contains('.');
                let refused = if public && !question.allow_local { refuse_local(&mut records) } else { None };
                records.sort_unstable();
                records.dedup();
                records.truncate(MAX_RECORDS);
                answer.state = match refused {
                    Some(reason) if records.is_empty() => State::Refused(reason),
                    _ if records.is_empty() => State::NoSuchName,
                    _ => State::Fresh,
                };
                answer.records = records;
            }
        }
        answer
    }
}

/// Removes local addresses; says about the first of them what it is.
fn refuse_local(records: &mut Vec<Record>) -> Option<Arc<str>> {
    let mut reason = None;
    records.retain(|record| {
        let Some(kind) = local_kind(record.address) else { return true };
        reason.get_or_insert_with(|| {
            format!("leads to {} ({kind}), which a public name may not without `allow_local = true`", record.address)
                .into()
        });
        false
    });
    reason
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into())
}
