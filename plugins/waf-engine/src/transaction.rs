//! One request with its response, judged in five phases.

use std::sync::Arc;

use crate::{
    body::Parsed,
    model::{
        self, AllowScope, AuditEngine, AuditParts, BodyProcessor, LimitAction, Mode, Phase, RuleSet, Settings,
        Variable, XPath,
    },
    operator::Found,
    plan::{Plan, bits::Bits},
    world::{Ends, World},
};

mod act;
mod arena;
mod audit;
mod candidates;
mod clock;
mod evaluate;
mod fill;
mod persistent;
mod store;
mod variables;

use arena::{Arena, NodeId, Span};
use fill::{Entry, LISTS};
use persistent::Opened;
use store::Store;
use variables::Item;

/// Rules, ready to judge. Immutable: any number of transactions use it at once.
#[derive(Debug)]
pub struct Engine {
    rules: RuleSet,
    plan: Plan,
    /// [`ROUTE`] among the names of `TX`.
    route: u32,
    /// Without any shortcut.
    plain: bool,
}

/// The variable of `TX` that holds [`Start::route`]: the rules that are made of a route's exceptions ask for it.
pub const ROUTE: &str = "portcullis_route";

impl Engine {
    /// Compiles the plan.
    pub fn new(rules: RuleSet) -> Self {
        let mut plan = Plan::new(&rules);
        let route = plan.names.slot(ROUTE);
        Self { rules, plan, route, plain: false }
    }

    /// As [`new`](Self::new), but every rule is visited, every transformation made anew and every operator asked: slow, and the
    /// measure of what is quick.
    pub fn plain(rules: RuleSet) -> Self {
        Self { plain: true, ..Self::new(rules) }
    }

    /// What directives set.
    pub fn settings(&self) -> &Settings {
        &self.rules.settings
    }

    /// A rule by its number in the plan.
    fn rule(&self, index: usize) -> &model::Rule {
        match &self.rules.entries[self.plan.rules[index].entry] {
            model::Entry::Rule(rule) => rule,
            model::Entry::Marker(_) => unreachable!("the plan numbers rules only"),
        }
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

/// A rule that matched. Of one that is not to be logged, message, data, tags, variable and value are left out, unless the transaction
/// is [watched](Transaction::watch).
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
    /// What it added to variables of `TX` whose name contains `anomaly_score` (or, where there is none, ends in `_score`): its weight.
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
    /// The route, whose exceptions hold; empty where there is none.
    pub route: &'a str,
}

/// A question that was asked of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Of the chain's head.
    pub rule: u64,
    /// Which link of the chain, from 0.
    pub link: usize,
    /// What was looked at, as `MATCHED_VAR_NAME` shows it.
    pub variable: Vec<u8>,
    /// After transformations, at most 4 KiB of it.
    pub value: Vec<u8>,
    /// Whether the link matched, negation counted in.
    pub matched: bool,
}

/// What a rule has cost since [`Transaction::measure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// The rule's id; 0 stands for finding out which rules to visit.
    pub rule: u64,
    /// How often it was evaluated.
    pub visits: u64,
    /// How often it matched.
    pub matches: u64,
    /// By the clock of [`World::now`].
    pub nanoseconds: u64,
}

/// What the audit log must not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mask {
    Argument(Vec<u8>),
    RequestHeader(Vec<u8>),
    ResponseHeader(Vec<u8>),
    /// The request's body, all of it.
    Body,
}

/// What everything in an evaluation may ask.
#[derive(Clone, Copy)]
struct Cx<'a> {
    engine: &'a Engine,
    world: &'a dyn World,
}

/// One request with its response.
#[derive(Debug)]
pub struct Transaction {
    /// How many there are in the engine's plan.
    rules: usize,
    ends: Ends,
    id: String,
    /// When phase 1 began.
    began: u64,
    mode: Mode,
    phase: Phase,
    matches: Vec<Match>,
    intervention: Option<Intervention>,
    allowed: Option<AllowScope>,
    looks: Option<Vec<Look>>,
    costs: Option<Vec<Cost>>,

    arena: Arena,
    singles: Box<[NodeId]>,
    lists: [Vec<Entry>; LISTS],
    /// Values that a path picked of the XML body.
    xml: Vec<(XPath, Vec<NodeId>)>,
    has_xml: bool,
    parsed: Parsed,
    body: Span,
    content_type: Span,
    processor: Option<BodyProcessor>,
    arguments_dropped: bool,
    request_complete: bool,

    tx: Store,
    env: Store,
    opened: Vec<Opened>,
    highest_severity: Option<u8>,
    limits_exceeded: bool,

    /// The rule at hand.
    rule: Option<usize>,
    /// `MATCHED_VARS`: what they are of, and values after transformations.
    matched: Vec<(Item, Span)>,
    /// `MATCHED_VAR`, while it is in the arena,
    matched_last: Option<(Item, Span)>,
    /// and afterwards, with its name or, where it was of `TX`, the number of the name.
    matched_kept: Vec<u8>,
    matched_kept_name: Vec<u8>,
    matched_kept_slot: Option<u32>,
    /// What the rule at hand added to scores.
    score: i64,
    anomaly_score: i64,
    /// The rule at hand made values that nobody else needs.
    has_transient: bool,
    /// The rule at hand made values that others need.
    has_pinned: bool,
    items: Vec<Item>,
    found: Found,
    /// Rules to visit in this phase.
    visit: Bits,
    lower: Vec<u8>,
    text: Vec<u8>,
    value: Vec<u8>,

    /// Rules that `ctl` has removed.
    removed: Bits,
    /// Rules from which `ctl` has removed targets,
    excluding: Bits,
    /// by these exclusions of the plan.
    exclusions: Vec<usize>,
    masks: Vec<(Mask, (u32, u32))>,
    audit_engine: AuditEngine,
    audit_parts: AuditParts,
    request_body_access: Option<bool>,
    force_request_body: bool,
    request_body_limit: Option<u64>,
    response_body_access: Option<bool>,
    response_body_limit: Option<u64>,
}

impl Transaction {
    /// Begins; nothing is judged yet.
    pub fn begin(engine: &Engine, start: &Start<'_>) -> Self {
        let rules = engine.plan.rules.len();
        let settings = engine.settings();
        let mut transaction = Self {
            rules,
            ends: start.ends.clone(),
            id: start.id.to_owned(),
            began: 0,
            mode: start.mode.unwrap_or(settings.mode),
            phase: Phase::RequestHead,
            matches: Vec::new(),
            intervention: None,
            allowed: None,
            looks: None,
            costs: None,
            arena: Arena::default(),
            singles: vec![NodeId::NONE; Variable::ALL.len()].into(),
            lists: Default::default(),
            xml: Vec::new(),
            has_xml: false,
            parsed: Parsed::default(),
            body: Span::default(),
            content_type: Span::default(),
            processor: None,
            arguments_dropped: false,
            request_complete: false,
            tx: Store::default(),
            env: Store::default(),
            opened: Vec::new(),
            highest_severity: None,
            limits_exceeded: false,
            rule: None,
            matched: Vec::new(),
            matched_last: None,
            matched_kept: Vec::new(),
            matched_kept_name: Vec::new(),
            matched_kept_slot: None,
            score: 0,
            anomaly_score: 0,
            has_transient: false,
            has_pinned: false,
            items: Vec::new(),
            found: Found::default(),
            visit: Bits::none(rules),
            lower: Vec::new(),
            text: Vec::new(),
            value: Vec::new(),
            removed: Bits::none(rules),
            excluding: Bits::none(rules),
            exclusions: Vec::new(),
            masks: Vec::new(),
            audit_engine: settings.audit_engine,
            audit_parts: settings.audit_parts,
            request_body_access: None,
            force_request_body: false,
            request_body_limit: None,
            response_body_access: None,
            response_body_limit: None,
        };
        transaction.open(engine, start);
        transaction
    }

    /// Begins another one in place of this one, whose memory is used again. It is not watched.
    pub fn restart(&mut self, engine: &Engine, start: &Start<'_>) {
        if self.rules != engine.plan.rules.len() {
            // Of another engine: what is as large as its rules does not fit.
            *self = Self::begin(engine, start);
            return;
        }
        let settings = engine.settings();
        self.ends = start.ends.clone();
        start.id.clone_into(&mut self.id);
        self.began = 0;
        self.mode = start.mode.unwrap_or(settings.mode);
        self.phase = Phase::RequestHead;
        self.matches.clear();
        self.intervention = None;
        self.allowed = None;
        self.looks = None;
        self.arena.clear();
        self.singles.fill(NodeId::NONE);
        self.lists.iter_mut().for_each(Vec::clear);
        self.xml.clear();
        self.has_xml = false;
        self.parsed.clear();
        self.body = Span::default();
        self.content_type = Span::default();
        self.processor = None;
        self.arguments_dropped = false;
        self.request_complete = false;
        self.opened.clear();
        self.highest_severity = None;
        self.limits_exceeded = false;
        self.rule = None;
        self.matched.clear();
        self.matched_last = None;
        self.matched_kept.clear();
        self.matched_kept_name.clear();
        self.matched_kept_slot = None;
        self.removed.clear();
        self.excluding.clear();
        self.exclusions.clear();
        self.masks.clear();
        self.audit_engine = settings.audit_engine;
        self.audit_parts = settings.audit_parts;
        self.request_body_access = None;
        self.force_request_body = false;
        self.request_body_limit = None;
        self.response_body_access = None;
        self.response_body_limit = None;
        self.open(engine, start);
    }

    fn open(&mut self, engine: &Engine, start: &Start<'_>) {
        self.tx.clear(engine.plan.names.len());
        self.env.clear(0);
        if !start.route.is_empty() {
            self.tx.set_slot(engine.route, start.route.as_bytes());
        }
    }

    /// Remembers every question that is asked from now on, for [`looks`](Self::looks), and tells all about every match.
    pub fn watch(&mut self) {
        self.looks.get_or_insert_default();
    }

    /// The questions since [`watch`](Self::watch), in order; at most 200,000 of them.
    pub fn looks(&self) -> &[Look] {
        self.looks.as_deref().unwrap_or_default()
    }

    /// Measures from now on what each rule costs, by [`World::now`]. Goes on after [`restart`](Self::restart), and adds up.
    pub fn measure(&mut self) {
        self.costs.get_or_insert_default();
    }

    /// What rules have cost since [`measure`](Self::measure), in the order of the files; those never visited cost nothing.
    pub fn costs(&self) -> &[Cost] {
        self.costs.as_deref().unwrap_or_default()
    }

    /// Phase 1.
    pub fn request_head(&mut self, engine: &Engine, world: &dyn World, head: &RequestHead<'_>) -> Decision {
        if self.mode == Mode::Off {
            return Decision::Pass;
        }
        let cx = Cx { engine, world };
        self.began = world.now();
        self.fill_request_head(&cx, head);
        self.run(&cx, Phase::RequestHead)
    }

    /// Whether phase 2 wants to see a body: what `SecRequestBodyAccess` and `ctl` say, after phase 1.
    pub fn wants_request_body(&self, engine: &Engine) -> bool {
        self.mode != Mode::Off
            && self.intervention.is_none()
            && self.request_body_access.unwrap_or(engine.settings().request_body_access)
    }

    fn request_body_access(&self, cx: &Cx<'_>) -> bool {
        self.wants_request_body(cx.engine)
    }

    /// Phase 2, with the whole body (empty where there is none or it is not wanted). Comes for every request.
    pub fn request_body(&mut self, engine: &Engine, world: &dyn World, body: &[u8], end: BodyEnd) -> Decision {
        if self.mode == Mode::Off || self.intervention.is_some() {
            return Decision::Pass;
        }
        let cx = Cx { engine, world };
        let settings = engine.settings();
        let limit = self.request_body_limit.unwrap_or(settings.request_body_limit);
        let action = settings.request_body_limit_action;
        let (body, over) = within(body, end, limit, action);
        self.fill_request_body(&cx, body, over);
        self.request_complete = true;
        let reject = match action {
            Some(action) => over && action == LimitAction::Reject,
            None => end == BodyEnd::Limit,
        };
        if reject
            && self.request_body_access(&cx)
            && let Some(refused) = self.refuse_length("Request body is larger than SecRequestBodyLimit")
        {
            return refused;
        }
        self.run(&cx, Phase::RequestBody)
    }

    /// Phase 3.
    pub fn response_head(&mut self, engine: &Engine, world: &dyn World, head: &ResponseHead<'_>) -> Decision {
        if self.mode == Mode::Off || self.intervention.is_some() {
            return Decision::Pass;
        }
        self.request_complete = true;
        let cx = Cx { engine, world };
        self.fill_response_head(&cx, head);
        self.run(&cx, Phase::ResponseHead)
    }

    /// Whether phase 4 wants to see this response's body: access, MIME type, `ctl`. Never an event stream.
    pub fn wants_response_body(&self, engine: &Engine) -> bool {
        let settings = engine.settings();
        if self.mode == Mode::Off
            || self.intervention.is_some()
            || !self.response_body_access.unwrap_or(settings.response_body_access)
        {
            return false;
        }
        let node = self.singles[Variable::ResponseContentType as usize];
        let mime: &[u8] = if node.is_none() { b"" } else { self.arena.get(node) };
        !mime.eq_ignore_ascii_case(b"text/event-stream")
            && settings.response_body_mime_types.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(mime))
    }

    /// Phase 4, with the whole body (empty where there is none or it is not wanted).
    pub fn response_body(&mut self, engine: &Engine, world: &dyn World, body: &[u8], end: BodyEnd) -> Decision {
        if self.mode == Mode::Off || self.intervention.is_some() {
            return Decision::Pass;
        }
        let cx = Cx { engine, world };
        if self.wants_response_body(engine) {
            let settings = engine.settings();
            let limit = self.response_body_limit.unwrap_or(settings.response_body_limit);
            let action = settings.response_body_limit_action;
            let (body, over) = within(body, end, limit, action);
            self.fill_response_body(body, over);
            if over
                && action == Some(LimitAction::Reject)
                && let Some(refused) = self.refuse_length("Response body is larger than SecResponseBodyLimit")
            {
                return refused;
            }
        }
        self.run(&cx, Phase::ResponseBody)
    }

    /// What a body over a limit that rejects comes to: 403, as in the reference; nothing where only detecting.
    fn refuse_length(&mut self, message: &str) -> Option<Decision> {
        if self.mode != Mode::On {
            return None;
        }
        let intervention =
            Intervention { rule: 0, status: 403, redirect: None, drop: false, message: message.to_owned() };
        self.intervention = Some(intervention.clone());
        Some(Decision::Intervene(intervention))
    }

    /// Phase 5, at the end of every transaction, with the status that the client got.
    pub fn logging(&mut self, engine: &Engine, world: &dyn World, status: u16) {
        if self.mode == Mode::Off {
            return;
        }
        self.request_complete = true;
        let text = status.to_string();
        self.set_text(Variable::Status, text.as_bytes());
        if self.singles[Variable::ResponseStatus as usize].is_none() {
            self.set_text(Variable::ResponseStatus, text.as_bytes());
        }
        self.run(&Cx { engine, world }, Phase::Logging);
    }

    /// The variables of `TX` as they are now, with their values.
    pub fn variables<'a>(&'a self, engine: &'a Engine) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.tx.iter(Some(&engine.plan.names))
    }

    /// The rules that matched so far, in order, `nolog` ones too.
    pub fn matches(&self) -> &[Match] {
        &self.matches
    }
}

/// As much of a body as is looked at, and whether there is more than the limit.
fn within(body: &[u8], end: BodyEnd, limit: u64, action: Option<LimitAction>) -> (&[u8], bool) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let over = end == BodyEnd::Limit || body.len() > limit;
    (if action.is_some() { &body[..body.len().min(limit)] } else { body }, over)
}
