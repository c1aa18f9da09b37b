//! A guest that is configured by files, writes lines to a journal and notes into the record, and takes its wish for bodies back.
//!
//! `{"rules": ["path or pattern", ...], "lines": "/path"}`; its manifest says what these keys are. A rule is a word; `broken` is none. It
//! wants to hold both bodies, and counts what it is shown.
//!
//! What it does with a request is in the target: `/request` takes the request's body back, `/response` the response's, `/head` and `/events/` the
//! response's when its head is there, `/late` asks for the request's when it is too late for that.

use std::{
    cell::{Cell, RefCell},
    sync::OnceLock,
};

use exports::portcullis::filter::filter::{
    AtLimit, BodyMode, Declaration, Guest, GuestExchange, Hold, Phases, RequestHead, ResponseHead, Summary,
};
use portcullis::filter::{
    bodies, connection, files, journal, notes,
    types::{BodyEnd, Edits, Field, FieldEdit, Verdict},
};
use serde::Deserialize;

wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });

#[used]
#[unsafe(link_section = "portcullis-manifest")]
static MANIFEST: [u8; 52] = *b"name = \"reader\"\nfiles = [\"rules\"]\njournal = \"lines\"\n";

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    rules: Vec<String>,
}

static RULES: OnceLock<String> = OnceLock::new();

struct Reader;

#[derive(Default)]
struct Exchange {
    target: RefCell<String>,
    bodies: Cell<u32>,
}

impl Guest for Reader {
    type Exchange = Exchange;

    fn configure(config: String) -> Result<Declaration, String> {
        let config: Config = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        let mut words = Vec::new();
        for rule in &config.rules {
            let paths = match rule.contains('*') {
                true => files::glob(rule).map_err(|error| format!("{rule}: {error:?}"))?,
                false => vec![rule.clone()],
            };
            for path in paths {
                let bytes = files::read(&path).map_err(|error| format!("{path}: {error:?}"))?;
                let text = String::from_utf8_lossy(&bytes);
                if text.contains("broken") {
                    return Err(format!("{path}: `broken` is no rule"));
                }
                words.push(text.trim().to_owned());
            }
        }
        let _ = RULES.set(words.join("+"));
        let hold = || BodyMode::Hold(Hold { limit: 1 << 20, at_limit: AtLimit::Refuse });
        Ok(Declaration { phases: Phases::all(), request_body: hold(), response_body: hold() })
    }
}

impl GuestExchange for Exchange {
    fn new() -> Self {
        Self::default()
    }

    fn request_head(&self, head: RequestHead) -> Verdict {
        // Nothing is read but while it is configured.
        assert!(matches!(files::read("any"), Err(files::Error::Unavailable)));
        match head.target.as_str() {
            "/request" => bodies::skip_request(),
            "/response" => bodies::skip_response(),
            "/both" => {
                bodies::skip_request();
                bodies::skip_response();
            }
            _ => {}
        }
        let connection::Socket { address, port } = connection::server();
        notes::put(&format!("{{\"first\": 1, \"server\": \"{address} {port}\"}}"));
        notes::put("no object");
        journal::append(format!("{}\n{}", head.method, head.target).as_bytes());
        *self.target.borrow_mut() = head.target;
        set("x-rules", RULES.get().map_or("", String::as_str))
    }

    fn request_body(&self, _: Vec<u8>, _: Option<BodyEnd>) -> Verdict {
        self.bodies.set(self.bodies.get() + 1);
        set("x-held", "request")
    }

    fn response_head(&self, _: ResponseHead) -> Verdict {
        match self.target.borrow().as_str() {
            target if target == "/head" || target.starts_with("/events/") => bodies::skip_response(),
            "/late" => bodies::skip_request(),
            _ => {}
        }
        let rules = RULES.get().map_or("", String::as_str);
        notes::put(&format!("{{\"bodies\": {}, \"rules\": \"{rules}\"}}", self.bodies.get()));
        set("x-rules", rules)
    }

    fn response_body(&self, _: Vec<u8>, _: Option<BodyEnd>) -> Verdict {
        self.bodies.set(self.bodies.get() + 10);
        set("x-held", "response")
    }

    fn log(&self, _: Summary) {
        journal::append(format!("bodies {}", self.bodies.get()).as_bytes());
        notes::put("{}");
    }
}

fn set(name: &str, value: &str) -> Verdict {
    let field = Field { name: name.into(), value: value.into() };
    Verdict::Edit(Edits { fields: vec![FieldEdit::Set(field)], target: None, status: None, data: None, trailers: None })
}

export!(Reader);
