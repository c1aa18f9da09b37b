//! The regression files of libmodsecurity, in process. What they expect of its debug log is judged by behaviour: see `debug_log.rs`.
//! `REGRESSION_TEST=variable-RULE` runs one file and prints the log of each case.

use std::{fs, net::IpAddr, path::Path};

use regex::Regex;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use waf_engine::{
    transaction::{Engine, Transaction},
    trial::{self, Request, Response},
    world::Ends,
};

use crate::{
    debug_log,
    exceptions::Exceptions,
    support::{self, Source},
};

#[derive(Deserialize)]
struct Case {
    title: String,
    #[serde(default)]
    client: End,
    #[serde(default)]
    server: End,
    #[serde(default)]
    request: Option<RawRequest>,
    #[serde(default)]
    response: Option<RawResponse>,
    expected: Expected,
    rules: Vec<String>,
}

#[derive(Deserialize)]
#[serde(default)]
struct End {
    ip: IpAddr,
    port: u16,
}

impl Default for End {
    fn default() -> Self {
        Self { ip: IpAddr::from([127, 0, 0, 1]), port: 80 }
    }
}

#[derive(Deserialize)]
struct RawRequest {
    uri: String,
    method: String,
    http_version: Option<serde_json::Value>,
    #[serde(default)]
    headers: Fields,
    #[serde(default)]
    body: Lines,
}

#[derive(Deserialize, Default)]
struct RawResponse {
    #[serde(default)]
    headers: Fields,
    #[serde(default)]
    body: Lines,
    protocol: Option<String>,
}

#[derive(Deserialize)]
struct Expected {
    http_code: Option<u16>,
    redirect_url: Option<String>,
    #[serde(default)]
    debug_log: String,
    #[serde(default)]
    error_log: String,
    #[serde(default)]
    parser_error: String,
}

/// An object whose keys may come again.
#[derive(Default)]
struct Fields(Vec<(Vec<u8>, Vec<u8>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("header fields")
            }

            // Some files have an empty text for no fields at all.
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Fields, E> {
                if text.is_empty() { Ok(Fields::default()) } else { Err(E::custom("a text is no header field")) }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    fields.push((name.into_bytes(), value.into_bytes()));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_any(Pairs)
    }
}

/// A text, or its lines.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lines {
    Whole(String),
    Pieces(Vec<String>),
}

impl Default for Lines {
    fn default() -> Self {
        Self::Whole(String::new())
    }
}

impl Lines {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Whole(text) => text.clone().into_bytes(),
            // Every line has its end, the last one too.
            Self::Pieces(lines) => lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect(),
        }
    }
}

#[test]
fn regression_files_of_libmodsecurity_come_out_as_they_say() {
    let Some(shared) = support::shared() else { return };
    let folder = shared.join("libmodsecurity-regression");
    let only = std::env::var("REGRESSION_TEST").ok();
    let (unjudged, textless) = (Exceptions::read("regression"), Exceptions::read("regression-text"));
    let mut names = Vec::new();
    let (mut failures, mut astonishing) = (Vec::new(), Vec::new());
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    for path in paths {
        let file = path.file_stem().unwrap().to_str().unwrap();
        if only.as_ref().is_some_and(|only| only != file) {
            continue;
        }
        let cases: Vec<Case> = serde_json::from_slice(&fs::read(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for case in cases {
            let name = name(&names, &format!("{file}: {}", case.title));
            let why = run(&folder, &case, textless.has(&name), only.is_some());
            match (why.is_empty(), unjudged.has(&name)) {
                (true, true) => astonishing.push(name.clone()),
                (false, false) => failures.push(format!("{name}: {}", why.join("; "))),
                _ => {}
            }
            names.push(name);
        }
    }
    println!("{} cases, {} failed", names.len(), failures.len());
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
    if only.is_none() {
        assert!(astonishing.is_empty(), "no exceptions any more: {}", astonishing.join(", "));
    }
}

/// Some titles are there more than once.
fn name(known: &[String], title: &str) -> String {
    let mut name = title.to_owned();
    let mut number = 1;
    while known.contains(&name) {
        number += 1;
        name = format!("{title} #{number}");
    }
    name
}

fn run(folder: &Path, case: &Case, textless: bool, talk: bool) -> Vec<String> {
    // Where a file says nothing of them, libmodsecurity takes rules and bodies for switched on.
    let defaults = Source::Text("defaults", "SecRuleEngine On\nSecRequestBodyAccess On\n");
    // Paths in the files begin with the folder that its tests lie in.
    let text = case.rules.join("\n").replace("test-cases/", "");
    let claims = debug_log::claims(&case.expected.debug_log, &text);
    let probes = debug_log::probes(&claims);
    // The probes come first: some files end in the middle of a chain.
    let sources = [defaults, Source::Text("probes", &probes), Source::Text("rules", &text)];
    let load = || support::load(folder, &sources);
    let rules = match (load(), case.expected.parser_error.is_empty()) {
        (Ok(rules), true) => rules,
        (Ok(_), false) => return vec![format!("loads, instead of: {}", case.expected.parser_error)],
        (Err(problems), true) => return vec![format!("does not load: {problems}")],
        (Err(_), false) => return Vec::new(),
    };
    let known = debug_log::Known::of(&rules);
    // Without shortcuts, so that every question is asked and seen.
    let engine = Engine::plain(rules);
    let (request, response) = (case.request(), case.response());
    let ends = Ends {
        client: case.client.ip,
        client_port: case.client.port,
        server: case.server.ip,
        server_port: case.server.port,
    };
    let mut transaction = Transaction::begin(&engine, &support::start(ends.clone()));
    transaction.watch();
    let answer = |_: &Request| response.clone();
    let intervention = trial::judge(&engine, &support::world(), &mut transaction, &request, &answer);
    let mut why = Vec::new();
    let quick = Engine::new(load().unwrap());
    let (_, quickly) = trial::begin_and_judge(&quick, &support::world(), &support::start(ends), &request, &answer);
    if quickly != intervention {
        why.push(format!("with shortcuts {quickly:?}, without {intervention:?}"));
    }
    let status = intervention.as_ref().map_or(200, |intervention| intervention.status);
    let expected = case.expected.http_code.unwrap_or(200);
    if status != expected {
        why.push(format!("status {status}, not {expected}"));
    }
    if let Some(url) = case.expected.redirect_url.as_ref().filter(|url| !url.is_empty()) {
        let found = intervention.as_ref().and_then(|intervention| intervention.redirect.clone()).unwrap_or_default();
        if found != url.as_bytes() {
            why.push(format!("redirect to {:?}, not {url}", String::from_utf8_lossy(&found)));
        }
    }
    let errors = debug_log::error_log(&transaction, intervention.as_ref(), &known);
    let log = debug_log::debug_log(&engine, &transaction, &known, intervention.as_ref(), &response);
    if talk {
        println!("## {}\n{log}{errors}", case.title);
    }
    if !textless {
        for claim in &claims {
            if let Err(reason) = claim.holds(&log, &transaction) {
                why.push(reason);
            }
        }
        let wanted = &case.expected.error_log;
        if !wanted.is_empty() && !pattern(wanted).is_match(&errors) {
            why.push(format!("no error matches {wanted:?} in {errors:?}"));
        }
    }
    why
}

impl Case {
    fn request(&self) -> Request {
        let Some(raw) = &self.request else {
            return Request {
                method: b"GET".into(),
                target: b"/".into(),
                protocol: b"HTTP/1.1".into(),
                ..Request::default()
            };
        };
        let version = raw.http_version.as_ref().map_or_else(
            || "1.1".to_owned(),
            |version| version.as_str().map_or_else(|| format!("{version:.1}"), str::to_owned),
        );
        Request {
            method: raw.method.clone().into(),
            target: raw.uri.clone().into(),
            protocol: format!("HTTP/{version}").into(),
            fields: raw.headers.0.clone(),
            body: raw.body.bytes(),
        }
    }

    fn response(&self) -> Response {
        let (fields, body, protocol) = self
            .response
            .as_ref()
            .map_or_else(Default::default, |raw| (raw.headers.0.clone(), raw.body.bytes(), raw.protocol.clone()));
        let protocol = protocol.unwrap_or_else(|| "HTTP/1.1".to_owned()).into_bytes();
        Response { status: 200, protocol, fields, body }
    }
}

/// A regular expression of the files: over the whole log, as libmodsecurity searches.
pub(crate) fn pattern(text: &str) -> Regex {
    Regex::new(&format!("(?smi){text}")).unwrap_or_else(|_| Regex::new(&regex::escape(text)).unwrap())
}
