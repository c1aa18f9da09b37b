//! A record as a line of JSON. `docs/operating.md` documents every field.

use std::time::Duration;

use portcullis_plugin::Phase;

use super::{text, timestamp};
use crate::record::{Attempt, Connection, PluginPart, Record};

/// Appends `record` as one JSON object and a line feed.
///
/// Keys come in a fixed order; a fact that does not exist for this exchange has no key. The output is valid JSON on
/// one line whatever the client sent. Durations are whole microseconds and end in `_us`.
pub fn json(record: &Record, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.timestamp("time", record);
    object.string("id", &record.id);
    object.string("kind", record.kind.name());
    object.number("generation", record.generation);
    connection(&mut object, record);
    request(&mut object, record);
    decision(&mut object, record);
    attempts(&mut object, &record.attempts);
    outcome(&mut object, record);
    object.close();
    out.push(b'\n');
}

fn connection(object: &mut Object<'_>, record: &Record) {
    let Connection { id, listener, local, peer, client: _, tls } = &*record.connection;
    object.string("listener", listener);
    object.number("connection", *id);
    object.address("client", record.client);
    if *peer != record.client {
        object.address("peer", *peer);
    }
    object.address("local", *local);
    let Some(tls) = tls else { return };
    object.some("sni", tls.sni.as_deref());
    // Empty for passthrough, where nothing is terminated here.
    if !tls.version.is_empty() {
        object.string("tls", tls.version);
        object.string("cipher", tls.cipher);
        object.boolean("resumed", tls.resumed);
    }
    object.some("alpn", tls.alpn);
    object.some("certificate", tls.certificate.as_deref());
}

fn request(object: &mut Object<'_>, record: &Record) {
    for (key, value) in
        [("version", record.version), ("method", &*record.method), ("host", &*record.host), ("target", &*record.target)]
    {
        if !value.is_empty() {
            object.string(key, value);
        }
    }
    object.some("user_agent", record.user_agent.as_deref());
}

fn decision(object: &mut Object<'_>, record: &Record) {
    object.some("route", record.route.as_deref());
    if !record.misses.is_empty() {
        let out = object.key("misses");
        list(out, &record.misses, |out, miss| {
            let mut object = Object::open(out);
            object.string("route", &miss.route);
            object.string("failed", miss.failed.name());
            object.close();
        });
    }
    object.some("decided_by", record.decided_by.as_deref());
    if !record.plugins.is_empty() {
        list(object.key("plugins"), &record.plugins, plugin);
    }
    object.some("backend", record.backend.as_deref());
}

fn plugin(out: &mut Vec<u8>, part: &PluginPart) {
    let mut object = Object::open(out);
    object.string("name", &part.name);
    object.string("verdict", part.verdict);
    if part.verdict != "continue" {
        object.string("phase", part.phase);
    }
    for (index, phase) in Phase::ALL.into_iter().enumerate() {
        if part.costs.calls[index] > 0 {
            let key = match phase {
                Phase::RequestHead => "request_head_us",
                Phase::RequestBody => "request_body_us",
                Phase::ResponseHead => "response_head_us",
                Phase::ResponseBody => "response_body_us",
                Phase::Log => "log_us",
            };
            object.duration(key, Some(part.costs.time[index]));
        }
    }
    if let Some(note) = &part.note {
        // Checked when the plugin put it: an object on one line.
        object.key("note").extend_from_slice(note.as_bytes());
    }
    if let Some(failure) = &part.failure {
        object.string("failure", failure.kind.name());
        object.string("detail", &failure.message);
    }
    object.close();
}

/// The try that counts (the last) lies flat in the line; where there were several, all are in a list too.
fn attempts(object: &mut Object<'_>, attempts: &[Attempt]) {
    let Some(last) = attempts.last() else { return };
    attempt(object, last);
    if attempts.len() > 1 {
        let out = object.key("attempts");
        list(out, attempts, |out, each| {
            let mut object = Object::open(out);
            attempt(&mut object, each);
            if let Some(error) = &each.error {
                object.string("error", error.kind.name());
                object.string("detail", &error.detail);
            }
            object.close();
        });
    }
}

fn attempt(object: &mut Object<'_>, attempt: &Attempt) {
    object.address("endpoint", attempt.address);
    if !attempt.name.is_empty() {
        object.string("endpoint_name", &attempt.name);
    }
    object.string("chosen", attempt.chosen.name());
    object.duration("dns_age_us", attempt.dns_age);
    if attempt.dns_stale {
        object.boolean("dns_stale", true);
    }
    object.boolean("reused", attempt.reused);
    object.duration("connect_us", attempt.connect);
}

fn outcome(object: &mut Object<'_>, record: &Record) {
    object.number("status", u64::from(record.status));
    object.number("received", record.received);
    object.number("sent", record.sent);
    object.duration("first_byte_us", record.first_byte);
    object.duration("total_us", Some(record.total));
    object.string("end", record.end.name());
    if let Some(error) = &record.error {
        object.string("error", error.kind.name());
        object.string("origin", error.origin.name());
        object.string("detail", &error.detail);
    }
}

fn list<T>(out: &mut Vec<u8>, items: &[T], mut each: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}

/// A JSON object being written. Keys are ours: plain ASCII that needs no escape.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    fn close(self) {
        self.out.push(b'}');
    }

    /// Writes a key; the caller must write exactly one value.
    fn key(&mut self, key: &'static str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    fn string(&mut self, key: &'static str, value: &str) {
        text::json_string(self.key(key), value);
    }

    fn some(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.string(key, value);
        }
    }

    fn number(&mut self, key: &'static str, value: u64) {
        text::number(self.key(key), value);
    }

    fn boolean(&mut self, key: &'static str, value: bool) {
        self.key(key).extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn duration(&mut self, key: &'static str, value: Option<Duration>) {
        if let Some(value) = value {
            self.number(key, u64::try_from(value.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn address(&mut self, key: &'static str, address: std::net::SocketAddr) {
        let out = self.key(key);
        out.push(b'"');
        text::socket_address(out, address);
        out.push(b'"');
    }

    fn timestamp(&mut self, key: &'static str, record: &Record) {
        let out = self.key(key);
        out.push(b'"');
        timestamp::push(out, record.started);
        out.push(b'"');
    }
}
