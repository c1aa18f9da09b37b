//! What is asked, and what is answered: plain values.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// A domain name, in any case; with a trailing dot it is never searched for in the system's search domains. Or an
    /// address as written.
    pub name: String,
    /// What is wanted of the name.
    pub kind: Kind,
    /// Whether a public name may lead to an address of [`local_kind`](super::local_kind).
    pub allow_local: bool,
}

impl Question {
    /// Asks for addresses; a public name may not lead to local ones.
    pub fn address(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: Kind::Address, allow_local: false }
    }

    /// Asks for a service's ports and addresses; a public name may not lead to local ones.
    pub fn service(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: Kind::Service, allow_local: false }
    }
}

/// What is wanted of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Its A and AAAA records.
    Address,
    /// Its SRV records (RFC 2782), and the addresses of their targets. Of several priorities only the lowest number is
    /// used: the others are for when all of those are gone, which the nameserver tells us by leaving them out.
    Service,
}

impl Kind {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Service => "service",
        }
    }
}

/// One address that a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// The address.
    pub address: IpAddr,
    /// The port, from an SRV record.
    pub port: Option<u16>,
    /// The weight among the records, from an SRV record; else 1.
    pub weight: u16,
    /// The priority, from an SRV record; else 0. The same for all records of an answer.
    pub priority: u16,
}

impl Record {
    /// A record that says no more than an address.
    pub fn address(address: IpAddr) -> Self {
        Self { address, port: None, weight: 1, priority: 0 }
    }
}

/// What is known of a name.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked.
    pub question: Question,
    /// Sorted, each once: equal sets compare equal. At most 256. Empty unless fresh or stale.
    pub records: Vec<Record>,
    /// What the records are worth.
    pub state: State,
    /// Who says so.
    pub from: Source,
    /// The nameserver that answered, when one did.
    pub nameserver: Option<SocketAddr>,
    /// How long this may be believed, counted from `at`, within the configured floor and ceiling.
    pub ttl: Duration,
    /// When this was answered: for a stale answer, when it was still good.
    pub at: Instant,
    /// For a stale answer: why the latest look-up failed.
    pub trouble: Option<Arc<str>>,
}

impl Answer {
    /// How old this is.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }

    /// Whether an exchange would see any difference between the two: the set of records, or the state.
    pub fn differs(&self, other: &Self) -> bool {
        self.records != other.records || self.state.name() != other.state.name()
    }

    /// For `--json`. Times are in seconds.
    pub fn to_json(&self, now: Instant) -> Value {
        let records: Vec<Value> = self
            .records
            .iter()
            .map(|record| match record.port {
                None => json!({ "address": record.address }),
                Some(port) => json!({
                    "address": record.address, "port": port, "weight": record.weight, "priority": record.priority,
                }),
            })
            .collect();
        json!({
            "name": self.question.name,
            "kind": self.question.kind.name(),
            "state": self.state.name(),
            "reason": self.reason(),
            "source": self.from.name(),
            "zone": self.from.zone(),
            "nameserver": self.nameserver,
            "ttl": seconds(self.ttl),
            "age": seconds(self.age(now)),
            "records": records,
        })
    }

    /// Why there is no good answer, or no fresh one, in words.
    pub fn reason(&self) -> Option<&str> {
        match &self.state {
            State::Refused(reason) | State::Failed(reason) => Some(reason),
            State::Stale => self.trouble.as_deref(),
            State::Pending | State::Fresh | State::NoSuchName => None,
        }
    }
}

/// To the millisecond: more digits say nothing.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// What an answer is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not looked up yet.
    Pending,
    /// Good.
    Fresh,
    /// It was good; no nameserver answers now (RFC 8767).
    Stale,
    /// The name does not exist, or has no such records.
    NoSuchName,
    /// It leads only to addresses that it may not lead to; which, and why.
    Refused(Arc<str>),
    /// No nameserver answered; what each of them did.
    Failed(Arc<str>),
}

impl State {
    /// The word in JSON and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::NoSuchName => "no_such_name",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}

/// For a person: what is the matter, and why.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("not looked up yet"),
            Self::Fresh => f.write_str("good"),
            Self::Stale => f.write_str("was good; no nameserver answers now"),
            Self::NoSuchName => f.write_str("no such name, or it has no such records"),
            Self::Refused(reason) => f.write_str(reason),
            Self::Failed(reason) => write!(f, "cannot be looked up: {reason}"),
        }
    }
}

/// Who an answer is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The `hosts` table of the configuration.
    Hosts,
    /// Nobody was asked: an address as written, or `localhost`.
    Literal,
    /// The zone with this suffix.
    Zone(Arc<str>),
    /// The configured nameservers.
    Nameservers,
    /// The system's `/etc/hosts`.
    SystemHosts,
    /// The nameservers in the system's `/etc/resolv.conf`.
    System,
}

impl Source {
    /// The word in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Literal => "literal",
            Self::Zone(_) => "zone",
            Self::Nameservers => "nameservers",
            Self::SystemHosts => "system_hosts",
            Self::System => "system",
        }
    }

    /// The zone's suffix, when it is one.
    pub fn zone(&self) -> Option<&str> {
        match self {
            Self::Zone(suffix) => Some(suffix),
            _ => None,
        }
    }

    /// Whether anybody can have put anything there: what is in `hosts`, `/etc/hosts` or a private zone is the
    /// operator's own.
    pub fn is_public(&self) -> bool {
        matches!(self, Self::Nameservers | Self::System)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts => f.write_str("[dns] hosts"),
            Self::Literal => f.write_str("as written"),
            Self::Zone(suffix) => write!(f, "zone {suffix}"),
            Self::Nameservers => f.write_str("[dns] nameservers"),
            Self::SystemHosts => f.write_str("/etc/hosts"),
            Self::System => f.write_str("/etc/resolv.conf"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_age_source_and_records() {
        let at = Instant::now();
        let answer = Answer {
            question: Question::service("_http._tcp.app.internal"),
            records: vec![Record { address: [10, 0, 0, 1].into(), port: Some(3000), weight: 5, priority: 10 }],
            state: State::Stale,
            from: Source::Zone("internal".into()),
            nameserver: Some(([10, 0, 0, 53], 53).into()),
            ttl: Duration::from_secs(30),
            at,
            trouble: Some("10.0.0.53:53: no answer within 2s".into()),
        };
        assert_eq!(
            answer.to_json(at + Duration::from_millis(90_500)),
            json!({
                "name": "_http._tcp.app.internal", "kind": "service", "state": "stale",
                "reason": "10.0.0.53:53: no answer within 2s", "source": "zone", "zone": "internal",
                "nameserver": "10.0.0.53:53", "ttl": 30.0, "age": 90.5,
                "records": [{ "address": "10.0.0.1", "port": 3000, "weight": 5, "priority": 10 }],
            })
        );
    }

    #[test]
    fn a_new_reason_alone_is_no_difference() {
        let answer = |state| Answer {
            question: Question::address("app.internal"),
            records: Vec::new(),
            state,
            from: Source::System,
            nameserver: None,
            ttl: Duration::ZERO,
            at: Instant::now(),
            trouble: None,
        };
        assert!(!answer(State::Failed("a".into())).differs(&answer(State::Failed("b".into()))));
        assert!(answer(State::Failed("a".into())).differs(&answer(State::NoSuchName)));
    }
}
