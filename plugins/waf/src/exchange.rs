//! One exchange, from its head to its audit line.

use std::cell::RefCell;

use portcullis_sdk::{
    BodyEnd, Field, HttpVersion, RequestHead, ResponseHead, Summary, Verdict, bodies, connection, journal, metrics,
    notes, random,
};
use waf_engine::{
    model::{Mode, Phase},
    transaction::{self, Decision, Start, Transaction},
    world::Ends,
};

use crate::{
    Waf,
    config::{ALL, Judging},
    note,
    refusal::Reader,
    world::Surroundings,
};

thread_local! {
    /// Of exchanges that have ended: their memory is used again.
    static SPARE: RefCell<Option<Box<Transaction>>> = const { RefCell::new(None) };
}

/// The state of one exchange.
#[derive(Default)]
pub struct Exchange {
    /// `None`: it is not judged.
    judged: Option<Judged>,
}

struct Judged {
    transaction: Box<Transaction>,
    id: String,
    protocol: &'static str,
    wants_json: bool,
    detects: bool,
    /// Phase 2 has been.
    has_seen_request: bool,
    is_blocked: bool,
    /// Matches that the record says already.
    noted: usize,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(judged) = self.judged.take() {
            SPARE.with_borrow_mut(|spare| *spare = Some(judged.transaction));
        }
    }
}

impl Exchange {
    /// Phases 1 and, without a body to wait for, 2.
    pub fn request_head(&mut self, waf: &Waf, head: &RequestHead) -> Verdict {
        let facts = connection::get();
        let judging = waf.judging(&facts.route);
        if !is_judged(judging, waf) {
            bodies::skip_request();
            bodies::skip_response();
            return Verdict::Continue;
        }
        let server = connection::server();
        let start = Start {
            ends: Ends {
                client: facts.client_address(),
                client_port: facts.client_port,
                server: server.ip(),
                server_port: server.port,
            },
            id: &facts.request_id,
            mode: judging.mode,
            route: &facts.route,
        };
        let engine = &waf.loaded.engine;
        let transaction = match SPARE.with_borrow_mut(Option::take) {
            Some(mut transaction) => {
                transaction.restart(engine, &start);
                transaction
            }
            None => Box::new(Transaction::begin(engine, &start)),
        };
        metrics::count("judged", 1);
        let judged = self.judged.insert(Judged {
            transaction,
            protocol: protocol(head.version),
            wants_json: wants_json(head),
            detects: judging.mode.unwrap_or(engine.settings().mode) == Mode::DetectionOnly,
            has_seen_request: false,
            is_blocked: false,
            noted: 0,
            id: facts.request_id,
        });
        judged.request_head(waf, head)
    }

    /// Phase 2.
    pub fn request_body(&mut self, waf: &Waf, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
        match &mut self.judged {
            Some(judged) if !judged.has_seen_request => judged.request_body(waf, data, ended(end)),
            _ => Verdict::Continue,
        }
    }

    /// Phases 3 and, without a body to wait for, 4.
    pub fn response_head(&mut self, waf: &Waf, head: &ResponseHead) -> Verdict {
        match &mut self.judged {
            // What takes the place of a refused response is ours, and what was refused is not judged again.
            Some(judged) if !judged.is_blocked => judged.response_head(waf, head),
            _ => {
                bodies::skip_response();
                Verdict::Continue
            }
        }
    }

    /// Phase 4.
    pub fn response_body(&mut self, waf: &Waf, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
        match &mut self.judged {
            Some(judged) if !judged.is_blocked => judged.response_body(waf, data, ended(end)),
            _ => Verdict::Continue,
        }
    }

    /// Phase 5, and the line for the audit log.
    pub fn log(&mut self, waf: &Waf, summary: &Summary) {
        if let Some(judged) = &mut self.judged {
            judged.transaction.logging(&waf.loaded.engine, &Surroundings::default(), summary.status);
            if let Some(line) = judged.transaction.audit(&waf.loaded.engine) {
                journal::append(&line);
            }
        }
    }
}

impl Judged {
    fn request_head(&mut self, waf: &Waf, head: &RequestHead) -> Verdict {
        let engine = &waf.loaded.engine;
        let absolute = connection::absolute_target();
        let mut fields = borrowed(&head.fields);
        // HTTP/2 has it beside the fields; rules look for it among them.
        if !head.has("host") && !head.authority.is_empty() {
            fields.insert(0, (b"host", head.authority.as_bytes()));
        }
        let shown = transaction::RequestHead {
            method: head.method.as_bytes(),
            target: absolute.as_deref().unwrap_or(&head.target).as_bytes(),
            protocol: self.protocol.as_bytes(),
            fields: &fields,
        };
        let decision = self.transaction.request_head(engine, &Surroundings::default(), &shown);
        if let Some(verdict) = self.refused(waf, decision) {
            return verdict;
        }
        if waf.loaded.request_body && may_have_body(head) && self.transaction.wants_request_body(engine) {
            self.note();
            return Verdict::Continue;
        }
        bodies::skip_request();
        self.request_body(waf, &[], transaction::BodyEnd::Complete)
    }

    fn request_body(&mut self, waf: &Waf, data: &[u8], end: transaction::BodyEnd) -> Verdict {
        self.has_seen_request = true;
        let decision = self.transaction.request_body(&waf.loaded.engine, &Surroundings::default(), data, end);
        self.decided(waf, decision)
    }

    fn response_head(&mut self, waf: &Waf, head: &ResponseHead) -> Verdict {
        let engine = &waf.loaded.engine;
        let fields = borrowed(&head.fields);
        let shown =
            transaction::ResponseHead { status: head.status, protocol: self.protocol.as_bytes(), fields: &fields };
        let decision = self.transaction.response_head(engine, &Surroundings::default(), &shown);
        if let Some(verdict) = self.refused(waf, decision) {
            return verdict;
        }
        if waf.loaded.response_body && self.transaction.wants_response_body(engine) {
            self.note();
            return Verdict::Continue;
        }
        bodies::skip_response();
        self.response_body(waf, &[], transaction::BodyEnd::Complete)
    }

    fn response_body(&mut self, waf: &Waf, data: &[u8], end: transaction::BodyEnd) -> Verdict {
        if !waf.loaded.has(Phase::ResponseBody) {
            self.note();
            return Verdict::Continue;
        }
        let decision = self.transaction.response_body(&waf.loaded.engine, &Surroundings::default(), data, end);
        self.decided(waf, decision)
    }

    fn decided(&mut self, waf: &Waf, decision: Decision) -> Verdict {
        self.refused(waf, decision).unwrap_or_else(|| {
            self.note();
            Verdict::Continue
        })
    }

    /// The verdict, where the rules do not let it pass.
    fn refused(&mut self, waf: &Waf, decision: Decision) -> Option<Verdict> {
        let Decision::Intervene(intervention) = decision else { return None };
        self.is_blocked = true;
        metrics::count("blocked", 1);
        self.note();
        Some(waf.page.verdict(&intervention, Reader { id: &self.id, wants_json: self.wants_json }))
    }

    /// Tells the record what is new.
    fn note(&mut self) {
        let matches = self.transaction.matches();
        if matches.len() == self.noted && !self.is_blocked {
            return;
        }
        let new = matches[self.noted..].iter().filter(|one| one.log).count();
        self.noted = matches.len();
        if new > 0 {
            metrics::count("rules_matched", new as u64);
        } else if !self.is_blocked {
            return;
        }
        let decision = match (self.is_blocked, self.detects && matches.iter().any(|one| one.disruptive)) {
            (true, _) => note::Decision::Blocked,
            (false, true) => note::Decision::Detected,
            (false, false) => note::Decision::Passed,
        };
        if let Some(note) = note::of(matches, decision) {
            notes::put(&note);
        }
    }
}

/// Whether a request of this route is looked at.
fn is_judged(judging: Judging, waf: &Waf) -> bool {
    if judging.mode.unwrap_or(waf.loaded.engine.settings().mode) == Mode::Off {
        return false;
    }
    judging.sample == ALL || random::number() % u64::from(ALL) < u64::from(judging.sample)
}

fn borrowed(fields: &[Field]) -> Vec<(&[u8], &[u8])> {
    // One more, for the host.
    let mut borrowed = Vec::with_capacity(fields.len() + 1);
    borrowed.extend(fields.iter().map(|field| (field.name.as_bytes(), &*field.value)));
    borrowed
}

/// As the names of HTTP's versions are in rules.
fn protocol(version: HttpVersion) -> &'static str {
    match version {
        HttpVersion::Http10 => "HTTP/1.0",
        HttpVersion::Http11 => "HTTP/1.1",
        HttpVersion::Http2 => "HTTP/2.0",
        HttpVersion::Http3 => "HTTP/3.0",
    }
}

/// Whether a body may come (RFC 9112 section 6.3: in HTTP/1 the head says so; in HTTP/2 only its end does).
fn may_have_body(head: &RequestHead) -> bool {
    match head.version {
        HttpVersion::Http10 | HttpVersion::Http11 => {
            head.has("transfer-encoding") || head.get("content-length").is_some_and(|length| length != b"0")
        }
        HttpVersion::Http2 | HttpVersion::Http3 => head.get("content-length") != Some(b"0"),
    }
}

/// Whether whoever asks reads JSON and no pages.
fn wants_json(head: &RequestHead) -> bool {
    let asks = |what: &str| {
        head.all("accept").any(|accept| String::from_utf8_lossy(accept).to_ascii_lowercase().contains(what))
    };
    asks("json") && !asks("text/html")
}

fn ended(end: Option<&BodyEnd>) -> transaction::BodyEnd {
    match end {
        Some(BodyEnd::Limit) => transaction::BodyEnd::Limit,
        // Of one that was cut off nobody is left to be answered; what came of it is judged for the log.
        Some(BodyEnd::Complete(_) | BodyEnd::Cut) | None => transaction::BodyEnd::Complete,
    }
}
