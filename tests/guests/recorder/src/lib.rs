//! A guest that writes a line for each phase it sees, with what it was shown. Grant: `log`.
//!
//! `{"name": "a", "bodies": "none" | "stream" | "hold"}`; lines begin with the name. It changes nothing.

use std::sync::OnceLock;

use exports::portcullis::filter::filter::{
    AtLimit, BodyMode, Declaration, Guest, GuestExchange, Hold, Phases, RequestHead, ResponseHead, Summary,
};
use portcullis::filter::{
    connection, log,
    types::{BodyEnd, Field, Verdict},
};
use serde::Deserialize;

wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    name: String,
    #[serde(default)]
    bodies: Bodies,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Bodies {
    None,
    #[default]
    Stream,
    Hold,
}

static CONFIG: OnceLock<Config> = OnceLock::new();

struct Recorder;
struct Exchange;

impl Guest for Recorder {
    type Exchange = Exchange;

    fn configure(config: String) -> Result<Declaration, String> {
        let config: Config = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        let mode = match config.bodies {
            Bodies::None => BodyMode::None,
            Bodies::Stream => BodyMode::Stream,
            Bodies::Hold => BodyMode::Hold(Hold { limit: 1 << 20, at_limit: AtLimit::Inspect }),
        };
        let _ = CONFIG.set(config);
        Ok(Declaration { phases: Phases::all(), request_body: mode, response_body: mode })
    }
}

impl GuestExchange for Exchange {
    fn new() -> Self {
        write("begin");
        Self
    }

    fn request_head(&self, head: RequestHead) -> Verdict {
        let facts = connection::get();
        write(&format!(
            "request_head {} {} authority={} https={} fields={} route={} listener={} tls={}",
            head.method,
            head.target,
            head.authority,
            head.https,
            names(&head.fields),
            facts.route,
            facts.listener,
            facts.tls.as_ref().map_or("none", |tls| &tls.version),
        ));
        Verdict::Continue
    }

    fn request_body(&self, data: Vec<u8>, end: Option<BodyEnd>) -> Verdict {
        write(&format!("request_body bytes={} end={}", data.len(), ended(end)));
        Verdict::Continue
    }

    fn response_head(&self, head: ResponseHead) -> Verdict {
        write(&format!("response_head {} fields={}", head.status, names(&head.fields)));
        Verdict::Continue
    }

    fn response_body(&self, data: Vec<u8>, end: Option<BodyEnd>) -> Verdict {
        write(&format!("response_body bytes={} end={}", data.len(), ended(end)));
        Verdict::Continue
    }

    fn log(&self, summary: Summary) {
        let Summary { status, received, sent, backend, error, decided_by, .. } = summary;
        let word = |text: Option<String>| text.unwrap_or_else(|| "none".into());
        write(&format!(
            "log status={status} received={received} sent={sent} backend={} error={} decided_by={}",
            word(backend),
            word(error),
            word(decided_by)
        ));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        write("drop");
    }
}

fn write(text: &str) {
    let name = CONFIG.get().map_or("", |config| &config.name);
    log::write(log::Level::Info, &format!("{name}: {text}"));
}

fn names(fields: &[Field]) -> String {
    fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(",")
}

fn ended(end: Option<BodyEnd>) -> String {
    match end {
        None => "none".into(),
        Some(BodyEnd::Limit) => "limit".into(),
        Some(BodyEnd::Cut) => "cut".into(),
        Some(BodyEnd::Complete(trailers)) if trailers.is_empty() => "complete".into(),
        Some(BodyEnd::Complete(trailers)) => format!("complete+{}", names(&trailers)),
    }
}

export!(Recorder);
