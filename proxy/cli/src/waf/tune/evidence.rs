//! What recorded requests say about the rules: which matched, where, how often, for whom.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use waf_engine::{model::Mode, transaction::Engine};

use crate::waf::{
    exclusion::{self, Exclusion},
    recorded::Recorded,
    rules::OWN,
    trial::{self, Manner},
};

/// A client that trips rules in more places than this is looking for a way in. Ordinary clients of an application trip the same few
/// fields over and over.
const PLACES_OF_AN_ATTACKER: usize = 8;

/// Everything that was recorded, judged.
pub(crate) struct Evidence {
    pub(crate) requests: Vec<Judged>,
    /// Whose requests are not looked at.
    pub(crate) attackers: BTreeSet<IpAddr>,
}

/// A request, and what the rules made of it.
pub(crate) struct Judged {
    pub(crate) recorded: Recorded,
    pub(crate) path: String,
    pub(crate) is_refused: bool,
    hits: Vec<Hit>,
}

struct Hit {
    exclusion: Exclusion,
    message: String,
    value: String,
}

/// An exclusion that might be right.
pub(crate) struct Proposal {
    pub(crate) exclusion: Exclusion,
    /// `msg` of each rule.
    pub(crate) messages: BTreeMap<u64, String>,
    /// How many requests would not have matched there.
    pub(crate) requests: usize,
    /// Of how many clients.
    pub(crate) clients: usize,
    /// How many requests were recorded on that path.
    pub(crate) recorded: usize,
    /// A value that matched.
    pub(crate) example: String,
    /// One of the requests, by its number.
    pub(crate) sample: usize,
}

impl Evidence {
    /// Judges all of them as in mode `block`.
    pub(crate) fn gather(engine: &Engine, recorded: Vec<Recorded>) -> Self {
        let requests: Vec<_> = recorded.into_iter().map(|recorded| judged(engine, recorded)).collect();
        let mut places = HashMap::<IpAddr, HashSet<(&Option<String>, &str)>>::new();
        for request in &requests {
            if let Some(client) = request.recorded.client {
                let found = request.hits.iter().map(|hit| (&hit.exclusion.target, request.path.as_str()));
                places.entry(client).or_default().extend(found);
            }
        }
        let is_attacker = |(_, places): &(IpAddr, HashSet<_>)| places.len() > PLACES_OF_AN_ATTACKER;
        let attackers = places.into_iter().filter(is_attacker).map(|(client, _)| client).collect();
        Self { requests, attackers }
    }

    /// How many were refused.
    pub(crate) fn refused(&self) -> usize {
        self.requests.iter().filter(|request| request.is_refused).count()
    }

    /// Places where rules matched in at least so many requests of so many clients, most frequent first. Clients that the log does
    /// not name count as one.
    pub(crate) fn proposals(&self, at_least: usize, clients: usize) -> Vec<Proposal> {
        let mut places = BTreeMap::<(Option<String>, String), Place<'_>>::new();
        for (number, request) in self.requests.iter().enumerate() {
            if request.recorded.client.is_some_and(|client| self.attackers.contains(&client)) {
                continue;
            }
            for hit in &request.hits {
                let key = (hit.exclusion.target.clone(), hit.exclusion.path.clone());
                let place = places.entry(key).or_default();
                place.requests.insert(number);
                place.clients.insert(request.recorded.client);
                place.hits.push(hit);
            }
        }
        let mut proposals: Vec<_> = places
            .into_iter()
            .filter(|(_, place)| place.requests.len() >= at_least && place.clients.len() >= clients)
            .map(|((target, path), place)| self.proposal(target, path, &place))
            .collect();
        proposals.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.exclusion.cmp(&b.exclusion)));
        proposals
    }

    fn proposal(&self, target: Option<String>, path: String, place: &Place<'_>) -> Proposal {
        let mut messages = BTreeMap::new();
        for hit in &place.hits {
            for rule in &hit.exclusion.rules {
                messages.entry(*rule).or_insert_with(|| hit.message.clone());
            }
        }
        Proposal {
            requests: place.requests.len(),
            clients: place.clients.len(),
            recorded: self.requests.iter().filter(|request| request.path == path).count(),
            example: place.hits.first().map(|hit| hit.value.clone()).unwrap_or_default(),
            sample: place.requests.first().copied().unwrap_or_default(),
            exclusion: Exclusion { rules: messages.keys().copied().collect(), target, path },
            messages,
        }
    }
}

#[derive(Default)]
struct Place<'a> {
    requests: BTreeSet<usize>,
    clients: HashSet<Option<IpAddr>>,
    hits: Vec<&'a Hit>,
}

fn judged(engine: &Engine, recorded: Recorded) -> Judged {
    let manner = Manner { mode: Some(Mode::On), route: OWN, watch: true, ..Manner::default() };
    let (transaction, refusal) = trial::judge(engine, &recorded.request, recorded.client, manner);
    let mut hits = Vec::new();
    for found in transaction.matches().iter().filter(|found| found.log) {
        for exclusion in Exclusion::of(found, transaction.looks(), &recorded.request.target) {
            hits.push(Hit {
                exclusion,
                message: String::from_utf8_lossy(&found.message).into_owned(),
                value: exclusion::shown(&found.value),
            });
        }
    }
    Judged { path: exclusion::path(&recorded.request.target), recorded, is_refused: refusal.is_some(), hits }
}
