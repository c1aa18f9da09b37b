//! `portcullis plugin record`

use std::{fs, net::SocketAddr, path::PathBuf};

use anyhow::Context;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use portcullis_plugin::testing::message::{Asked, Message, Recorded};
use portcullis_server::control::{RecordRequest, Request};
use serde_json::Value;

use crate::{
    output::{Outcome, print},
    running::Running,
};

const EXAMPLES: &str = "\
Examples:
  portcullis plugin record --route shop --out tests
  portcullis plugin record --count 20 --seconds 60 --body-limit 256KiB --out tests

Each exchange becomes a case for `portcullis plugin test`: NAME.http as the client and the backend sent it, and NAME.toml with the
connection. `portcullis plugin test --update` then writes what the plugin does with it.";

/// What replaces the values of secrets.
const REDACTED: HeaderValue = HeaderValue::from_static("redacted");

/// Fields whose values let somebody in.
const SECRETS: [HeaderName; 4] =
    [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::SET_COOKIE];

/// Take exchanges from the running process, as cases for `plugin test`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Record {
    /// The folder for the cases
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Only exchanges of this route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,

    /// How many
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: usize,

    /// How long to wait for them, at most 100
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,

    /// What is kept of each body; a longer one is marked as cut
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = size)]
    body_limit: usize,

    /// Keep the values of authorization, cookie and set-cookie
    #[arg(long)]
    with_secrets: bool,

    #[command(flatten)]
    running: Running,
}

fn size(text: &str) -> Result<usize, String> {
    let size: portcullis_config::units::Size = text.parse()?;
    usize::try_from(size.bytes()).map_err(|_| "too large".into())
}

impl Record {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        fs::create_dir_all(&self.out).with_context(|| format!("cannot make the folder {}", self.out.display()))?;
        let request = RecordRequest {
            route: self.route.clone(),
            count: self.count,
            seconds: self.seconds,
            body_bytes: self.body_limit,
        };
        let taken = self.running.ask(&Request::Record(request))?;
        let taken = taken.as_array().map(Vec::as_slice).unwrap_or_default();
        for exchange in taken {
            let name = name(exchange);
            let recorded = recorded(exchange, self.with_secrets)
                .with_context(|| format!("the exchange {} cannot be written as a case", exchange["id"]))?;
            let write = |extension: &str, content: &[u8]| {
                let path = self.out.join(format!("{name}.{extension}"));
                fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
            };
            write("http", &recorded.write())?;
            write("toml", connection(exchange)?.as_bytes())?;
            print(&format!("{}\n", self.out.join(&name).with_extension("http").display()))?;
        }
        if taken.len() < self.count {
            let (found, wanted, seconds) = (taken.len(), self.count, self.seconds);
            print(&format!("{found} of {wanted} exchanges came and ended within {seconds} seconds.\n"))?;
        }
        Ok(if taken.is_empty() { Outcome::Wrong } else { Outcome::Well })
    }
}

/// A file's name: method, path and id, of characters that every file system takes.
fn name(exchange: &Value) -> String {
    let word = |value: &Value, most: usize| -> String {
        let text = value.as_str().unwrap_or_default().split('?').next().unwrap_or_default();
        let plain = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
        plain.take(most).collect::<String>().trim_matches('-').to_owned()
    };
    let request = &exchange["request"];
    let words = [word(&request["method"], 12), word(&request["target"], 40), word(&exchange["id"], 16)];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

fn recorded(exchange: &Value, with_secrets: bool) -> anyhow::Result<Recorded> {
    let request = &exchange["request"];
    let text = |key: &str| request[key].as_str().unwrap_or_default();
    let asked = Asked {
        method: Method::from_bytes(text("method").as_bytes())?,
        target: text("target").parse()?,
        version: match text("version") {
            "HTTP/1.0" => Version::HTTP_10,
            "HTTP/2.0" => Version::HTTP_2,
            "HTTP/3.0" => Version::HTTP_3,
            _ => Version::HTTP_11,
        },
    };
    let mut request = message(asked, request, with_secrets)?;
    if let Some(authority) = exchange["request"]["authority"].as_str()
        && !request.fields.contains_key(header::HOST)
    {
        request.fields.insert(header::HOST, HeaderValue::from_str(authority)?);
    }
    let response = match &exchange["response"] {
        Value::Null => None,
        response => {
            let status = StatusCode::from_u16(u16::try_from(response["status"].as_u64().unwrap_or_default())?)?;
            Some(message(status, response, with_secrets)?)
        }
    };
    Ok(Recorded { request, response })
}

fn message<F>(first: F, said: &Value, with_secrets: bool) -> anyhow::Result<Message<F>> {
    let is_cut = said["whole"] != Value::Bool(true);
    let mut fields = fields(&said["fields"])?;
    if is_cut {
        // It is the length of what was not kept.
        fields.remove(header::CONTENT_LENGTH);
    }
    if !with_secrets {
        for secret in &SECRETS {
            if let header::Entry::Occupied(mut entry) = fields.entry(secret) {
                entry.iter_mut().for_each(|value| *value = REDACTED);
            }
        }
    }
    let trailers = self::fields(&said["trailers"])?;
    Ok(Message {
        first,
        fields,
        body: bytes(&said["body"]),
        trailers: (!trailers.is_empty() && !is_cut).then_some(trailers),
        is_cut,
    })
}

fn fields(said: &Value) -> anyhow::Result<HeaderMap> {
    let mut fields = HeaderMap::new();
    for field in said.as_array().map(Vec::as_slice).unwrap_or_default() {
        let name = HeaderName::from_bytes(field[0].as_str().unwrap_or_default().as_bytes())?;
        fields.try_append(name, HeaderValue::from_bytes(&bytes(&field[1]))?)?;
    }
    Ok(fields)
}

/// Each character is the byte of the same number.
fn bytes(said: &Value) -> Vec<u8> {
    said.as_str().unwrap_or_default().chars().map(|c| c as u8).collect()
}

/// The connection's part of NAME.toml.
fn connection(exchange: &Value) -> anyhow::Result<String> {
    let text = |value: &Value| value.as_str().map(|text| toml::Value::String(text.to_owned()));
    let mut connection = toml::Table::new();
    // An address that cannot be read back would spoil the case.
    if let Some(client) = exchange["client"].as_str().filter(|client| client.parse::<SocketAddr>().is_ok()) {
        connection.insert("client".into(), client.into());
    }
    for (key, value) in
        [("listener", &exchange["listener"]), ("route", &exchange["route"]), ("request_id", &exchange["id"])]
    {
        if let Some(value) = text(value) {
            connection.insert(key.into(), value);
        }
    }
    if let Some(tls) = exchange["tls"].as_object() {
        let known = ["version", "sni", "alpn", "ja4"];
        let table = known.iter().filter_map(|key| Some(((*key).to_owned(), text(tls.get(*key)?)?))).collect();
        connection.insert("tls".into(), toml::Value::Table(table));
    }
    let mut case = toml::Table::new();
    case.insert("connection".into(), toml::Value::Table(connection));
    Ok(toml::to_string(&case)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exchange() -> Value {
        json!({
            "id": "a1", "route": "shop", "listener": "http", "client": "192.0.2.1:4000",
            "tls": { "version": "TLSv1.3", "sni": null, "alpn": "h2", "ja4": null },
            "request": {
                "method": "POST", "target": "/a/b?c=d", "authority": "shop.example.com", "version": "HTTP/2.0",
                "fields": [["cookie", "secret=1"], ["content-length", "9"], ["x-a", "\u{e9}"]],
                "body": "a=1\u{0}\u{ff}", "trailers": [], "whole": false,
            },
            "response": {
                "status": 200, "fields": [["set-cookie", "s=1"], ["set-cookie", "t=2"]], "body": "well",
                "trailers": [["x-sum", "7"]], "whole": true,
            },
        })
    }

    #[test]
    fn what_was_taken_becomes_a_case_that_can_be_read() {
        let written = recorded(&exchange(), false).unwrap().write();
        let read =
            Recorded::parse(&written).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&written)));
        assert_eq!(read.request.first.target, "/a/b?c=d");
        assert_eq!(read.request.fields[header::HOST], "shop.example.com");
        assert_eq!(read.request.fields["x-a"].as_bytes(), b"\xe9");
        assert_eq!(read.request.body, b"a=1\0\xff");
        assert!(read.request.is_cut);
        let response = read.response.unwrap();
        assert_eq!((response.first.as_u16(), &*response.body), (200, &b"well"[..]));
        assert_eq!(response.trailers.unwrap()["x-sum"], "7");
        assert_eq!(response.fields.get_all(header::SET_COOKIE).iter().collect::<Vec<_>>(), ["redacted", "redacted"]);
        assert_eq!(name(&exchange()), "post-a-b-a1");
        let toml = connection(&exchange()).unwrap();
        assert!(toml.contains("alpn = \"h2\"") && toml.contains("client = \"192.0.2.1:4000\""), "{toml}");
    }

    #[test]
    fn secrets_are_kept_only_when_asked_for() {
        let text = |with| String::from_utf8_lossy(&recorded(&exchange(), with).unwrap().write()).into_owned();
        assert!(!text(false).contains("secret=1"));
        assert!(text(true).contains("secret=1"));
    }
}
