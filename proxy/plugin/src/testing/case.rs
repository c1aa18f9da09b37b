//! A case: an exchange, what the plugin is given with it, and what is expected.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::Value as Json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    message::Recorded,
    outcome::{Outcome, Text},
    script::Scripted,
};
use crate::{BuildError, Facts, KeyValue, Refused, TlsFacts};

/// The clock of cases that say nothing: 2026-01-01 00:00 UTC, in nanoseconds since 1970.
const NOW: u64 = 1_767_225_600 * NANOSECONDS;
const NANOSECONDS: u64 = 1_000_000_000;

/// The line that what is expected begins with. Everything after it is written by [`Case::updated`].
const EXPECT: &str = "[expect";

/// Bytes of a file that is read.
const FILE_MAX: u64 = 256 << 20;

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The files' name without its end.
    pub name: String,
    /// The exchange.
    pub recorded: Recorded,
    /// The plugin's table as JSON text.
    pub config: String,
    /// Nanoseconds since 1970.
    pub now: u64,
    /// Who is on the other side.
    pub connection: Connection,
    /// Values that are there before.
    pub key_value: BTreeMap<String, Stored>,
    /// Answers of backends.
    pub http: Vec<Scripted>,
    /// What is expected; `None` if it was not written down yet.
    pub expect: Option<Outcome>,
    /// The TOML before what is expected.
    given: String,
}

/// What the TOML file has.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    config: Option<toml::Table>,
    now: Option<toml::value::Datetime>,
    connection: Connection,
    key_value: BTreeMap<String, Stored>,
    http: Vec<Scripted>,
    expect: Option<Outcome>,
}

/// Facts about the connection, all of them with a value that tests mostly do not care for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connection {
    /// The client's address and port.
    pub client: SocketAddr,
    /// The address that the TCP connection came from, if not the client's.
    pub peer: Option<SocketAddr>,
    /// The proxy's end of it.
    pub server: SocketAddr,
    /// The listener's name.
    pub listener: String,
    /// The route's name.
    pub route: String,
    /// The request's id.
    pub request_id: String,
    /// There on TLS connections.
    pub tls: Option<Tls>,
}

/// What a handshake settled.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The name asked for.
    pub sni: Option<String>,
    /// The protocol agreed on.
    pub alpn: Option<String>,
    /// The subject of the client's certificate.
    pub client_certificate: Option<String>,
    /// The fingerprint.
    pub ja4: Option<String>,
}

/// A value that is there before: a number as `add` makes it, or bytes.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Stored {
    /// A number.
    Number(i64),
    /// Bytes.
    Bytes(Text),
}

impl Stored {
    pub(super) fn put(&self, values: &KeyValue, key: &str) -> Result<(), Refused> {
        match self {
            Self::Number(number) => values.add(key, *number, None).map(drop),
            Self::Bytes(bytes) => values.set(key, &bytes.0, None),
        }
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            client: ([192, 0, 2, 1], 40000).into(),
            peer: None,
            server: ([192, 0, 2, 2], 443).into(),
            listener: "test".into(),
            route: "test".into(),
            request_id: "0123456789abcdef".into(),
            tls: None,
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self { version: "TLSv1.3".into(), sni: None, alpn: None, client_certificate: None, ja4: None }
    }
}

impl Connection {
    /// As the host tells a plugin.
    pub(super) fn facts(&self) -> Facts {
        Facts {
            client: self.client,
            peer: self.peer.unwrap_or(self.client),
            server: self.server,
            tls: self.tls.as_ref().map(|tls| {
                Arc::new(TlsFacts {
                    version: tls.version.clone(),
                    sni: tls.sni.clone(),
                    alpn: tls.alpn.clone(),
                    client_certificate: tls.client_certificate.clone(),
                    ja4: tls.ja4.clone(),
                })
            }),
            listener: self.listener.as_str().into(),
            route: self.route.as_str().into(),
            request_id: self.request_id.as_str().into(),
            absolute_target: None,
        }
    }
}

impl Case {
    /// All cases of a folder, by name: each `NAME.http`, with `NAME.toml` where there is one. `config` is the plugin's table, as JSON
    /// text, for cases that have none of their own.
    ///
    /// # Errors
    /// When a file cannot be read or is wrong, or there is no case.
    pub fn load(folder: &Path, config: &str) -> Result<Vec<Self>, BuildError> {
        let unreadable = |path: &Path, error| BuildError(format!("{} cannot be read: {error}", path.display()));
        let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
        let mut cases = Vec::new();
        let mut without = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| unreadable(folder, error))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("http") => {}
                Some("toml") => {
                    if !path.with_extension("http").exists() {
                        without.push(path);
                    }
                    continue;
                }
                _ => continue,
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let recorded = read(&path)?.unwrap_or_default();
            let wrong = |path: &Path, error: BuildError| BuildError(format!("{}: {error}", path.display()));
            let recorded = Recorded::parse(&recorded).map_err(|error| wrong(&path, error))?;
            let golden = path.with_extension("toml");
            let text = read(&golden)?.unwrap_or_default();
            let text = String::from_utf8(text).map_err(|_| wrong(&golden, BuildError("it is not UTF-8".to_owned())))?;
            cases.push(Self::parse(name, recorded, text, config).map_err(|error| wrong(&golden, error))?);
        }
        // The plugin's manifest may lie in the same folder.
        if let Some(alone) = without.iter().find(|path| path.file_name().is_none_or(|name| name != "plugin.toml")) {
            return Err(BuildError(format!(
                "{} has no exchange: there is no {} beside it",
                alone.display(),
                alone.with_extension("http").display()
            )));
        }
        if cases.is_empty() {
            return Err(BuildError(format!("{} has no case, that is, no file NAME.http", folder.display())));
        }
        cases.sort_by(|a: &Self, b| a.name.cmp(&b.name));
        Ok(cases)
    }

    /// A case from its parts; `text` is the TOML, which may be empty.
    ///
    /// # Errors
    /// When the TOML is wrong.
    pub fn parse(name: String, recorded: Recorded, text: String, config: &str) -> Result<Self, BuildError> {
        let File { config: own, now, connection, key_value, http, expect } =
            toml::from_str(&text).map_err(|error| BuildError(error.to_string().trim_end().to_owned()))?;
        let given = given(&text)?;
        let now = match now {
            None => NOW,
            Some(now) => OffsetDateTime::parse(&now.to_string(), &Rfc3339)
                .ok()
                .and_then(|now| u64::try_from(now.unix_timestamp_nanos()).ok())
                .ok_or_else(|| {
                    BuildError(format!(
                        "now = {now}: write a moment after 1970 with its offset, as 2026-01-01T00:00:00Z"
                    ))
                })?,
        };
        let config = own.map_or_else(|| config.to_owned(), table_as_json);
        Ok(Self { name, recorded, config, now, connection, key_value, http, expect, given })
    }

    /// The TOML with `found` as what is expected. What stands before is kept, comments too.
    ///
    /// # Errors
    /// Never in practice: everything that is found can be written as TOML.
    pub fn updated(&self, found: &Outcome) -> Result<String, BuildError> {
        let expected = write(found)?;
        let given = self.given.trim_end();
        Ok(if given.is_empty() { expected } else { format!("{given}\n\n{expected}") })
    }
}

/// A table of TOML as JSON text, as the proxy hands a plugin its own.
pub fn table_as_json(table: toml::Table) -> String {
    json(toml::Value::Table(table)).to_string()
}

/// What is expected, as it stands in the file.
pub(super) fn write(outcome: &Outcome) -> Result<String, BuildError> {
    #[derive(serde::Serialize)]
    struct Expect<'a> {
        expect: &'a Outcome,
    }
    toml::to_string(&Expect { expect: outcome }).map_err(|error| BuildError(error.to_string()))
}

/// A file's content; `None` where there is no file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, BuildError> {
    let unreadable = |error| BuildError(format!("{} cannot be read: {error}", path.display()));
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
        Ok(metadata) if metadata.len() > FILE_MAX => {
            return Err(BuildError(format!("{} has more than {} MiB", path.display(), FILE_MAX >> 20)));
        }
        Ok(_) => {}
    }
    std::fs::read(path).map(Some).map_err(unreadable)
}

/// What stands before the expectations, which are the last thing in the file.
fn given(text: &str) -> Result<String, BuildError> {
    let is_expect = |line: &str| line.trim_start().starts_with(EXPECT);
    let begins = text.split_inclusive('\n').take_while(|line| !is_expect(line)).map(str::len).sum::<usize>();
    let (given, expected) = text.split_at(begins);
    // What the part before does not have is what the part after has: no other table may stand there.
    let other = toml::from_str::<toml::Table>(expected)
        .map_err(|error| BuildError(error.to_string()))?
        .into_iter()
        .find(|(key, _)| key != "expect");
    match other {
        Some((key, _)) => Err(BuildError(format!("`{key}` stands after [expect], which must be the last in the file"))),
        None => Ok(given.to_owned()),
    }
}

/// Moments become their text, as in the proxy's configuration.
fn json(value: toml::Value) -> Json {
    match value {
        toml::Value::String(text) => Json::String(text),
        toml::Value::Integer(number) => Json::from(number),
        toml::Value::Float(number) => Json::from(number),
        toml::Value::Boolean(value) => Json::Bool(value),
        toml::Value::Datetime(moment) => Json::String(moment.to_string()),
        toml::Value::Array(values) => values.into_iter().map(json).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, json(value))).collect(),
    }
}

impl Case {
    /// What the plugin may take in all calls of this case without a warning is for the suite to say; this is for the summary.
    pub(super) const DURATION: Duration = Duration::from_millis(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(text: &str) -> Result<Case, String> {
        let recorded = Recorded::parse(b"### request\nGET / HTTP/1.1\n").unwrap();
        Case::parse("a".into(), recorded, text.into(), "{\"of\":\"all\"}").map_err(|error| error.0)
    }

    #[test]
    fn reads_what_the_plugin_is_given() {
        let text = "now = 2026-11-21T14:00:00Z\n[config]\nkey = [1, 2.5, true]\nday = 2026-01-02\n[connection]\nclient = \"[2001:db8::1]:1\"\n\
                    tls.sni = \"a.example\"\n[key_value]\nhits = 3\n\"a b\" = \"text\"\nraw = { base64 = \"/w==\" }\n[[http]]\nbackend = \"idp\"\nerror = \"timeout\"\n";
        let case = case(text).unwrap();
        assert_eq!(case.now, 1_795_269_600 * NANOSECONDS);
        assert_eq!(case.config, r#"{"day":"2026-01-02","key":[1,2.5,true]}"#);
        let facts = case.connection.facts();
        assert_eq!((facts.client, facts.peer), (facts.peer, "[2001:db8::1]:1".parse().unwrap()));
        assert_eq!(facts.tls.unwrap().version, "TLSv1.3");
        let values = KeyValue::new(1 << 20);
        case.key_value.iter().for_each(|(key, value)| value.put(&values, key).unwrap());
        assert_eq!(values.get("hits"), Ok(Some(b"3".to_vec())));
        assert_eq!(values.add("hits", 1, None), Ok(4));
        assert_eq!(values.get("raw"), Ok(Some(vec![0xff])));
        assert!(case.expect.is_none());
    }

    #[test]
    fn a_case_without_a_table_has_that_of_all() {
        assert_eq!(case("").unwrap().config, "{\"of\":\"all\"}");
        assert_eq!(case("config = {}").unwrap().config, "{}");
    }

    #[test]
    fn updating_keeps_what_a_person_wrote() {
        let text = "# why\n[config]\na = 1 # kept\n\n[expect]\nlog = [\"info: x\"]\n[expect.request_head]\nverdict = \"close\"\n";
        let mut case = case(text).unwrap();
        let mut found = case.expect.clone().unwrap();
        assert_eq!(case.updated(&found).unwrap(), text.replace("]\n[expect.r", "]\n\n[expect.r"));
        found.log.push("two\nlines \"quoted\"".into());
        let updated = case.updated(&found).unwrap();
        assert!(updated.starts_with("# why\n[config]\na = 1 # kept\n\n[expect]\n"), "{updated}");
        case = self::case(&updated).unwrap();
        assert_eq!(case.expect, Some(found));
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(case("confg = {}").unwrap_err().contains("unknown field `confg`"));
        assert!(case("[expect]\n[config]\na = 1\n").unwrap_err().contains("`config` stands after [expect]"));
        assert!(case("now = 2026-01-01").unwrap_err().contains("with its offset"));
        assert!(case("[expect.request_head]\nverdict = \"edits\"\n").unwrap_err().contains("`edit`"));
    }
}
