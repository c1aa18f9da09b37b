//! Requests that were kept: as HTTP text in files, and as records of an audit log.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde_json::Value;
use waf_engine::trial::{self, Request};

/// Most bytes of one file.
const LARGEST: u64 = 256 << 20;

/// A request, and from where it came as far as that is known.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) request: Request,
    pub(crate) client: Option<IpAddr>,
}

/// Requests, and what could not be read of them.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) records: Vec<Recorded>,
    /// Lines that are no record of a transaction.
    unread: usize,
    /// Requests whose body the log does not have (`SecAuditLogParts` without C), though they had one.
    without_body: usize,
}

impl Kept {
    /// What the reader should know of them; empty where all is well.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.unread > 0 {
            remarks.push(format!("{} lines are no records of transactions and were passed over", self.unread));
        }
        if self.without_body > 0 {
            remarks.push(format!(
                "{} requests had bodies that the audit log does not have: with C in SecAuditLogParts it has them",
                self.without_body
            ));
        }
        remarks
    }
}

/// All requests of files, folders (`*.http` in them) and audit logs (`*.json`, `*.jsonl`, `*.log`).
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Kept> {
    let mut kept = Kept::default();
    for path in paths {
        if path.is_dir() {
            folder(path, &mut kept.records)?;
        } else if path.extension().is_some_and(|kind| kind == "json" || kind == "jsonl" || kind == "log") {
            audit_log(path, &mut kept)?;
        } else {
            kept.records.push(file(path)?);
        }
    }
    if kept.records.is_empty() {
        bail!("there is no request in what was named");
    }
    Ok(kept)
}

/// `*.http` of a folder and those in it, by path.
fn folder(path: &Path, found: &mut Vec<Recorded>) -> anyhow::Result<()> {
    let mut open = vec![path.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            // A link to a folder is not followed: it may lead back.
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.path().extension().is_some_and(|kind| kind == "http") {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    for path in files {
        found.push(file(&path)?);
    }
    Ok(())
}

/// One request as HTTP text. What follows it, such as the response of a recorded exchange, is left alone.
pub(crate) fn file(path: &Path) -> anyhow::Result<Recorded> {
    let bytes = content(path)?;
    let Some(mut request) = trial::first_request(&bytes) else {
        bail!("{} is no request: a request line, header fields, an empty line", path.display());
    };
    // Written in an editor, and nobody counted: the body is what there is.
    let framed = request.field("content-length").is_some() || request.field("transfer-encoding").is_some();
    if !framed && let Some(end) = end_of_head(&bytes) {
        let body = &bytes[end..];
        if !body.trim_ascii().is_empty() && !body.starts_with(b"HTTP/") {
            request.body =
                body.strip_suffix(b"\n").map_or(body, |body| body.strip_suffix(b"\r").unwrap_or(body)).to_vec();
            // Whoever sends it will write the length.
            request.fields.push((b"Content-Length".to_vec(), request.body.len().to_string().into_bytes()));
        }
    }
    Ok(Recorded { request, client: None })
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let place = |separator: &[u8]| bytes.windows(separator.len()).position(|here| here == separator);
    let wire = place(b"\r\n\r\n").map(|at| at + 4);
    let editor = place(b"\n\n").map(|at| at + 2);
    [wire, editor].into_iter().flatten().min()
}

fn content(path: &Path) -> anyhow::Result<Vec<u8>> {
    let length = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if length > LARGEST {
        bail!("{} has {length} bytes; more than {LARGEST} are not read at once: cut it into pieces", path.display());
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Reads a log of JSON records, one a line, as `SecAuditLogFormat JSON` has it.
fn audit_log(path: &Path, log: &mut Kept) -> anyhow::Result<()> {
    for line in content(path)?.split(|&byte| byte == b'\n') {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record = serde_json::from_str::<Value>(&String::from_utf8_lossy(line)).ok();
        match record.and_then(|record| transaction(&record["transaction"])) {
            None => log.unread += 1,
            Some((request, client)) => {
                let length =
                    request.field("content-length").and_then(|length| str::from_utf8(length).ok()?.parse().ok());
                if request.body.is_empty() && length.unwrap_or(0_u64) > 0 {
                    log.without_body += 1;
                }
                log.records.push(Recorded { request, client });
            }
        }
    }
    Ok(())
}

fn transaction(record: &Value) -> Option<(Request, Option<IpAddr>)> {
    let request = &record["request"];
    let mut fields = Vec::new();
    for (name, value) in request["headers"].as_object()? {
        // A repeated field is a list.
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            fields.push((name.clone().into_bytes(), text(value)?));
        }
    }
    let version = match &request["http_version"] {
        Value::String(version) => version.clone(),
        Value::Number(version) => version.to_string(),
        _ => "1.1".into(),
    };
    let protocol = if version.starts_with("HTTP/") { version } else { format!("HTTP/{version}") };
    let request = Request {
        method: text(&request["method"])?,
        target: text(&request["uri"])?,
        protocol: protocol.into_bytes(),
        fields,
        body: text(&request["body"]).unwrap_or_default(),
    };
    let client = record["client_ip"].as_str().and_then(|address| address.parse().ok());
    Some((request, client))
}

fn text(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(|text| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waf::{
        rules::Wanted,
        trial::{Manner, judge},
    };

    #[test]
    fn a_record_of_an_audit_log_is_a_request() {
        let record = serde_json::json!({
            "client_ip": "192.0.2.7",
            "request": {
                "method": "POST", "http_version": 1.1, "uri": "/a?b=c", "body": "d=e",
                "headers": { "Host": "x", "Cookie": ["a=1", "b=2"] }
            }
        });
        let (request, client) = transaction(&record).unwrap();
        assert_eq!((&request.target[..], &request.body[..]), (&b"/a?b=c"[..], &b"d=e"[..]));
        assert_eq!(request.protocol, b"HTTP/1.1");
        assert_eq!(request.fields.len(), 3);
        assert_eq!(client, Some("192.0.2.7".parse().unwrap()));
        assert!(transaction(&serde_json::json!({ "request": { "method": "GET" } })).is_none());
    }

    #[test]
    fn what_the_engine_writes_down_is_the_request_again() {
        let folder = tempfile::tempdir().unwrap();
        let (rules, log) = (folder.path().join("rules.conf"), folder.path().join("audit.jsonl"));
        fs::write(&rules, "SecAuditEngine On\nSecAuditLogParts ABCFHZ\n").unwrap();
        let loaded = Wanted::of(vec![rules.display().to_string()]).load().unwrap();
        let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let request = Request {
            method: b"POST".to_vec(),
            target: b"/a%20b?c=\"d\"".to_vec(),
            protocol: b"HTTP/1.1".to_vec(),
            fields: vec![
                field("Content-Length", "9"),
                field("Content-Type", "application/x-www-form-urlencoded"),
                field("Cookie", "a=1"),
                field("Cookie", "b=2"),
            ],
            body: "e=f&g=\u{e4}%31".into(),
        };
        let client = Some("192.0.2.7".parse().unwrap());
        let (transaction, _) = judge(&loaded.engine, &request, client, Manner::default());
        fs::write(&log, transaction.audit(&loaded.engine).unwrap()).unwrap();
        let kept = read(&[log]).unwrap();
        let [Recorded { request: found, client: from }] = &kept.records[..] else { panic!("{kept:?}") };
        let mut fields = found.fields.clone();
        fields.sort();
        assert_eq!((fields, *from), (request.fields.clone(), client));
        assert_eq!(Request { fields: Vec::new(), ..found.clone() }, Request { fields: Vec::new(), ..request });
        assert!(kept.remarks().is_empty());
    }

    #[test]
    fn a_request_from_an_editor_has_a_body() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.http");
        fs::write(&path, "POST /login HTTP/1.1\nHost: a\n\nuser=x&password=y\n").unwrap();
        assert_eq!(file(&path).unwrap().request.body, b"user=x&password=y");
        fs::write(&path, "GET / HTTP/1.1\nHost: a\n\nHTTP/1.1 200 OK\n\n").unwrap();
        assert!(file(&path).unwrap().request.body.is_empty());
    }
}
