//! The host of tests behaves as the proxy does.

use std::time::Duration;

use serde::Deserialize;

use super::*;
use crate::{
    Body, BodyEnd, Edits, Field, RequestHead, Response, ResponseHead, Verdict, Wants, clock, connection, http,
    key_value::{self, Error},
    log, metrics, random,
};

/// Does in its one phase what the test says.
struct Does(Config);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    hold: Option<u64>,
    #[serde(default)]
    inspect: bool,
    #[serde(default)]
    set: Option<String>,
    #[serde(default)]
    status: Option<u16>,
}

impl crate::Plugin for Does {
    type Config = Config;
    type Exchange = usize;

    fn configure(config: Config) -> Result<Self, String> {
        assert_eq!(key_value::get("a"), Err(Error::Unavailable));
        assert!(http::send(&http::Request::get("b", "/")).is_err());
        Ok(Self(config))
    }

    fn wants(&self) -> Wants {
        let body = match self.0.hold {
            None => Body::Stream,
            Some(limit) if self.0.inspect => Body::hold(limit).inspect(),
            Some(limit) => Body::hold(limit).refuse(),
        };
        Wants::new().request_head().request_body(body)
    }

    fn request_head(&self, _: &mut usize, _: &RequestHead) -> Verdict {
        match (&self.0.set, self.0.status) {
            (Some(name), _) => Edits::new().set(name.as_str(), "1").into(),
            (None, Some(status)) => Response::new(status).into(),
            (None, None) => Verdict::Continue,
        }
    }

    fn request_body(&self, seen: &mut usize, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
        *seen += data.len();
        if end == Some(&BodyEnd::Limit) {
            return Edits::new().set("x-seen", seen.to_string()).into();
        }
        match &self.0.set {
            Some(name) => Edits::new().set(name.as_str(), "1").into(),
            None => Verdict::Continue,
        }
    }
}

fn plugin(config: &str) -> Plugin<Does> {
    Plugin::configure(config).unwrap()
}

#[test]
fn phases_that_are_not_wanted_are_not_called() {
    assert_eq!(plugin(r#"{"set": "x-a"}"#).exchange().response_head(&ResponseHead::new(200)), Verdict::Continue);
}

#[test]
#[should_panic(expected = "the field content-length frames the message")]
fn edits_of_the_framing_panic() {
    plugin(r#"{"set": "content-length"}"#).exchange().request_head(&RequestHead::get_request("/"));
}

#[test]
#[should_panic(expected = "the head has gone")]
fn edits_of_a_head_that_has_gone_panic() {
    plugin(r#"{"set": "x-a"}"#).exchange().request_body(b"a", None);
}

#[test]
#[should_panic(expected = "a response's status is 200 to 599, not 99")]
fn responses_with_a_wrong_status_panic() {
    plugin(r#"{"status": 99}"#).exchange().request_head(&RequestHead::get_request("/"));
}

#[test]
fn held_bodies_come_whole_and_up_to_their_limit() {
    let end = BodyEnd::Complete(Vec::new());
    let outcome = plugin(r#"{"hold": 4, "set": "x-a"}"#).exchange().request_pieces(&[b"ab", b"cd"], &end);
    assert_eq!((outcome.data, outcome.verdict), (b"abcd".to_vec(), Some(Edits::new().set("x-a", "1").into())));

    let plugin_that_refuses = plugin(r#"{"hold": 4}"#);
    let mut exchange = plugin_that_refuses.exchange();
    let outcome = exchange.request_pieces(&[b"ab", b"cde"], &end);
    assert_eq!((outcome.data, outcome.verdict), (Vec::new(), Some(Response::new(413).into())));
    assert_eq!(*exchange.state(), 0);

    let outcome = plugin(r#"{"hold": 4, "inspect": true}"#).exchange().request_pieces(&[b"ab", b"cdefg"], &end);
    assert_eq!((outcome.data, outcome.verdict), (b"abcdefg".to_vec(), Some(Edits::new().set("x-seen", "4").into())));
}

#[test]
fn errors_of_the_table_name_the_key_and_no_line() {
    let error = Plugin::<Does>::configure(r#"{"hold": "much"}"#).err().unwrap();
    assert_eq!(error, "hold: invalid type: string \"much\", expected u64");
}

#[test]
fn values_have_a_time_to_live_and_a_quota() {
    let second = Some(Duration::from_secs(1));
    key_value::set("a", b"1", second).unwrap();
    assert_eq!(key_value::add("n", 5, second), Ok(5));
    assert_eq!(key_value::add("n", -7, None), Ok(-2));
    assert_eq!(key_value::get("n"), Ok(Some(b"-2".to_vec())));
    assert_eq!(key_value::add("a", 1, None), Err(Error::NotANumber));
    advance(Duration::from_millis(999));
    assert_eq!(key_value::get("a"), Ok(Some(b"1".to_vec())));
    advance(Duration::from_millis(1));
    assert_eq!((key_value::get("a"), key_value::get("n")), (Ok(None), Ok(None)));

    assert_eq!(key_value::compare_and_swap("c", None, b"1", None), Ok(true));
    assert_eq!(key_value::compare_and_swap("c", None, b"2", None), Ok(false));
    assert_eq!(key_value::compare_and_swap("c", Some(b"1"), b"2", None), Ok(true));
    key_value::delete("c").unwrap();
    assert_eq!(key_value::get("c"), Ok(None));

    set_quota(64 + 1 + 10);
    key_value::set("d", &[0; 10], None).unwrap();
    assert_eq!(key_value::set("d", &[0; 11], None), Err(Error::Quota));
    assert_eq!(key_value::add("e", 1, None), Err(Error::Quota));
    assert_eq!(key_value::get(""), Err(Error::Size));
    assert_eq!(key_value::get(&"k".repeat(1025)), Err(Error::Size));
    assert_eq!(key_value::set("d", &vec![0; (64 << 10) + 1], None), Err(Error::Size));
}

#[test]
fn clocks_stand_until_they_are_moved() {
    set_time(Duration::from_secs(1_000_000_000));
    let begun = clock::monotonic();
    assert_eq!(clock::now(), Duration::from_secs(1_000_000_000));
    advance(Duration::from_millis(1500));
    assert_eq!(clock::now(), Duration::from_millis(1_000_000_001_500));
    assert_eq!(clock::monotonic() - begun, Duration::from_millis(1500));
}

#[test]
fn a_seed_repeats_the_random_numbers() {
    set_seed(7);
    let first = (random::number(), random::bytes(9));
    set_seed(7);
    assert_eq!((random::number(), random::bytes(9)), first);
    assert_eq!(first.1.len(), 9);
    assert_ne!(random::number(), first.0);
}

#[test]
fn lines_figures_and_requests_are_kept() {
    log::warn("look");
    metrics::count("hits", 2);
    metrics::count("hits", 1);
    metrics::gauge("depth", 1.5);
    metrics::observe("size", 3.0);
    assert_eq!(lines(), [(log::Level::Warn, "look".to_owned())]);
    assert_eq!((counter("hits"), gauge("depth"), observed("size")), (3, Some(1.5), vec![3.0]));

    let request = http::Request::get("keys", "/jwks").timeout(Duration::from_secs(1));
    assert!(matches!(http::send(&request), Err(http::Error::Unavailable(_))));
    answer_http(|request| Ok(http::Response::new(200).field("Content-Type", "x").body(request.target.as_str())));
    let response = http::send(&request).unwrap();
    assert_eq!((response.get("content-type"), &*response.body), (Some("x"), &b"/jwks"[..]));
    assert_eq!(sent_http(), [request.clone(), request]);

    reset();
    assert_eq!((lines().len(), counter("hits"), sent_http().len()), (0, 0, 0));
}

#[test]
#[should_panic(expected = "the host drops the figure \"Hits\"")]
fn figures_with_bad_names_panic() {
    metrics::count("Hits", 1);
}

#[test]
fn mapped_clients_are_what_they_are() {
    set_client("::ffff:192.0.2.9");
    assert_eq!(connection::get().client_address().to_string(), "192.0.2.9");
    edit_facts(|facts| facts.tls = None);
    assert_eq!(connection::get().tls, None);
}

#[test]
fn trailers_can_be_changed_at_the_end_only() {
    let edits = || Edits::new().trailers(vec![Field::new("x-a", "1")]).into();
    let place = |complete| super::check::Place { response: true, head: false, body: true, complete };
    super::check::verdict(&edits(), place(true));
    assert!(std::panic::catch_unwind(|| super::check::verdict(&edits(), place(false))).is_err());
}
