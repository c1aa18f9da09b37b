//! The audit log: one JSON document for each transaction, in the format of libmodsecurity 3, so that its readers read it.
//!
//! Parts (`SecAuditLogParts`): B the request's header fields, C its body, I the same without files, E the response's body, F its
//! header fields, H who judged and which rules matched. A and Z, the frame, are always there; the other letters have nothing in JSON.

mod mask;
mod message;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{BodyProcessor, Engine, Transaction, Variable, clock::Civil, fill::List};
use crate::model::{AuditEngine, AuditParts, Mode};
use mask::Masks;
use message::Message;
use text::text;

/// Of a body, at most so many bytes are logged; `body_omitted` tells how many were not.
const MOST_BODY: usize = 128 * 1024;
/// Matches of one transaction, at most. CRS as a whole has fewer rules.
const MOST_MESSAGES: usize = 1000;

#[derive(Serialize)]
struct Document<'a> {
    transaction: Record<'a>,
}

#[derive(Serialize)]
struct Record<'a> {
    client_ip: String,
    time_stamp: String,
    /// `SecWebAppId`, where there is one.
    server_id: &'a str,
    client_port: u16,
    host_ip: String,
    host_port: u16,
    unique_id: &'a str,
    request: Request<'a>,
    response: Response<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<Producer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message<'a>>>,
}

#[derive(Serialize)]
struct Request<'a> {
    method: Cow<'a, str>,
    http_version: Version<'a>,
    hostname: Cow<'a, str>,
    uri: Cow<'a, str>,
    #[serde(flatten)]
    body: Option<Body<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Fields<'a>>,
}

#[derive(Serialize)]
struct Response<'a> {
    #[serde(flatten)]
    body: Option<Body<'a>>,
    http_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Fields<'a>>,
}

#[derive(Serialize)]
struct Body<'a> {
    body: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_zero")]
    body_omitted: usize,
}

#[derive(Serialize)]
struct Producer<'a> {
    modsecurity: &'static str,
    connector: &'static str,
    secrules_engine: &'static str,
    components: Vec<&'a str>,
}

/// A number where it looks like one, as in libmodsecurity.
#[derive(Serialize)]
#[serde(untagged)]
enum Version<'a> {
    Number(f64),
    Text(Cow<'a, str>),
}

/// Header fields. One that comes more than once is a list: repeated keys are refused by many readers of JSON.
struct Fields<'a>(Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in &self.0 {
            match values.as_slice() {
                [value] => map.serialize_entry(name, value)?,
                values => map.serialize_entry(name, values)?,
            }
        }
        map.end()
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Transaction {
    /// The line for the audit log, without its newline; `None` where none is due. After [`logging`](Self::logging).
    ///
    /// `SecAuditEngine` decides, as `ctl:auditEngine` may have changed it. With `RelevantOnly` a transaction is due whose status
    /// `SecAuditLogRelevantStatus` matches, or of which a rule with `auditlog` says so.
    pub fn audit(&self, engine: &Engine) -> Option<Vec<u8>> {
        if !self.is_audited(engine) {
            return None;
        }
        let masks = Masks::of(self);
        let parts = self.audit_parts;
        let document = Document {
            transaction: Record {
                client_ip: self.ends.client.to_string(),
                time_stamp: time_stamp(self.began),
                server_id: Some(&*engine.settings().web_app_id).filter(|id| !id.is_empty()).unwrap_or("portcullis"),
                client_port: self.ends.client_port,
                host_ip: self.ends.server.to_string(),
                host_port: self.ends.server_port,
                unique_id: &self.id,
                request: self.request_record(engine, parts, &masks),
                response: self.response_record(parts, &masks),
                producer: has(parts, b'H').then(|| self.producer(engine)),
                messages: has(parts, b'H').then(|| self.messages(engine, &masks)),
            },
        };
        serde_json::to_vec(&document).ok()
    }

    fn is_audited(&self, engine: &Engine) -> bool {
        match self.audit_engine {
            AuditEngine::Off => false,
            AuditEngine::On => true,
            AuditEngine::RelevantOnly => {
                self.matches.iter().any(|matched| matched.audit_log)
                    || engine
                        .settings()
                        .audit_relevant_status
                        .as_ref()
                        .is_some_and(|pattern| pattern.is_match(self.known(Variable::Status)).unwrap_or(true))
            }
        }
    }

    fn request_record(&self, engine: &Engine, parts: AuditParts, masks: &Masks<'_>) -> Request<'_> {
        let protocol = self.known(Variable::RequestProtocol);
        let body = if has(parts, b'C') || (has(parts, b'I') && self.processor != Some(BodyProcessor::Multipart)) {
            Some(self.request_body_record(engine, masks))
        } else {
            has(parts, b'I').then(|| self.fields_record(masks))
        };
        Request {
            method: text(self.known(Variable::RequestMethod)),
            http_version: version(protocol.strip_prefix(b"HTTP/").unwrap_or(protocol)),
            hostname: text(self.known(Variable::ServerName)),
            uri: masks.target(self.known(Variable::RequestUriRaw), engine.settings().argument_separator),
            body: body.filter(|body| !body.body.is_empty()),
            headers: has(parts, b'B').then(|| self.fields(List::RequestHeaders, masks)),
        }
    }

    fn request_body_record(&self, engine: &Engine, masks: &Masks<'_>) -> Body<'_> {
        let body = self.arena.bytes(self.body);
        let shown = &body[..body.len().min(MOST_BODY)];
        let separator = engine.settings().argument_separator;
        Body { body: masks.body(shown, self, separator), body_omitted: body.len() - shown.len() }
    }

    /// Part I of a multipart body: its fields, as if they had been sent as a form.
    fn fields_record(&self, masks: &Masks<'_>) -> Body<'_> {
        let mut form = String::new();
        let mut omitted = 0;
        for entry in &self.lists[List::ArgsPost as usize] {
            let (name, value) = (self.arena.get(entry.name), self.arena.get(entry.value));
            if form.len() + name.len() + value.len() > MOST_BODY {
                omitted += name.len() + value.len();
                continue;
            }
            if !form.is_empty() {
                form.push('&');
            }
            text::push_form(&mut form, name);
            form.push('=');
            text::push_form(&mut form, &masks.argument(name, value));
        }
        Body { body: form.into(), body_omitted: omitted }
    }

    fn response_record(&self, parts: AuditParts, masks: &Masks<'_>) -> Response<'_> {
        let body = has(parts, b'E').then(|| {
            let body = self.known(Variable::ResponseBody);
            let shown = &body[..body.len().min(MOST_BODY)];
            Body { body: text(shown), body_omitted: body.len() - shown.len() }
        });
        let status = std::str::from_utf8(self.known(Variable::Status)).ok().and_then(|status| status.parse().ok());
        Response {
            body: body.filter(|body| !body.body.is_empty()),
            http_code: status.unwrap_or_default(),
            headers: has(parts, b'F').then(|| self.fields(List::ResponseHeaders, masks)),
        }
    }

    /// The header fields of one side, in the order in which their names first come.
    fn fields(&self, list: List, masks: &Masks<'_>) -> Fields<'_> {
        let mut fields: Vec<(Cow<'_, str>, Vec<Cow<'_, str>>)> = Vec::new();
        for entry in &self.lists[list as usize] {
            let name = self.arena.get(entry.name);
            let value = masks.field(list, name, self.arena.get(entry.value));
            let shown = text(name);
            match fields.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&shown)) {
                Some((_, values)) => values.push(value),
                None => fields.push((shown, vec![value])),
            }
        }
        Fields(fields)
    }

    fn producer<'a>(&self, engine: &'a Engine) -> Producer<'a> {
        Producer {
            modsecurity: concat!("portcullis v", env!("CARGO_PKG_VERSION")),
            connector: concat!("portcullis v", env!("CARGO_PKG_VERSION")),
            secrules_engine: match self.mode {
                Mode::On => "Enabled",
                Mode::DetectionOnly => "DetectionOnly",
                Mode::Off => "Disabled",
            },
            components: engine.settings().component_signatures.iter().map(|signature| &**signature).collect(),
        }
    }

    /// What is to be logged of the matches: all but those of rules that want neither log.
    fn messages<'a>(&'a self, engine: &'a Engine, masks: &Masks<'_>) -> Vec<Message<'a>> {
        let logged = self.matches.iter().filter(|matched| matched.log || matched.audit_log);
        logged.take(MOST_MESSAGES).map(|matched| Message::of(matched, engine, masks)).collect()
    }

    /// The bytes of a variable that is no collection, empty where it has none.
    fn known(&self, variable: Variable) -> &[u8] {
        let node = self.singles[variable as usize];
        if node.is_none() { b"" } else { self.arena.get(node) }
    }
}

fn has(parts: AuditParts, letter: u8) -> bool {
    parts.0 & 1 << (letter - b'A') != 0
}

fn version(text_of: &[u8]) -> Version<'_> {
    let number =
        std::str::from_utf8(text_of).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    match number.and_then(|number| number.parse().ok()) {
        Some(number) => Version::Number(number),
        None => Version::Text(text(text_of)),
    }
}

/// As C's `asctime` writes it, in UTC.
fn time_stamp(nanoseconds: u64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Civil { year, month, day, hour, minute, second, weekday } = Civil::at(nanoseconds);
    let (weekday, month) = (DAYS[weekday as usize % 7], MONTHS[(month as usize + 11) % 12]);
    format!("{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}")
}
