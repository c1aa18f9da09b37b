//! A guest that uses every part of the contract once. `tests/fixtures/plugin-0.1.0.wasm` is this one, built against 0.1.0 and kept: what
//! was built against a contract must run for as long as the contract is spoken.
//!
//! It writes what it was shown and answered into the log, a line for each.

use exports::portcullis::filter::filter::{
    AtLimit, BodyMode, Declaration, Guest, GuestExchange, Hold, Phases, RequestHead, ResponseHead, Summary,
};
use portcullis::filter::{
    clock, connection, http, key_value, log, metrics, random,
    types::{BodyEnd, Edits, Field, FieldEdit, Response, Verdict},
};

wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });

struct Everything;
struct Exchange;

impl Guest for Everything {
    type Exchange = Exchange;

    fn configure(config: String) -> Result<Declaration, String> {
        if config != r#"{"key":"value"}"# {
            return Err(format!("this is not the configuration it knows: {config}"));
        }
        Ok(Declaration {
            phases: Phases::all(),
            request_body: BodyMode::Hold(Hold { limit: 1024, at_limit: AtLimit::Inspect }),
            response_body: BodyMode::Stream,
        })
    }
}

impl GuestExchange for Exchange {
    fn new() -> Self {
        Self
    }

    fn request_head(&self, head: RequestHead) -> Verdict {
        let RequestHead { method, https, authority, target, version, fields } = head;
        write(&format!("request {method} {https} {authority} {target} {version:?} {}", shown(&fields)));
        match target.as_str() {
            "/respond" => {
                let fields = vec![field("x-answer", "plugin")];
                return Verdict::Respond(Response { status: 418, fields, body: b"short and stout".into() });
            }
            "/close" => return Verdict::Close,
            "/continue" => return Verdict::Continue,
            _ => {}
        }
        host();
        Verdict::Edit(Edits {
            fields: vec![
                FieldEdit::Set(field("x-set", "1")),
                FieldEdit::Append(field("x-append", "2")),
                FieldEdit::Remove("x-remove".into()),
            ],
            target: Some("/edited?q".into()),
            ..nothing()
        })
    }

    fn request_body(&self, data: Vec<u8>, end: Option<BodyEnd>) -> Verdict {
        write(&format!("request body {} {}", data.len(), ended(&end)));
        Verdict::Edit(Edits {
            fields: vec![FieldEdit::Set(field("x-held", "1"))],
            data: Some(b"replaced".into()),
            ..nothing()
        })
    }

    fn response_head(&self, head: ResponseHead) -> Verdict {
        write(&format!("response {} {}", head.status, shown(&head.fields)));
        Verdict::Edit(Edits { fields: vec![FieldEdit::Set(field("x-response", "1"))], status: Some(203), ..nothing() })
    }

    fn response_body(&self, data: Vec<u8>, end: Option<BodyEnd>) -> Verdict {
        write(&format!("response body {} {}", data.len(), ended(&end)));
        let trailers = matches!(end, Some(BodyEnd::Complete(_))).then(|| vec![field("x-trailer", "1")]);
        Verdict::Edit(Edits { data: Some(data.to_ascii_uppercase()), trailers, ..nothing() })
    }

    fn log(&self, summary: Summary) {
        let Summary { status, received, sent, duration_ns, backend, endpoint, error, decided_by } = summary;
        write(&format!(
            "summary {status} {received} {sent} {duration_ns} {backend:?} {endpoint:?} {error:?} {decided_by:?}"
        ));
    }
}

/// Every function that the host has.
fn host() {
    let facts = connection::get();
    let connection::Facts { client, client_port, peer, listener, route, request_id, tls } = &facts;
    write(&format!("facts {client} {client_port} {peer} {listener} {route} {request_id}"));
    if let Some(connection::Tls { version, sni, alpn, client_certificate, ja4 }) = tls {
        write(&format!("tls {version} {sni:?} {alpn:?} {client_certificate:?} {ja4:?}"));
    }
    log::write(log::Level::Debug, "debug");
    log::write(log::Level::Warn, "warn");
    log::write(log::Level::Error, "error");
    metrics::count("counted", 2);
    metrics::gauge("gauged", 1.5);
    metrics::observe("observed", 3.0);
    let (now, first, second) = (clock::now(), clock::monotonic(), clock::monotonic());
    write(&format!("clock {} {}", now > 1_700_000_000_000_000_000, second >= first));
    write(&format!("random {} {}", random::number() != random::number(), random::bytes(16).len()));
    let set = key_value::set("key", b"1", Some(60_000));
    let swapped = key_value::compare_and_swap("key", Some(b"1"), b"2", None);
    let kept = key_value::compare_and_swap("key", None, b"3", None);
    write(&format!("values {set:?} {swapped:?} {kept:?} {:?}", key_value::get("key")));
    write(&format!("numbers {:?} {:?}", key_value::add("number", 5, Some(60_000)), key_value::add("number", -7, None)));
    let (add, set) = (key_value::add("key", 1, None), key_value::set("", b"", None));
    write(&format!("errors {:?} {:?}", add.map_err(|error| error.name()), set.map_err(|error| error.name())));
    write(&format!("deleted {:?} {:?}", key_value::delete("key"), key_value::get("key")));
    for backend in ["app", "other"] {
        let request = http::Request {
            backend: backend.into(),
            method: "POST".into(),
            target: "/asked".into(),
            fields: vec![field("x-asked", "1")],
            body: b"question".into(),
            timeout_ms: 1000,
        };
        match http::send(&request) {
            Ok(http::Response { status, fields, body }) => {
                write(&format!("answer {status} {} {}", shown(&fields), body.len()))
            }
            Err(error) => write(&format!("no answer {error:?}")),
        }
    }
}

fn write(line: &str) {
    log::write(log::Level::Info, line);
}

fn shown(fields: &[Field]) -> String {
    let one = |field: &Field| format!("{}={}", field.name, String::from_utf8_lossy(&field.value));
    fields.iter().map(one).collect::<Vec<_>>().join(",")
}

fn ended(end: &Option<BodyEnd>) -> String {
    match end {
        None => "more".into(),
        Some(BodyEnd::Limit) => "limit".into(),
        Some(BodyEnd::Cut) => "cut".into(),
        Some(BodyEnd::Complete(trailers)) => format!("complete {}", shown(trailers)),
    }
}

fn field(name: &str, value: &str) -> Field {
    Field { name: name.into(), value: value.into() }
}

fn nothing() -> Edits {
    Edits { fields: vec![], target: None, status: None, data: None, trailers: None }
}

export!(Everything);
