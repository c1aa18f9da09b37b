use std::{
    fs,
    io::Read,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

use portcullis_config::log::AccessFormat;
use proptest::prelude::*;
use serde_json::Value;
use smallvec::smallvec;

use super::*;
use crate::{
    error::{Error, Kind, Retry},
    record::{Attempt, Choice, Connection, End, ExchangeKind, NearMiss, Predicate, Record, Tls},
};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn record() -> Record {
    Record {
        id: "k3".into(),
        started: UNIX_EPOCH + Duration::from_micros(1_000_001),
        connection: Arc::new(Connection {
            id: 7,
            listener: "https".into(),
            local: address("192.0.2.1:443"),
            peer: address("203.0.113.9:5555"),
            client: address("203.0.113.9:5555"),
            tls: None,
        }),
        generation: 3,
        kind: ExchangeKind::Http,
        method: "GET".into(),
        target: "/api?q=1".into(),
        host: "shop.example.com".into(),
        version: "HTTP/1.1",
        user_agent: None,
        client: address("203.0.113.9:5555"),
        route: Some("api".into()),
        misses: smallvec![],
        backend: Some("api".into()),
        attempts: smallvec![Attempt {
            address: address("[2001:db8::1]:3001"),
            name: "".into(),
            chosen: Choice::Only,
            dns_age: None,
            dns_stale: false,
            reused: true,
            connect: None,
            error: None,
        }],
        status: 200,
        plugins: Vec::new(),
        decided_by: None,
        received: 0,
        sent: 1042,
        error: None,
        end: End::Complete,
        first_byte: Some(Duration::from_micros(3400)),
        total: Duration::from_micros(3450),
    }
}

/// Every text field says `text`, and every optional part is there.
fn odd(text: &str) -> Record {
    let mut record = record();
    record.connection = Arc::new(Connection {
        listener: text.into(),
        peer: address("[fe80::1%3]:1"),
        tls: Some(Tls {
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256",
            sni: Some(text.into()),
            alpn: Some("h2"),
            certificate: Some(text.into()),
            resumed: true,
            ja4: None,
        }),
        ..(*record.connection).clone()
    });
    for field in [&mut record.id, &mut record.method, &mut record.target, &mut record.host] {
        *field = text.into();
    }
    record.user_agent = Some(text.into());
    record.route = Some(text.into());
    record.backend = Some(text.into());
    record.misses = smallvec![NearMiss { route: text.into(), failed: Predicate::Path }; 2];
    record.attempts[0].name = text.into();
    record.attempts[0].dns_age = Some(Duration::from_secs(3));
    record.attempts[0].dns_stale = true;
    let error = Error::backend(Kind::ConnectionRefused, Retry::Unsent, text.to_owned());
    let mut failed = record.attempts[0].clone();
    failed.error = Some(error.clone());
    record.attempts.insert(0, failed);
    record.error = Some(error);
    record.end = End::Aborted;
    record
}

fn line(write: fn(&Record, &mut Vec<u8>), record: &Record) -> String {
    let mut out = Vec::new();
    write(record, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn json_line_has_documented_fields_in_order() {
    assert_eq!(
        line(json, &record()),
        concat!(
            r#"{"time":"1970-01-01T00:00:01.000001Z","id":"k3","kind":"http","generation":3,"listener":"https","#,
            r#""connection":7,"client":"203.0.113.9:5555","local":"192.0.2.1:443","version":"HTTP/1.1","#,
            r#""method":"GET","host":"shop.example.com","target":"/api?q=1","route":"api","backend":"api","#,
            r#""endpoint":"[2001:db8::1]:3001","chosen":"only","reused":true,"status":200,"received":0,"sent":1042,"#,
            r#""first_byte_us":3400,"total_us":3450,"end":"complete"}"#,
            "\n"
        )
    );
}

#[test]
fn every_json_field_is_documented() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating.md")).unwrap();
    let value: Value = serde_json::from_str(&line(json, &odd("x"))).unwrap();
    for key in value.as_object().unwrap().keys() {
        assert!(page.contains(&format!("| `{key}` |")), "docs/operating.md does not document `{key}`");
    }
}

#[test]
fn human_line_reads_left_to_right() {
    assert_eq!(
        line(human, &record()),
        "1970-01-01T00:00:01.000001Z 200 GET shop.example.com /api?q=1 203.0.113.9 3.4ms 1042B \
         route=api backend=api endpoint=[2001:db8::1]:3001 id=k3\n"
    );
}

#[test]
fn client_cannot_forge_a_line_or_a_field() {
    let forged = "/\n1970-01-01T00:00:02.000000Z 200 GET admin / 127.0.0.1 1us 0B route=\"x\" id=\u{1b}[2J\u{202e}";
    for text in [line(human, &odd(forged)), line(json, &odd(forged))] {
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.ends_with('\n'));
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']));
    }
    assert!(line(human, &odd("/a id=forged")).contains(" \"/a id=forged\" "));
}

proptest! {
    #[test]
    fn json_line_is_valid_json_that_gives_the_text_back(text in any::<String>()) {
        let line = line(json, &odd(&text));
        prop_assert_eq!(line.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        if !text.is_empty() {
            for key in ["id", "listener", "target", "host", "user_agent", "sni", "endpoint_name", "detail"] {
                prop_assert_eq!(value[key].as_str(), Some(&*text), "{}", key);
            }
        }
        prop_assert_eq!(value["misses"].as_array().unwrap().len(), 2);
        prop_assert_eq!(value["attempts"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn human_line_is_one_line_without_control_characters(text in any::<String>()) {
        let line = line(human, &odd(&text));
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert!(!line[..line.len() - 1].contains(char::is_control));
    }
}

/// Waits until `done`, trying again every few milliseconds, for ten seconds at most.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < end, "not within ten seconds: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn lines_in(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[test]
fn last_lines_are_written_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let writer = Writer::start(Target::File(path.clone())).unwrap();
    let mut log = writer.log(AccessFormat::Json);
    for _ in 0..1000 {
        log.write(&record());
    }
    drop(log);
    drop(writer);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1000);
    for line in text.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

#[test]
fn format_off_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let writer = Writer::start(Target::File(path.clone())).unwrap();
    let mut log = writer.log(AccessFormat::Off);
    log.write(&record());
    drop(log);
    drop(writer);
    assert_eq!(lines_in(&path), 0);
}

#[test]
fn file_is_opened_again_after_rotation_and_after_removal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let rotated = dir.path().join("access.log.1");
    let writer = Writer::start(Target::File(path.clone())).unwrap();
    let mut log = writer.log(AccessFormat::Json);

    log.write(&record());
    log.flush();
    eventually("the first line", || lines_in(&path) == 1);

    fs::rename(&path, &rotated).unwrap();
    eventually("a new file", || path.exists());
    log.write(&record());
    log.flush();
    eventually("the second line in the new file", || lines_in(&path) == 1);
    assert_eq!(lines_in(&rotated), 1);

    fs::remove_file(&path).unwrap();
    eventually("a new file after removal", || path.exists());
    log.write(&record());
    log.flush();
    eventually("the third line", || lines_in(&path) == 1);
    assert_eq!(writer.dropped(), 0);
}

#[test]
fn lines_are_dropped_and_counted_when_writing_fails() {
    // Every write to this device fails with "no space left".
    let writer = Writer::start(Target::File("/dev/full".into())).unwrap();
    let mut log = writer.log(AccessFormat::Json);
    log.write(&record());
    log.write(&record());
    log.flush();
    eventually("both lines counted", || writer.dropped() == 2);
    log.write(&record());
    drop(log);
    eventually("the third one too", || writer.dropped() == 3);
}

#[test]
fn worker_never_waits_for_a_stuck_reader() {
    // A named pipe whose reader never reads: the thread blocks, the queue fills, lines are dropped.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK;
    let mut reader = fs::File::from(rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap());
    let writer = Writer::start(Target::File(path.clone())).unwrap();
    let mut log = writer.log(AccessFormat::Json);
    let start = Instant::now();
    while writer.dropped() == 0 {
        log.write(&record());
        assert!(start.elapsed() < Duration::from_secs(20), "the queue has a bound");
    }
    // Once somebody reads, it goes on, and the end does not hang.
    let end = thread::spawn(move || {
        drop(log);
        drop(writer);
    });
    let mut piece = [0; 65536];
    eventually("the end", || {
        while reader.read(&mut piece).is_ok() {}
        end.is_finished()
    });
    end.join().unwrap();
}

#[test]
fn unopenable_file_is_named() {
    let error = Writer::start(Target::File("/nonexistent/access.log".into())).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/access.log"), "{error}");
}
