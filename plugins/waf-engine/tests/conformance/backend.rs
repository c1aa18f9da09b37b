//! The server behind the WAF, as the tests of CRS want it: `/reflect` answers with what the request's JSON asks for, everything else
//! with 200 and nothing.

use serde_json::Value;
use waf_engine::trial::{Request, Response};

use crate::ftw::base64;

/// The answer to `request`.
pub(crate) fn answer(request: &Request) -> Response {
    let target = String::from_utf8_lossy(&request.target);
    let path = target.split(['?', '#']).next().unwrap_or_default();
    if request.method == b"POST" && (path == "/reflect" || path.starts_with("/reflect/")) {
        return reflect(&request.body);
    }
    response(200, Vec::new(), Vec::new())
}

fn reflect(specification: &[u8]) -> Response {
    let Ok(Value::Object(specification)) = serde_json::from_slice(specification) else {
        return response(400, Vec::new(), b"Invalid JSON in request body".into());
    };
    let text = |key: &str| specification.get(key).and_then(Value::as_str).unwrap_or_default();
    let status = specification.get("status").and_then(Value::as_u64).unwrap_or(200);
    let mut fields = Vec::new();
    if let Some(Value::Object(wanted)) = specification.get("headers") {
        for (name, value) in wanted {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            fields.push((name.clone().into_bytes(), value.replace(['\r', '\n'], " ").into_bytes()));
        }
    }
    let body = if text("body").is_empty() { base64(text("encodedBody").as_bytes()) } else { text("body").into() };
    response(u16::try_from(status).unwrap_or(200), fields, body)
}

fn response(status: u16, mut fields: Vec<(Vec<u8>, Vec<u8>)>, body: Vec<u8>) -> Response {
    let typed = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
    if !body.is_empty() && !typed {
        fields.push((b"Content-Type".into(), sniff(&body).into()));
    }
    fields.push((b"Content-Length".into(), body.len().to_string().into()));
    Response { status, protocol: b"HTTP/1.1".into(), fields, body }
}

/// The type of a body that has none written to it, as browsers guess it.
fn sniff(body: &[u8]) -> &'static str {
    const HTML: &[&str] = &[
        "<!doctype html",
        "<html",
        "<head",
        "<script",
        "<iframe",
        "<h1",
        "<div",
        "<font",
        "<table",
        "<a",
        "<style",
        "<title",
        "<b",
        "<body",
        "<br",
        "<p",
        "<!--",
    ];
    let head = body[..body.len().min(512)].trim_ascii_start().to_ascii_lowercase();
    let is = |tag: &&str| {
        head.strip_prefix(tag.as_bytes()).is_some_and(|rest| rest.first().is_none_or(|byte| b" >".contains(byte)))
    };
    if HTML.iter().any(is) {
        "text/html; charset=utf-8"
    } else if head.starts_with(b"<?xml") {
        "text/xml; charset=utf-8"
    } else if head.iter().any(|byte| matches!(byte, 0..9 | 0x0E..=0x1A | 0x1C..=0x1F)) {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}
