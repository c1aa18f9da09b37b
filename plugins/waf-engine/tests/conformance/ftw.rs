//! The tests of CRS: YAML to stages, stages to the bytes of requests.

use std::{collections::BTreeMap, fs, path::Path};

use regex::Regex;
use serde::Deserialize;

/// A file of tests.
#[derive(Deserialize)]
struct File {
    rule_id: Option<u64>,
    tests: Option<Vec<RawTest>>,
}

#[derive(Deserialize)]
struct RawTest {
    test_id: u64,
    stages: Vec<RawStage>,
}

#[derive(Deserialize)]
struct RawStage {
    input: Input,
    #[serde(default)]
    output: Output,
}

/// What is sent. Every value is text, however YAML would read it.
#[derive(Deserialize, Default)]
pub(crate) struct Input {
    method: Option<String>,
    uri: Option<String>,
    version: Option<String>,
    headers: Option<BTreeMap<String, Option<String>>>,
    ordered_headers: Option<Vec<Named>>,
    data: Option<String>,
    encoded_data: Option<String>,
    encoded_request: Option<String>,
    autocomplete_headers: Option<String>,
    stop_magic: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    value: Option<String>,
}

#[derive(Deserialize, Default)]
struct Output {
    status: Option<serde_yaml_ng::Value>,
    expect_error: Option<String>,
    log: Option<Log>,
    log_contains: Option<String>,
    no_log_contains: Option<String>,
}

#[derive(Deserialize, Default)]
struct Log {
    #[serde(default)]
    expect_ids: Vec<u64>,
    #[serde(default)]
    no_expect_ids: Vec<u64>,
    match_regex: Option<String>,
    no_match_regex: Option<String>,
}

/// What is expected of the log.
pub(crate) struct Expected {
    pub(crate) ids: Vec<u64>,
    pub(crate) not_ids: Vec<u64>,
    pub(crate) lines: Option<Regex>,
    pub(crate) not_lines: Option<Regex>,
    /// The server, not the rules, is what the stage asks about.
    pub(crate) server: bool,
}

impl Expected {
    fn of(output: Output) -> Self {
        let log = output.log.unwrap_or_default();
        let pattern = |new: Option<String>, old: Option<String>| {
            new.or(old).filter(|text| !text.is_empty()).map(|text| Regex::new(&text).unwrap())
        };
        let (lines, not_lines) =
            (pattern(log.match_regex, output.log_contains), pattern(log.no_match_regex, output.no_log_contains));
        let asks =
            !log.expect_ids.is_empty() || !log.no_expect_ids.is_empty() || lines.is_some() || not_lines.is_some();
        let error = output.expect_error.is_some_and(|word| truth(&word));
        let server = error || (!asks && output.status.is_some());
        Self { ids: log.expect_ids, not_ids: log.no_expect_ids, lines, not_lines, server }
    }
}

/// One request of a test.
pub(crate) struct Stage {
    pub(crate) input: Input,
    pub(crate) expected: Expected,
}

/// One test.
pub(crate) struct Test {
    /// `942100-1`.
    pub(crate) id: String,
    /// The file's folder and name.
    pub(crate) file: String,
    pub(crate) stages: Vec<Stage>,
}

/// All tests below a folder, by file.
pub(crate) fn tests(folder: &Path) -> Vec<Test> {
    let mut files = Vec::new();
    for family in fs::read_dir(folder).unwrap() {
        for file in fs::read_dir(family.unwrap().path()).unwrap() {
            files.push(file.unwrap().path());
        }
    }
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let file: File = serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let rule = file.rule_id.map_or_else(|| name.clone(), |id| id.to_string());
        for test in file.tests.unwrap_or_default() {
            let stage = |raw: RawStage| Stage { input: raw.input, expected: Expected::of(raw.output) };
            found.push(Test {
                id: format!("{rule}-{}", test.test_id),
                file: name.clone(),
                stages: test.stages.into_iter().map(stage).collect(),
            });
        }
    }
    found
}

impl Input {
    /// The bytes of the request, made as the runner of CRS makes them.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        if let Some(encoded) = &self.encoded_request {
            return base64(encoded.as_bytes());
        }
        let auto = match (&self.autocomplete_headers, &self.stop_magic) {
            (Some(word), _) => truth(word),
            (None, Some(word)) => !truth(word),
            (None, None) => true,
        };
        let method = self.method.as_deref().unwrap_or("GET");
        let mut headers = self.headers();
        let mut body = match (&self.data, &self.encoded_data) {
            (Some(text), _) => expand(text).into_bytes(),
            (None, Some(encoded)) => base64(encoded.as_bytes()),
            (None, None) => Vec::new(),
        };
        let has = |headers: &[(String, String)], name: &str| {
            headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        const FORM: &str = "application/x-www-form-urlencoded";
        let typed = |headers: &[(String, String)], is: &dyn Fn(&str) -> bool| {
            headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("content-type") && is(value))
        };
        if !body.is_empty() && auto {
            if !has(&headers, "content-type") {
                headers.push(("Content-Type".into(), FORM.into()));
            }
            if typed(&headers, &|value| value.eq_ignore_ascii_case(FORM)) {
                body = form(body);
            }
        }
        if typed(&headers, &|value| value.to_ascii_lowercase().contains("multipart/form-data;")) {
            body = body
                .iter()
                .flat_map(|byte| if *byte == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(byte) })
                .copied()
                .collect();
        }
        if auto {
            if !has(&headers, "connection") {
                headers.push(("Connection".into(), "close".into()));
            }
            let with_length = method.starts_with("POST")
                || method.contains("PUT")
                || method.contains("PATCH")
                || method.ends_with("DELETE");
            if !has(&headers, "content-length") && (!body.is_empty() || with_length) {
                headers.push(("Content-Length".into(), body.len().to_string()));
            }
        }
        let uri = self.uri.as_deref().unwrap_or("/");
        let version = self.version.as_deref().unwrap_or("HTTP/1.1");
        let mut bytes = format!("{method} {uri} {version}\r\n").into_bytes();
        for (name, value) in headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
        bytes
    }

    fn headers(&self) -> Vec<(String, String)> {
        if let Some(ordered) = &self.ordered_headers {
            return ordered.iter().map(|one| (one.name.clone(), one.value.clone().unwrap_or_default())).collect();
        }
        let named = self.headers.iter().flatten();
        named.map(|(name, value)| (name.clone(), value.clone().unwrap_or_default())).collect()
    }
}

fn truth(word: &str) -> bool {
    matches!(word.trim().to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1")
}

/// `{{ "A" | repeat 500 }}`.
fn expand(text: &str) -> String {
    let template = Regex::new(r#"\{\{-?\s*"((?:[^"\\]|\\.)*)"\s*\|\s*repeat\s+([0-9]+)\s*-?\}\}"#).unwrap();
    let out = template.replace_all(text, |found: &regex::Captures<'_>| {
        let piece = found[1].replace(r"\n", "\n").replace(r"\r", "\r").replace(r"\t", "\t").replace(r#"\""#, "\"");
        piece.repeat(found[2].parse().unwrap())
    });
    out.into_owned()
}

/// A form that has no escapes yet is escaped, name by name and value by value; one that has is left as it is.
fn form(data: Vec<u8>) -> Vec<u8> {
    if data.contains(&b'+') || data.contains(&b'%') {
        return data;
    }
    let mut out = Vec::with_capacity(data.len());
    for (n, pair) in data.split(|&byte| byte == b'&').enumerate() {
        if n > 0 {
            out.push(b'&');
        }
        let mut named = false;
        for &byte in pair {
            match byte {
                b'=' if !named => {
                    named = true;
                    out.push(b'=');
                }
                b' ' => out.push(b'+'),
                b'_' | b'.' | b'-' | b'~' => out.push(byte),
                _ if byte.is_ascii_alphanumeric() => out.push(byte),
                _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            }
        }
    }
    out
}

/// Decodes base64, as far as it is some: bytes that are none are passed over.
pub(crate) fn base64(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for &byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xFF) as u8);
        }
    }
    out
}

#[test]
fn a_request_is_built_as_the_runner_of_crs_builds_it() {
    let input: Input = serde_yaml_ng::from_str(
        "{method: POST, uri: /post, version: HTTP/1.1, headers: {User-Agent: x, Host: 1.10}, data: \"var=1 OR 1=1\"}",
    )
    .unwrap();
    let text = String::from_utf8(input.bytes()).unwrap();
    assert_eq!(
        text,
        "POST /post HTTP/1.1\r\nHost: 1.10\r\nUser-Agent: x\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nContent-Length: 16\r\n\r\nvar=1+OR+1%3D1"
            .replace("Content-Length: 16", "Content-Length: 14")
    );
    assert_eq!(base64(b"R0VUIC8="), b"GET /");
    assert_eq!(expand("a{{ \"xy\" | repeat 3 }}b"), "axyxyxyb");
}
