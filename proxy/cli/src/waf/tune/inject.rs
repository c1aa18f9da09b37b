//! Putting an attack into one place of a request.

use serde_json::Value;
use waf_engine::trial::Request;

use crate::waf::attacks::{escaped, unescaped};

/// The request with `payload` in the place that SecLang calls `target`; `None` where that is no single place, or cannot be filled from
/// outside.
pub(crate) fn inject(sample: &Request, target: &str, payload: &[u8]) -> Option<Request> {
    let (collection, name) = target.split_once(':')?;
    let mut request = sample.clone();
    match collection {
        "ARGS" | "ARGS_GET" | "ARGS_POST" => argument(&mut request, name, payload),
        "REQUEST_COOKIES" => cookie(&mut request, name, payload),
        "REQUEST_HEADERS" => {
            let is = |(known, _): &(Vec<u8>, Vec<u8>)| known.eq_ignore_ascii_case(name.as_bytes());
            request.fields.retain(|field| !is(field));
            // Line ends cannot be in a field.
            let value = payload.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect();
            request.fields.push((name.as_bytes().to_vec(), value));
        }
        _ => return None,
    }
    Some(request)
}

/// In the query if it is there; in the body if it is there; else it is added to the query.
fn argument(request: &mut Request, name: &str, payload: &[u8]) {
    let (path, query) = match request.target.iter().position(|&byte| byte == b'?') {
        Some(at) => (request.target[..at].to_vec(), request.target[at + 1..].to_vec()),
        None => (request.target.clone(), Vec::new()),
    };
    let set_target = |request: &mut Request, query: Vec<u8>| request.target = [path.clone(), query].join(&b'?');
    if let Some(query) = replace(&query, name, payload) {
        return set_target(request, query);
    }
    let kind = request.field("content-type").unwrap_or_default().to_ascii_lowercase();
    if kind.starts_with(b"application/x-www-form-urlencoded")
        && let Some(body) = replace(&request.body, name, payload)
    {
        return set_body(request, body);
    }
    if let Some(place) = name.strip_prefix("json.")
        && let Ok(mut document) = serde_json::from_slice::<Value>(&request.body)
        && let Some(found) = find(&mut document, place)
    {
        *found = Value::String(String::from_utf8_lossy(payload).into_owned());
        return set_body(request, document.to_string().into_bytes());
    }
    let mut pairs = query;
    if !pairs.is_empty() {
        pairs.push(b'&');
    }
    pairs.extend_from_slice(&escaped(name.as_bytes()));
    pairs.push(b'=');
    pairs.extend_from_slice(&escaped(payload));
    set_target(request, pairs);
}

/// The pairs with another value for `name`; `None` if it is not among them.
fn replace(pairs: &[u8], name: &str, payload: &[u8]) -> Option<Vec<u8>> {
    let mut found = false;
    let mut out = Vec::new();
    for (number, pair) in pairs.split(|&byte| byte == b'&').enumerate() {
        if number > 0 {
            out.push(b'&');
        }
        let end = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        if unescaped(&pair[..end]).eq_ignore_ascii_case(name.as_bytes()) {
            found = true;
            out.extend_from_slice(&pair[..end]);
            out.push(b'=');
            out.extend_from_slice(&escaped(payload));
        } else {
            out.extend_from_slice(pair);
        }
    }
    found.then_some(out)
}

/// `a.b.array_0`, `a.b.0`: a value of the document.
fn find<'a>(document: &'a mut Value, place: &str) -> Option<&'a mut Value> {
    let mut here = document;
    for step in place.split('.') {
        here = match here {
            Value::Object(fields) => fields.get_mut(step)?,
            Value::Array(values) => values.get_mut(step.trim_start_matches("array_").parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(here)
}

fn cookie(request: &mut Request, name: &str, payload: &[u8]) {
    let old = request.field("cookie").unwrap_or_default().to_vec();
    let is_other = |pair: &&[u8]| {
        let end = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        !pair[..end].trim_ascii().eq_ignore_ascii_case(name.as_bytes())
    };
    let mut pairs: Vec<Vec<u8>> = old.split(|&byte| byte == b';').filter(is_other).map(<[u8]>::to_vec).collect();
    pairs.retain(|pair| !pair.trim_ascii().is_empty());
    // Escaped, as browsers keep such values; rules decode it.
    pairs.push([name.as_bytes(), b"=", &escaped(payload)].concat());
    request.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(b"cookie"));
    request.fields.push((b"Cookie".to_vec(), pairs.join(&b"; "[..])));
}

fn set_body(request: &mut Request, body: Vec<u8>) {
    let length = body.len().to_string().into_bytes();
    for (name, value) in &mut request.fields {
        if name.eq_ignore_ascii_case(b"content-length") {
            value.clone_from(&length);
        }
    }
    request.body = body;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, kind: &str, body: &str) -> Request {
        let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        Request {
            method: b"POST".to_vec(),
            target: target.into(),
            protocol: b"HTTP/1.1".to_vec(),
            fields: vec![
                field("Content-Type", kind),
                field("Content-Length", &body.len().to_string()),
                field("Cookie", "a=1; lang=en"),
            ],
            body: body.into(),
        }
    }

    #[test]
    fn an_attack_takes_the_place_of_the_value() {
        let form = request("/s?q=x&page=2", "application/x-www-form-urlencoded", "name=b&c=d");
        assert_eq!(inject(&form, "ARGS:q", b"' or 1").unwrap().target, b"/s?q=%27%20or%201&page=2");
        let posted = inject(&form, "ARGS:c", b"<").unwrap();
        assert_eq!((&posted.body[..], posted.field("content-length")), (&b"name=b&c=%3C"[..], Some(&b"12"[..])));
        assert_eq!(inject(&form, "ARGS:new", b"!").unwrap().target, b"/s?q=x&page=2&new=%21");
        let cookies = inject(&form, "REQUEST_COOKIES:lang", b"/x").unwrap();
        assert_eq!(cookies.field("cookie"), Some(&b"a=1; lang=%2Fx"[..]));
        assert!(inject(&form, "REQUEST_BODY", b"x").is_none());
    }

    #[test]
    fn an_attack_takes_the_place_of_a_value_in_json() {
        let json = request("/s", "application/json", r#"{"a":{"b":["x","y"]}}"#);
        assert_eq!(inject(&json, "ARGS:json.a.b.array_1", b"\"").unwrap().body, br#"{"a":{"b":["x","\""]}}"#);
    }
}
