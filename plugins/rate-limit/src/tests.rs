//! The plugin as the proxy sees it: counting in the test host's values, on its clock.

use std::time::Duration;

use portcullis_sdk::{RequestHead, Response, ResponseHead, Verdict, key_value, testing};

use super::RateLimit;

const TEN_A_MINUTE: &str = r#"{"limits": [{"requests": 10, "window": "1m"}]}"#;

fn plugin(config: &str) -> testing::Plugin<RateLimit> {
    // 2026-01-01 00:00 UTC: the beginning of a window.
    testing::set_time(Duration::from_secs(1_767_225_600));
    testing::Plugin::configure(config).unwrap()
}

fn ask(plugin: &testing::Plugin<RateLimit>, head: &RequestHead) -> Option<Response> {
    match plugin.exchange().request_head(head) {
        Verdict::Continue => None,
        Verdict::Respond(response) => Some(response),
        other => panic!("{other:?}"),
    }
}

fn passed(plugin: &testing::Plugin<RateLimit>, times: usize, head: &RequestHead) -> usize {
    (0..times).filter(|_| ask(plugin, head).is_none()).count()
}

fn root() -> RequestHead {
    RequestHead::get_request("/")
}

#[test]
fn no_more_than_the_limit_passes_and_the_next_learns_when_to_come_back() {
    let plugin = plugin(TEN_A_MINUTE);
    assert_eq!(passed(&plugin, 10, &root()), 10);
    testing::advance(Duration::from_secs(15));
    let refused = ask(&plugin, &root()).expect("the eleventh is refused");
    assert_eq!(refused.status, 429);
    // 45 seconds to the next window, and three more until half of a request has slid out of it.
    assert_eq!(refused.get("retry-after"), Some("49"));
    assert_eq!(refused.get("ratelimit-policy"), Some(r#""default";q=10;w=60"#));
    assert_eq!(refused.get("ratelimit"), Some(r#""default";r=0;t=49"#));
    assert_eq!(refused.get("content-type"), Some("application/problem+json"));
}

#[test]
fn who_waits_as_told_passes_and_not_before() {
    let plugin = plugin(TEN_A_MINUTE);
    passed(&plugin, 10, &root());
    testing::advance(Duration::from_secs(60));
    assert_eq!(passed(&plugin, 5, &root()), 0);
    testing::advance(Duration::from_secs(6));
    assert_eq!(passed(&plugin, 5, &root()), 1);
    // Two windows on, nothing is left of it.
    testing::advance(Duration::from_secs(114));
    assert_eq!(passed(&plugin, 20, &root()), 10);
}

#[test]
fn what_was_refused_does_not_count() {
    let plugin = plugin(TEN_A_MINUTE);
    passed(&plugin, 1000, &root());
    testing::advance(Duration::from_secs(90));
    // Half of the ten is left in the window, whatever was hammered meanwhile.
    assert_eq!(passed(&plugin, 100, &root()), 5);
}

#[test]
fn clients_are_counted_apart_and_ipv6_by_network() {
    let plugin = plugin(TEN_A_MINUTE);
    for (client, passes) in [
        ("192.0.2.1", 10),
        ("192.0.2.2", 10),
        ("::ffff:192.0.2.2", 0),
        ("2001:db8::1", 10),
        ("2001:db8::2", 0),
        ("2001:db8:0:1::1", 10),
    ] {
        testing::set_client(client);
        assert_eq!(passed(&plugin, 12, &root()), passes, "{client}");
    }
}

#[test]
fn headers_and_cookies_are_counted_apart() {
    let plugin = plugin(r#"{"limits": [{"requests": 2, "window": "1s", "by": ["header:X-Key", "cookie:sid"]}]}"#);
    let head = |key: &str, sid: &str| root().field("x-key", key).field("cookie", format!("a=b; sid={sid}"));
    assert_eq!(passed(&plugin, 5, &head("a", "1")), 2);
    assert_eq!(passed(&plugin, 5, &head("a", "2")), 2);
    assert_eq!(passed(&plugin, 5, &head("b", "1")), 2);
    assert_eq!(passed(&plugin, 5, &head("a", "1")), 0);
}

#[test]
fn requests_that_lack_the_header_count_as_the_operator_says() {
    for (missing, first, second) in [("client", 2, 2), ("together", 2, 0), ("pass", 5, 5)] {
        testing::reset();
        let plugin = plugin(&format!(
            r#"{{"limits": [{{"requests": 2, "window": "1s", "by": ["header:x-key"], "missing": "{missing}"}}]}}"#
        ));
        assert_eq!(passed(&plugin, 5, &root()), first, "{missing}");
        testing::set_client("192.0.2.9");
        assert_eq!(passed(&plugin, 5, &root()), second, "{missing}");
        // And a header with the address in it is no way into that client's count.
        assert_eq!(passed(&plugin, 5, &root().field("x-key", "192.0.2.9")), 2, "{missing}");
    }
}

#[test]
fn paths_are_counted_apart_however_they_are_spelt() {
    let plugin = plugin(r#"{"limits": [{"requests": 3, "window": "1s", "by": ["client", "path"]}]}"#);
    assert_eq!(passed(&plugin, 5, &RequestHead::get_request("/a")), 3);
    assert_eq!(passed(&plugin, 5, &RequestHead::get_request("/b")), 3);
    assert_eq!(passed(&plugin, 5, &RequestHead::get_request("//%61?again")), 0);
}

#[test]
fn of_several_limits_each_holds_and_a_refusal_counts_for_none() {
    let plugin = plugin(
        r#"{"limits": [{"name": "burst", "requests": 3, "window": "1s"}, {"name": "minute", "requests": 5, "window": "1m"}]}"#,
    );
    assert_eq!(passed(&plugin, 10, &root()), 3);
    testing::advance(Duration::from_secs(2));
    assert_eq!(passed(&plugin, 10, &root()), 2);
    let refused = ask(&plugin, &root()).expect("five were asked for");
    assert_eq!(refused.get("ratelimit"), Some(r#""burst";r=1;t=1, "minute";r=0;t=65"#));
    let body = String::from_utf8(refused.body).unwrap();
    assert!(body.contains(r#""violated-policies":["minute"]"#), "{body}");
}

#[test]
fn responses_tell_what_is_left() {
    let plugin = plugin(TEN_A_MINUTE);
    let mut exchange = plugin.exchange();
    exchange.request_head(&root());
    let Verdict::Edit(edits) = exchange.response_head(&ResponseHead::new(200)) else { panic!("nothing is told") };
    let told: Vec<_> = edits.fields.iter().map(|edit| format!("{edit:?}")).collect();
    let expected = portcullis_sdk::Edits::new()
        .append("ratelimit-policy", r#""default";q=10;w=60"#)
        .append("ratelimit", r#""default";r=9;t=60"#);
    assert_eq!(edits, expected, "{told:?}");
}

#[test]
fn clients_are_told_nothing_if_the_operator_says_so() {
    let plugin = plugin(r#"{"limits": [{"requests": 1, "window": "1s"}], "fields": "never"}"#);
    let mut exchange = plugin.exchange();
    exchange.request_head(&root());
    assert_eq!(exchange.response_head(&ResponseHead::new(200)), Verdict::Continue);
    let refused = ask(&plugin, &root()).expect("one is allowed");
    assert_eq!((refused.get("ratelimit"), refused.get("retry-after")), (None, Some("2")));
}

#[test]
fn a_dry_run_refuses_nothing_and_logs() {
    let plugin = plugin(r#"{"limits": [{"requests": 1, "window": "1s"}], "dry_run": true}"#);
    assert_eq!(passed(&plugin, 3, &root()), 3);
    assert_eq!(testing::lines().len(), 2);
    assert!(testing::lines()[0].1.contains("192.0.2.1/32 would be refused by default"));
}

#[test]
fn without_room_to_count_requests_pass_or_not_as_configured() {
    for (on_full, passes) in [("allow", 3), ("refuse", 0)] {
        let plugin = plugin(&format!(r#"{{"limits": [{{"requests": 1, "window": "1s"}}], "on_full": "{on_full}"}}"#));
        testing::set_quota(10);
        assert_eq!(passed(&plugin, 3, &root()), passes);
        assert!(testing::lines().iter().any(|(_, line)| line.contains("key_value")), "{:?}", testing::lines());
    }
}

#[test]
fn a_refusal_for_lack_of_room_takes_back_what_was_counted() {
    let plugin = plugin(
        r#"{"limits": [{"name": "a", "requests": 5, "window": "1s"}, {"name": "b", "requests": 5, "window": "1s"}], "on_full": "refuse"}"#,
    );
    testing::set_quota(155);
    let refused = ask(&plugin, &root()).expect("there is room for one count only");
    assert_eq!(refused.status, 503);
    assert_eq!(key_value::get("a/1000/192.0.2.1/32/1767225600").unwrap().as_deref(), Some(&b"0"[..]));
}

#[test]
fn counts_outlive_the_instance() {
    assert_eq!(passed(&plugin(TEN_A_MINUTE), 10, &root()), 10);
    assert_eq!(passed(&plugin(TEN_A_MINUTE), 10, &root()), 0);
}
