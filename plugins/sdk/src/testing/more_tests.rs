//! Files, journal, notes and skipped bodies in the host of tests behave as in the proxy.

use super::*;
use crate::{
    Body, BodyEnd, NoConfig, Plugin as _, RequestHead, ResponseHead, Summary, Verdict, Wants, bodies, connection,
    files, journal as lines_of, notes,
};

/// Holds both bodies; the target says which it takes back, and where it does what it may not.
struct Takes(String);

impl crate::Plugin for Takes {
    type Config = NoConfig;
    type Exchange = (String, u32);

    fn configure(_: NoConfig) -> Result<Self, String> {
        let paths = files::glob("/r/*.conf").map_err(|error| files::explain(&error))?;
        let read = |path: &String| files::read(path).map_err(|error| format!("{path}: {}", files::explain(&error)));
        let all = paths.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(String::from_utf8_lossy(&all.concat()).into_owned()))
    }

    fn wants(&self) -> Wants {
        let hold = || Body::hold(100).refuse();
        Wants::new().request_head().request_body(hold()).response_head().response_body(hold()).log()
    }

    fn request_head(&self, (target, _): &mut (String, u32), head: &RequestHead) -> Verdict {
        *target = head.target.clone();
        if target.contains("request") {
            bodies::skip_request();
        }
        if target.contains("response") {
            bodies::skip_response();
        }
        assert_eq!(files::read("/r/a.conf"), Err(files::Error::Unavailable));
        notes::put(&format!("{{\"port\": {}}}", connection::server().port));
        lines_of::append(b"a\nb");
        Verdict::Continue
    }

    fn request_body(&self, (_, seen): &mut (String, u32), _: &[u8], _: Option<&BodyEnd>) -> Verdict {
        *seen += 1;
        Verdict::Continue
    }

    fn response_head(&self, (target, _): &mut (String, u32), _: &ResponseHead) -> Verdict {
        if target == "/late" {
            bodies::skip_request();
        }
        Verdict::Continue
    }

    fn response_body(&self, (_, seen): &mut (String, u32), _: &[u8], _: Option<&BodyEnd>) -> Verdict {
        *seen += 10;
        Verdict::Continue
    }

    fn log(&self, (target, _): &mut (String, u32), _: &Summary) {
        if target == "/note" {
            notes::put("{}");
        }
    }
}

fn plugin() -> Plugin<Takes> {
    for (path, content) in [("/r/b.conf", "two"), ("/r/a.conf", "one"), ("/r/x/c.conf", "no"), ("/r/d.data", "no")] {
        set_file(path, content);
    }
    Plugin::configure("{}").unwrap()
}

fn seen(target: &str) -> u32 {
    let plugin = plugin();
    let mut exchange = plugin.exchange();
    exchange.request_head(&RequestHead::get_request(target));
    exchange.request_body(b"x", Some(&BodyEnd::Complete(vec![])));
    exchange.response_head(&ResponseHead::new(200));
    exchange.response_body(b"x", Some(&BodyEnd::Complete(vec![])));
    exchange.log(&Summary {
        status: 200,
        received: 1,
        sent: 1,
        duration_ns: 1,
        backend: None,
        endpoint: None,
        error: None,
        decided_by: None,
    });
    exchange.state().1
}

#[test]
fn files_are_there_in_configure_and_only_there() {
    let plugin = plugin();
    plugin.exchange().request_head(&RequestHead::get_request("/"));
    assert_eq!(Takes::configure(NoConfig {}).map(|takes| takes.0), Err("files can be read in `configure` only".into()));
    assert_eq!(note().as_deref(), Some(r#"{"port": 443}"#));
    assert_eq!(journal(), ["a b"]);
}

#[test]
fn a_body_that_was_taken_back_does_not_come() {
    assert_eq!(["/", "/request", "/response", "/request-response"].map(seen), [11, 10, 1, 0]);
}

#[test]
#[should_panic(expected = "traps outside of request_head")]
fn it_is_too_late_once_the_head_has_gone() {
    seen("/late");
}

#[test]
#[should_panic(expected = "in log")]
fn a_note_comes_before_the_record_is_closed() {
    seen("/note");
}
