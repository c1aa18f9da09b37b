//! The plugin as the proxy sees it.

use std::time::Duration;

use base64ct::{Base64, Encoding};
use portcullis_sdk::{Edits, RequestHead, Response, Verdict, key_value, testing};

use super::{BasicAuth, Users};

/// `alice` with "open sesame", at cost 5; `bob` with "pässword", at cost 4.
const USERS: &str = r#""htpasswd": "alice:$2y$05$k2hbQ8IRTzKOG25jHOyUQO9kkGyKV2RHghxlaWwyMh0KssHNvw4TG\n# the night shift\nbob:$2y$04$2wS65Znd9DZozPRL1nF0d.Pwc7OccLbhYgNsrie6UuqbUGqHaUXa6\n""#;

fn plugin(more: &str) -> testing::Plugin<BasicAuth> {
    testing::Plugin::configure(&format!("{{{USERS}{more}}}")).unwrap()
}

fn head(name: &str, password: &str) -> RequestHead {
    let encoded = Base64::encode_string(format!("{name}:{password}").as_bytes());
    RequestHead::get_request("/").field("authorization", format!("Basic {encoded}"))
}

fn refusal(plugin: &testing::Plugin<BasicAuth>, head: &RequestHead) -> Response {
    match plugin.exchange().request_head(head) {
        Verdict::Respond(response) => response,
        other => panic!("{other:?}"),
    }
}

fn comes_in(plugin: &testing::Plugin<BasicAuth>, name: &str, password: &str) -> bool {
    matches!(plugin.exchange().request_head(&head(name, password)), Verdict::Edit(_))
}

#[test]
fn who_knows_the_password_comes_in() {
    let plugin = plugin("");
    assert!(comes_in(&plugin, "alice", "open sesame"));
    assert!(comes_in(&plugin, "bob", "pässword"));
    for (name, password) in [
        ("alice", "pässword"),
        ("alice", "open sesam"),
        ("Alice", "open sesame"),
        ("carol", "open sesame"),
        ("", ""),
        ("alice", ""),
    ] {
        let response = refusal(&plugin, &head(name, password));
        assert_eq!(response.status, 401, "{name}");
        assert_eq!(response.get("www-authenticate"), Some(r#"Basic realm="restricted", charset="UTF-8""#));
    }
    assert_eq!(refusal(&plugin, &RequestHead::get_request("/")).status, 401);
}

#[test]
fn the_backend_gets_the_name_and_not_the_password() {
    let plugin = plugin(r#", "forward": "X-Remote-User""#);
    let head = head("alice", "open sesame").field("x-remote-user", "root").field("x_remote_user", "root");
    let expected = Edits::new().remove("authorization").remove("x_remote_user").set("x-remote-user", "alice");
    assert_eq!(plugin.exchange().request_head(&head), Verdict::Edit(expected));
}

#[test]
fn the_password_can_be_kept() {
    assert_eq!(plugin(r#", "keep": true"#).exchange().request_head(&head("alice", "open sesame")), Verdict::Continue);
}

#[test]
fn a_good_password_is_remembered_for_all_instances_and_not_for_ever() {
    let line = "alice:$2y$05$k2hbQ8IRTzKOG25jHOyUQO9kkGyKV2RHghxlaWwyMh0KssHNvw4TG";
    let user = Users::parse([("a".to_owned(), line)].into_iter()).unwrap();
    let memory = user.find("alice").unwrap().memory(b"open sesame");
    let remembered = || key_value::get(&memory).unwrap().is_some();
    assert!(comes_in(&plugin(""), "alice", "open sesame") && remembered());
    testing::advance(Duration::from_secs(301));
    assert!(!remembered());
    assert!(comes_in(&plugin(r#", "remember": "0s""#), "alice", "open sesame") && !remembered());
    // What is remembered is not computed again: this password is not the user's, but who would know.
    let other = user.find("alice").unwrap().memory(b"another");
    assert!(!comes_in(&plugin(""), "alice", "another"));
    key_value::set(&other, b"", None).unwrap();
    assert!(comes_in(&plugin(""), "alice", "another"));
}

#[test]
fn what_is_remembered_is_of_one_password_and_one_hash() {
    let lines = [
        "alice:$2y$05$k2hbQ8IRTzKOG25jHOyUQO9kkGyKV2RHghxlaWwyMh0KssHNvw4TG",
        "alice:$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
    ];
    let plugin = |line: &str| testing::Plugin::<BasicAuth>::configure(&format!(r#"{{"users": ["{line}"]}}"#)).unwrap();
    assert!(comes_in(&plugin(lines[0]), "alice", "open sesame"));
    assert!(!comes_in(&plugin(lines[0]), "alice", "open sesam"));
    // The password is changed: the old one does not get in any more, remembered or not.
    assert!(!comes_in(&plugin(lines[1]), "alice", "open sesame"));
    assert!(comes_in(&plugin(lines[1]), "alice", "Hello world!"));
}

#[test]
fn a_client_that_guesses_is_not_listened_to() {
    let plugin = plugin(r#", "attempts": 3"#);
    assert!(comes_in(&plugin, "alice", "open sesame"));
    for guess in ["a", "b", "c"] {
        assert_eq!(refusal(&plugin, &head("bob", guess)).status, 401);
    }
    let response = refusal(&plugin, &head("bob", "pässword"));
    assert_eq!((response.status, response.get("retry-after")), (429, Some("60")));
    // Who is remembered comes in still, and so do others.
    assert!(comes_in(&plugin, "alice", "open sesame"));
    testing::set_client("192.0.2.77");
    assert!(comes_in(&plugin, "bob", "pässword"));
    testing::set_client("192.0.2.1");
    testing::advance(Duration::from_secs(61));
    assert!(comes_in(&plugin, "bob", "pässword"));
}

#[test]
fn guesses_are_not_counted_if_the_operator_says_so() {
    let plugin = plugin(r#", "attempts": 0"#);
    for _ in 0..30 {
        assert_eq!(refusal(&plugin, &head("bob", "x")).status, 401);
    }
    assert!(matches!(key_value::get("bad/192.0.2.1/32"), Ok(None)));
}

#[test]
fn without_room_to_remember_it_is_computed() {
    testing::set_quota(10);
    let plugin = plugin("");
    assert!(comes_in(&plugin, "alice", "open sesame"));
    assert!(comes_in(&plugin, "alice", "open sesame"));
    assert_eq!(refusal(&plugin, &head("alice", "x")).status, 401);
}

#[test]
fn mistakes_name_their_key_and_not_what_may_be_a_password() {
    for (config, part) in [
        ("{}", "there are no users"),
        (r##"{"htpasswd": "# nobody\n\n"}"##, "there are no users"),
        (r#"{"users": ["alice"]}"#, "`users[0]`: there is no colon"),
        (r#"{"htpasswd": "\nalice:open sesame"}"#, "`htpasswd`, line 2 (alice): it is no hash that is known"),
        (r#"{"users": [":x"]}"#, "`users[0]`: the name must have"),
        (r#"{"users": ["alice :x"]}"#, "`users[0]`: the name must have"),
        (r#"{"users": [], "remember": "5"}"#, "remember: \"5\" is not a duration"),
        (r#"{"users": [], "forward": "host"}"#, "forward: \"host\" belongs to the proxy"),
        (r#"{"users": [], "user": []}"#, "unknown field `user`"),
    ] {
        let error = testing::Plugin::<BasicAuth>::configure(config).err().unwrap();
        assert!(error.contains(part) && !error.contains("sesame"), "{config}: {error}");
    }
    for (more, part) in [(r#", "realm": "a\"b""#, "`realm`"), (r#", "attempts_window": "10ms""#, "`attempts_window`")] {
        let error = testing::Plugin::<BasicAuth>::configure(&format!("{{{USERS}{more}}}")).err().unwrap();
        assert!(error.contains(part), "{error}");
    }
    let twice = r#"{"users": ["a:$2y$05$k2hbQ8IRTzKOG25jHOyUQO9kkGyKV2RHghxlaWwyMh0KssHNvw4TG", "a:$2y$05$k2hbQ8IRTzKOG25jHOyUQO9kkGyKV2RHghxlaWwyMh0KssHNvw4TG"]}"#;
    assert!(testing::Plugin::<BasicAuth>::configure(twice).err().unwrap().contains("`users[1]`: \"a\" is there twice"));
}
