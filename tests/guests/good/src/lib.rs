//! A guest that behaves. `{"do": ...}` says which plugin it is; it imports nothing.

use std::{
    cell::{Cell, RefCell},
    hint::black_box,
    sync::OnceLock,
};

use exports::portcullis::filter::filter::{
    AtLimit, BodyMode, Declaration, Guest, GuestExchange, Hold, Phases, RequestHead, ResponseHead, Summary,
};
use portcullis::filter::types::{BodyEnd, Edits, Field, FieldEdit, Response, Verdict};
use serde::Deserialize;

wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
enum Config {
    /// Wants both heads and the log, and does nothing.
    Noop,
    /// Wants both heads, and does nothing.
    Heads,
    /// Reads `user-agent`, `accept` and `x-forwarded-for` of each request, and sets `x-seen` (their lengths' sum) and `x-reader`.
    ReaderWriter,
    /// Appends `x-chain: NAME` to both heads.
    Tag { name: String },
    /// Looks at every byte of both bodies, and passes them.
    Looker,
    /// Letters of both bodies become upper case, piece by piece.
    Upper,
    /// Holds both bodies, and says in `x-held` how many bytes it saw and in `x-end` how they ended. With `head` it wants the request's head
    /// too, so that an instance waits with the exchange.
    Holder {
        limit: u64,
        #[serde(default)]
        head: bool,
        #[serde(default)]
        at_limit: Limit,
    },
    /// Holds both bodies and puts `body` in their place.
    Replace { limit: u64, body: String },
    /// Answers requests itself, in the phase that is named.
    Respond {
        #[serde(default)]
        phase: Phase,
        status: u16,
        #[serde(default)]
        body: String,
    },
    /// Closes in the phase that is named.
    Close {
        #[serde(default)]
        phase: Phase,
    },
    /// Counts the exchanges of its instance in global state, and says the number in `x-uses` of the request.
    Uses,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Limit {
    #[default]
    Refuse,
    Inspect,
}

#[derive(Deserialize, Default, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Phase {
    #[default]
    RequestHead,
    RequestBody,
    ResponseHead,
    ResponseBody,
}

static CONFIG: OnceLock<Config> = OnceLock::new();

thread_local! {
    /// Of this instance: a guest has one thread.
    static USES: Cell<u64> = const { Cell::new(0) };
}

fn config() -> &'static Config {
    CONFIG.get().expect("configured before anything else")
}

struct Good;

#[derive(Default)]
struct Exchange {
    sum: Cell<u64>,
    held: RefCell<Vec<u8>>,
}

impl Guest for Good {
    type Exchange = Exchange;

    fn configure(config: String) -> Result<Declaration, String> {
        let config: Config = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        let none = Declaration { phases: Phases::empty(), request_body: BodyMode::None, response_body: BodyMode::None };
        let heads = Phases::REQUEST_HEAD | Phases::RESPONSE_HEAD;
        let both = |mode| Declaration { request_body: mode, response_body: mode, ..none };
        let hold = |limit, at_limit| both(BodyMode::Hold(Hold { limit, at_limit }));
        let declaration = match &config {
            Config::Noop => Declaration { phases: heads | Phases::LOG, ..none },
            Config::Heads | Config::Tag { .. } => Declaration { phases: heads, ..none },
            Config::ReaderWriter | Config::Uses => Declaration { phases: Phases::REQUEST_HEAD, ..none },
            Config::Looker | Config::Upper => both(BodyMode::Stream),
            Config::Holder { limit, at_limit, head } => {
                let at_limit = match at_limit {
                    Limit::Refuse => AtLimit::Refuse,
                    Limit::Inspect => AtLimit::Inspect,
                };
                let phases = if *head { Phases::REQUEST_HEAD } else { Phases::empty() };
                Declaration { phases, ..hold(*limit, at_limit) }
            }
            Config::Replace { limit, .. } => hold(*limit, AtLimit::Refuse),
            Config::Respond { phase, .. } | Config::Close { phase } => match phase {
                Phase::RequestHead => Declaration { phases: Phases::REQUEST_HEAD, ..none },
                Phase::ResponseHead => Declaration { phases: Phases::RESPONSE_HEAD, ..none },
                Phase::RequestBody => Declaration { request_body: BodyMode::Stream, ..none },
                Phase::ResponseBody => Declaration { response_body: BodyMode::Stream, ..none },
            },
        };
        if CONFIG.set(config).is_err() {
            return Err("configured twice".into());
        }
        Ok(declaration)
    }
}

impl GuestExchange for Exchange {
    fn new() -> Self {
        Self::default()
    }

    fn request_head(&self, head: RequestHead) -> Verdict {
        match config() {
            Config::ReaderWriter => {
                let length = |name: &str| head.fields.iter().find(|f| f.name == name).map_or(0, |f| f.value.len());
                let seen = length("user-agent") + length("accept") + length("x-forwarded-for");
                edit(vec![set("x-seen", &seen.to_string()), set("x-reader", "portcullis")])
            }
            Config::Tag { name } => edit(vec![FieldEdit::Append(field("x-chain", name))]),
            Config::Uses => {
                let uses = USES.get() + 1;
                USES.set(uses);
                edit(vec![set("x-uses", &uses.to_string())])
            }
            _ => decided(Phase::RequestHead),
        }
    }

    fn request_body(&self, data: Vec<u8>, end: Option<BodyEnd>) -> Verdict {
        self.body(Phase::RequestBody, data, end)
    }

    fn response_head(&self, _: ResponseHead) -> Verdict {
        match config() {
            Config::Tag { name } => edit(vec![FieldEdit::Append(field("x-chain", name))]),
            _ => decided(Phase::ResponseHead),
        }
    }

    fn response_body(&self, data: Vec<u8>, end: Option<BodyEnd>) -> Verdict {
        self.body(Phase::ResponseBody, data, end)
    }

    fn log(&self, summary: Summary) {
        black_box(summary.status);
    }
}

impl Exchange {
    fn body(&self, phase: Phase, mut data: Vec<u8>, end: Option<BodyEnd>) -> Verdict {
        match config() {
            Config::Looker => {
                // Folded, so that the compiler makes vector instructions of it: a plain sum measures the guest's loop and nothing else.
                let sum: u64 =
                    data.chunks(64).map(|part| part.iter().fold(0, |sum: u8, byte| sum ^ byte)).map(u64::from).sum();
                self.sum.set(black_box(self.sum.get().wrapping_add(sum)));
                Verdict::Continue
            }
            Config::Upper => {
                data.make_ascii_uppercase();
                Verdict::Edit(Edits { data: Some(data), ..nothing() })
            }
            Config::Holder { .. } => {
                let word = match end {
                    Some(BodyEnd::Complete(_)) => "complete",
                    Some(BodyEnd::Limit) => "limit",
                    Some(BodyEnd::Cut) => "cut",
                    None => "none",
                };
                let length = data.len().to_string();
                // Kept as a plugin would that decides later: what is held costs memory for as long as the exchange lasts.
                *self.held.borrow_mut() = data;
                edit(vec![set("x-held", &length), set("x-end", word)])
            }
            Config::Replace { body, .. } => Verdict::Edit(Edits { data: Some(body.clone().into()), ..nothing() }),
            _ => decided(phase),
        }
    }
}

fn decided(now: Phase) -> Verdict {
    match config() {
        Config::Respond { phase, status, body } if *phase == now => Verdict::Respond(Response {
            status: *status,
            fields: vec![field("content-type", "text/plain")],
            body: body.clone().into(),
        }),
        Config::Close { phase } if *phase == now => Verdict::Close,
        _ => Verdict::Continue,
    }
}

fn field(name: &str, value: &str) -> Field {
    Field { name: name.into(), value: value.into() }
}

fn set(name: &str, value: &str) -> FieldEdit {
    FieldEdit::Set(field(name, value))
}

fn nothing() -> Edits {
    Edits { fields: vec![], target: None, status: None, data: None, trailers: None }
}

fn edit(fields: Vec<FieldEdit>) -> Verdict {
    Verdict::Edit(Edits { fields, ..nothing() })
}

export!(Good);
