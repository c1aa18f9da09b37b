//! Judging requests here, as they would be judged in front of a backend that says 200.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{SystemTime, UNIX_EPOCH},
};

use waf_engine::{
    model::Mode,
    transaction::{Engine, Intervention, Start, Transaction},
    trial::{self, Memory, Request, Response},
    world::Ends,
};

/// A world for one trial: this machine's clock, and no memory of anything before.
pub(crate) fn world() -> Memory {
    Memory::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// How a request is judged.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner<'a> {
    /// Instead of what the rules say.
    pub(crate) mode: Option<Mode>,
    /// Whose exceptions hold; empty: nobody's.
    pub(crate) route: &'a str,
    /// Keeps every value that a rule was asked about.
    pub(crate) watch: bool,
    /// Keeps what every rule cost.
    pub(crate) measure: bool,
}

/// A transaction that is ready for its first request.
pub(crate) fn begin(engine: &Engine, client: Option<IpAddr>, manner: Manner<'_>) -> Transaction {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let ends = Ends { client: client.unwrap_or(loopback), client_port: 40_000, server: loopback, server_port: 443 };
    let start = Start { ends, id: "trial", mode: manner.mode, route: manner.route };
    let mut transaction = Transaction::begin(engine, &start);
    if manner.watch {
        transaction.watch();
    }
    if manner.measure {
        transaction.measure();
    }
    transaction
}

/// Judges one request.
pub(crate) fn judge(
    engine: &Engine,
    request: &Request,
    client: Option<IpAddr>,
    manner: Manner<'_>,
) -> (Transaction, Option<Intervention>) {
    let mut transaction = begin(engine, client, manner);
    let refusal = trial::judge(engine, &world(), &mut transaction, request, &|_| Response::empty());
    (transaction, refusal)
}
