//! Names of backends: zones, static hosts, the system's resolver, and following names as their addresses change.
//!
//! A name is looked up in this order, and nowhere else: the `hosts` table, an address as written, `localhost`
//! (RFC 6761), the zone with the longest suffix, the configured nameservers, else the system's `/etc/hosts` and
//! `/etc/resolv.conf`. A name in a zone stays there when its nameservers fail or deny it, and so does an alias that
//! leads out of it: a private name is never heard outside.
//!
//! hickory-proto writes and reads messages. Sockets, the order of nameservers, zones, TTL limits, serve-stale
//! (RFC 8767) and negative caching (RFC 2308) are here, because backends need what a general resolver hides: which
//! nameserver answered, how old the answer is, and whether a name is denied or merely could not be looked up.
//!
//! | File | What it knows |
//! |---|---|
//! | `answer` | what is asked and answered; plain values |
//! | `wire` | one query to one nameserver, UDP then TCP |
//! | `servers` | nameservers in order, and which of them were silent lately |
//! | `reply` | reading one message: records, aliases, denials |
//! | `system` | `/etc/resolv.conf` and `/etc/hosts`, read again when they change |
//! | `routing` | which nameservers a name belongs to |
//! | `local` | addresses that a public name may not lead to |
//! | `look_up` | one question, from name to answer |
//! | `follow` | a question asked again and again |

mod answer;
mod follow;
mod local;
mod look_up;
mod reply;
mod routing;
mod servers;
mod system;
mod wire;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use portcullis_config::dns::Dns;
use tokio::runtime::Handle;

pub use answer::{Answer, Kind, Question, Record, Source, State};
pub use follow::Followed;
pub use local::local_kind;

use follow::Register;
use look_up::Resolver;
use system::System;

/// Why a `[dns]` table cannot be used. A checked configuration gives none of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The suffix of a zone is not a domain name.
    #[error("the zone `{suffix}` is not a domain name: {reason}")]
    Suffix {
        /// As written.
        suffix: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A zone without nameservers could never be asked.
    #[error("the zone `{suffix}` has no nameservers")]
    NoNameserver {
        /// As written.
        suffix: String,
    },
}

/// Look-ups for one `[dns]` table. Keep it over a reload while that table is the same: what is followed goes on.
pub struct Names {
    resolver: Arc<Resolver>,
    register: Arc<Register>,
    /// What was known under the table before this one.
    seeds: HashMap<Question, Arc<Answer>>,
    runtime: Handle,
}

impl Names {
    /// Prepares look-ups; followed names are looked up on `runtime`, which must have its timers and sockets enabled.
    ///
    /// The system's files are read here (and again when they change). Not having them is not an error: `hosts`,
    /// zones and `nameservers` work without.
    ///
    /// # Errors
    /// When a zone's suffix is not a domain name, or a zone has no nameservers.
    pub fn new(config: &Dns, runtime: Handle) -> Result<Arc<Self>, Error> {
        Self::with_system(config, runtime, System::read(), HashMap::new())
    }

    /// The same for a table that takes the place of `previous`: the good answers that are followed there are what followers here begin with,
    /// until they have their own.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn replacing(previous: &Self, config: &Dns, runtime: Handle) -> Result<Arc<Self>, Error> {
        Self::with_system(config, runtime, System::read(), previous.register.answers())
    }

    fn with_system(
        config: &Dns,
        runtime: Handle,
        system: System,
        seeds: HashMap<Question, Arc<Answer>>,
    ) -> Result<Arc<Self>, Error> {
        let resolver = Arc::new(Resolver::new(config, system)?);
        Ok(Arc::new(Self { resolver, register: Arc::default(), seeds, runtime }))
    }

    /// The table these look-ups are for.
    pub fn config(&self) -> &Dns {
        self.resolver.config()
    }

    /// Looks a name up now, once. The answer is never [`State::Pending`] or [`State::Stale`].
    ///
    /// Ends within eight times the table's `time` (at least 5 s, at most 60 s), once it is its turn: 256 look-ups run
    /// at a time. Cancel safe: dropping it closes its sockets.
    pub async fn look_up(&self, question: &Question) -> Answer {
        self.resolver.look_up(question).await
    }

    /// Follows a name: looks it up at once, and again whenever its answer runs out. Who follows the same question
    /// shares one task, which ends when the last [`Followed`] of it is dropped; it does not need this `Names` any more.
    pub fn follow(&self, question: Question) -> Followed {
        Followed::start(question, &self.resolver, &self.register, &self.seeds, &self.runtime)
    }

    /// What those who follow this name at present have, stale or not; whatever they allow. `None` when nobody does.
    pub fn followed(&self, name: &str, kind: Kind) -> Option<Arc<Answer>> {
        let question = |allow_local| Question { name: name.to_owned(), kind, allow_local };
        [false, true].into_iter().find_map(|allow_local| self.register.current(&question(allow_local)))
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").field("config", self.config()).finish_non_exhaustive()
    }
}
