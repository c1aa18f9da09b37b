//! A record as a line for eyes.

use std::time::Duration;

use super::{text, timestamp};
use crate::record::{End, ExchangeKind, PluginPart, Record};

/// Appends `record` as one line for eyes, ended by a line feed:
///
/// ```text
/// 2026-11-21T02:30:07.123456Z 200 GET shop.example.com /api/cart 203.0.113.9 3.4ms 1042B route=api backend=api endpoint=10.0.0.2:3001 id=k3…
/// ```
///
/// What the client sent is escaped: it cannot start a line of its own, and it cannot pretend to be another field.
pub fn human(record: &Record, out: &mut Vec<u8>) {
    timestamp::push(out, record.started);
    out.push(b' ');
    match record.status {
        0 => out.push(b'-'),
        status => text::number(out, u64::from(status)),
    }
    for field in [what(record), name(record), &record.target] {
        out.push(b' ');
        text::word(out, field);
    }
    out.push(b' ');
    text::ip_address(out, record.client.ip());
    out.push(b' ');
    duration(out, record.total);
    out.push(b' ');
    text::number(out, record.sent);
    out.push(b'B');

    for (key, value) in [("route", &record.route), ("backend", &record.backend)] {
        if let Some(value) = value {
            pair(out, key, value);
        }
    }
    if let Some(attempt) = record.attempts.last() {
        out.extend_from_slice(b" endpoint=");
        text::socket_address(out, attempt.address);
        if record.attempts.len() > 1 {
            out.extend_from_slice(b" tries=");
            text::number(out, record.attempts.len() as u64);
        }
    }
    plugins(out, &record.plugins);
    if record.end != End::Complete {
        pair(out, "end", record.end.name());
    }
    if let Some(error) = &record.error {
        pair(out, "error", error.kind.name());
        pair(out, "origin", error.origin.name());
        out.extend_from_slice(b" detail=");
        text::quoted(out, &error.detail);
    }
    pair(out, "id", &record.id);
    out.push(b'\n');
}

/// `plugins=limits,waf:respond,jwt:failed`: what each did, where it did something.
fn plugins(out: &mut Vec<u8>, parts: &[PluginPart]) {
    for (index, part) in parts.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b" plugins=" } else { b"," });
        text::word(out, &part.name);
        let did = if part.failure.is_some() { "failed" } else { part.verdict };
        if did != "continue" {
            out.push(b':');
            out.extend_from_slice(did.as_bytes());
        }
    }
}

/// The method, or the kind of exchange where there is none.
fn what(record: &Record) -> &str {
    match record.kind {
        ExchangeKind::Http | ExchangeKind::Upgrade if !record.method.is_empty() => &record.method,
        kind => kind.name(),
    }
}

/// The host, or the name in the handshake where there is no host.
fn name(record: &Record) -> &str {
    if !record.host.is_empty() {
        return &record.host;
    }
    record.connection.tls.as_ref().and_then(|tls| tls.sni.as_deref()).unwrap_or_default()
}

fn pair(out: &mut Vec<u8>, key: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    text::word(out, value);
}

/// With a unit that keeps the number short: `840us`, `3.4ms`, `12.0s`.
fn duration(out: &mut Vec<u8>, value: Duration) {
    let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
    let (tenths, unit) = match micros {
        0..1_000 => {
            text::number(out, micros);
            out.extend_from_slice(b"us");
            return;
        }
        1_000..1_000_000 => (micros / 100, "ms"),
        _ => (micros / 100_000, "s"),
    };
    text::number(out, tenths / 10);
    out.push(b'.');
    text::number(out, tenths % 10);
    out.extend_from_slice(unit.as_bytes());
}
