//! One request with its response, judged in five phases.

use std::sync::Arc;

use crate::{
    model::{Phase, RuleSet, Settings},
    world::{Ends, World},
};

/// Rules, ready to judge. Immutable: any number of transactions use it at once.
#[derive(Debug)]
pub struct Engine {
    rules: RuleSet,
}

impl Engine {
    /// Compiles the plan.
    pub fn new(rules: RuleSet) -> Self {
        Self { rules }
    }

    /// What directives set.
    pub fn settings(&self) -> &Settings {
        &self.rules.settings
    }
}

/// A request's head. Names in any case, repeated ones repeated.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// As sent.
    pub method: &'a [u8],
    /// As sent: a path and query, an absolute URI, `*`.
    pub target: &'a [u8],
    /// `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// In order.
    pub fields: &'a [(&'a [u8], &'a [u8])],
}

/// A response's head.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// 200 to 599.
    pub status: u16,
    /// `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// In order.
    pub fields: &'a [(&'a [u8], &'a [u8])],
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// That was all.
    Complete,
    /// There is more, which nobody will see: the limit was reached.
    Limit,
}

/// What is to become of the transaction after a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Pass,
    /// Do this instead.
    Intervene(Intervention),
}

/// What a disruptive action asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intervention {
    /// The rule that asked.
    pub rule: u64,
    /// What to answer with; with `redirect` a 3xx.
    pub status: u16,
    /// Where to send the client.
    pub redirect: Option<Vec<u8>>,
    /// Close the connection without an answer.
    pub drop: bool,
    /// The rule's `msg`, expanded.
    pub message: String,
}

/// A rule that matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Of the chain's head.
    pub rule: u64,
    /// In which phase.
    pub phase: Phase,
    /// The file of the chain's head.
    pub file: Arc<str>,
    /// The line of the chain's head.
    pub line: u32,
    /// `msg`, expanded.
    pub message: Vec<u8>,
    /// `logdata`, expanded.
    pub data: Vec<u8>,
    /// `severity`.
    pub severity: Option<u8>,
    /// `tag`s, expanded.
    pub tags: Vec<Vec<u8>>,
    /// The variable that matched last, as `ARGS:id`.
    pub variable: Vec<u8>,
    /// Its value after transformations, at most 4 KiB of it.
    pub value: Vec<u8>,
    /// `log`: for the error log and the list of matches.
    pub log: bool,
    /// `auditlog`.
    pub audit_log: bool,
    /// Asked for a disruptive action (done or, when only detecting, not done).
    pub disruptive: bool,
    /// What it added to variables of `TX` whose name ends in `_score` or begins with `anomaly_score`, summed: its weight.
    pub score: i64,
}

/// What is the same for the whole of a transaction.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    /// Addresses and ports.
    pub ends: Ends,
    /// `UNIQUE_ID`.
    pub id: &'a str,
    /// The mode, where it is not that of the rules.
    pub mode: Option<crate::model::Mode>,
    /// Which set of exceptions holds, as [`Engine::exceptions`] was told them.
    pub exceptions: Option<usize>,
}

/// One request with its response.
#[derive(Debug)]
pub struct Transaction {
    matches: Vec<Match>,
}

impl Transaction {
    /// Begins; nothing is judged yet.
    pub fn begin(_engine: &Engine, _start: &Start<'_>) -> Self {
        Self { matches: Vec::new() }
    }

    /// Phase 1.
    pub fn request_head(&mut self, _engine: &Engine, _world: &dyn World, _head: &RequestHead<'_>) -> Decision {
        Decision::Pass
    }

    /// Whether phase 2 wants to see a body: what `SecRequestBodyAccess` and `ctl` say, after phase 1.
    pub fn wants_request_body(&self, _engine: &Engine) -> bool {
        false
    }

    /// Phase 2, with the whole body (empty where there is none or it is not wanted). Comes for every request.
    pub fn request_body(&mut self, _engine: &Engine, _world: &dyn World, _body: &[u8], _end: BodyEnd) -> Decision {
        Decision::Pass
    }

    /// Phase 3.
    pub fn response_head(&mut self, _engine: &Engine, _world: &dyn World, _head: &ResponseHead<'_>) -> Decision {
        Decision::Pass
    }

    /// Whether phase 4 wants to see this response's body: access, MIME type, `ctl`. Never an event stream.
    pub fn wants_response_body(&self, _engine: &Engine) -> bool {
        false
    }

    /// Phase 4, with the whole body (empty where there is none or it is not wanted).
    pub fn response_body(&mut self, _engine: &Engine, _world: &dyn World, _body: &[u8], _end: BodyEnd) -> Decision {
        Decision::Pass
    }

    /// Phase 5, at the end of every transaction, with the status that the client got.
    pub fn logging(&mut self, _engine: &Engine, _world: &dyn World, _status: u16) {}

    /// The rules that matched so far, in order, `nolog` ones too.
    pub fn matches(&self) -> &[Match] {
        &self.matches
    }

    /// The line for the audit log, without its newline; `None` where none is due. After [`logging`](Self::logging).
    pub fn audit(&self, _engine: &Engine) -> Option<Vec<u8>> {
        None
    }
}
