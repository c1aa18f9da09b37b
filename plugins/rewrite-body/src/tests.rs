use portcullis_sdk::{
    BodyEnd, Edits, RequestHead, ResponseHead, Verdict, Wants,
    testing::{Plugin, every_split},
};

use crate::RewriteBody;

fn end() -> BodyEnd {
    BodyEnd::Complete(Vec::new())
}

fn html() -> ResponseHead {
    ResponseHead::new(200).field("content-type", "text/html; charset=utf-8")
}

/// The body as the client gets it, whichever way it was divided.
fn rewritten(config: &str, body: &str) -> String {
    let plugin = Plugin::<RewriteBody>::configure(config).unwrap();
    let outcome = every_split(body.as_bytes(), |pieces, end| {
        let mut exchange = plugin.exchange();
        exchange.request_head(&RequestHead::get_request("/"));
        exchange.response_head(&html());
        exchange.response_pieces(pieces, end)
    });
    assert_eq!(outcome.verdict, None);
    String::from_utf8(outcome.data).unwrap()
}

/// The same by the whole body at once.
fn whole(pattern: &str, with: &str, body: &str) -> String {
    let pattern = regex::bytes::Regex::new(pattern).unwrap();
    String::from_utf8(pattern.replace_all(body.as_bytes(), with.as_bytes()).into_owned()).unwrap()
}

fn one(pattern: &str, with: &str) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    format!(r#"{{"replace": [{{"regex": "{}", "with": "{}"}}]}}"#, escape(pattern), escape(with))
}

fn error(config: &str) -> String {
    Plugin::<RewriteBody>::configure(config).err().unwrap()
}

#[test]
fn literals_are_found_across_the_borders_of_pieces() {
    let config = r#"{"replace": [{"literal": "http://internal:3000", "with": "https://shop.example.com"}]}"#;
    let body = "<a href=\"http://internal:3000/a\">x</a> http://internal:30 http://internal:3000http://internal:3000";
    assert_eq!(rewritten(config, body), body.replace("http://internal:3000", "https://shop.example.com"));
}

#[test]
fn a_literal_is_no_pattern_and_its_replacement_no_template() {
    assert_eq!(rewritten(r#"{"replace": [{"literal": "a.c", "with": "$0"}]}"#, "abc a.c"), "abc $0");
}

#[test]
fn case_is_ignored_on_demand() {
    let config = r#"{"replace": [{"literal": "straße", "with": "road", "ignore_case": true}]}"#;
    assert_eq!(rewritten(config, "STRASSE Straße STRAßE"), "STRASSE road road");
}

#[test]
fn groups_are_put_in() {
    let config = one(
        r#"href="http://([a-z]{1,20})\.internal(?P<rest>/[^"]{0,50})?""#,
        r#"href="https://${1}.example.com$rest""#,
    );
    assert_eq!(
        rewritten(
            &config,
            r#"<a href="http://api.internal/x?y"> <a href="http://web.internal"> href="http://.internal""#
        ),
        r#"<a href="https://api.example.com/x?y"> <a href="https://web.example.com"> href="http://.internal""#
    );
}

#[test]
fn what_looks_around_a_match_sees_the_whole_body() {
    let body = "cat concat cat\ncats cat écat caté cat";
    for pattern in [
        r"\bcat\b",
        r"(?-u:\b)cat(?-u:\b)",
        r"^cat",
        r"cat$",
        r"(?m)^cat",
        r"(?m)cat$",
        r"\Acat",
        r"cat\z",
        r"\Bcat",
        r"cat\b.",
    ] {
        assert_eq!(rewritten(&one(pattern, "<$0>"), body), whole(pattern, "<$0>", body), "{pattern}");
    }
}

#[test]
fn the_longest_and_the_first_alternative_are_taken_as_in_the_whole_body() {
    let body = "aaaaaaaab abab aab xaaaaaaaaaaaaaaay ab";
    for pattern in ["a{1,5}", "a{1,5}?", "ab|a|b", "a|ab", "(a{2}){1,2}b?", "a{3}(?:a{2}b)?", "[^b]{1,7}b"] {
        assert_eq!(rewritten(&one(pattern, "<$0>"), body), whole(pattern, "<$0>", body), "{pattern}");
    }
}

#[test]
fn overlapping_rules_are_decided_by_place_then_by_order() {
    let config = r#"{"replace": [
        {"literal": "bcd", "with": "1"}, {"literal": "abc", "with": "2"}, {"literal": "a", "with": "3"},
        {"literal": "cde", "with": "4"}]}"#;
    assert_eq!(rewritten(config, "abcde bcde a cde abc"), "2de 1e 3 4 2");
}

#[test]
fn what_was_put_in_is_not_searched_again() {
    let config = r#"{"replace": [{"literal": "a", "with": "ab"}, {"literal": "b", "with": "a"}]}"#;
    assert_eq!(rewritten(config, "ab"), "aba");
}

#[test]
fn bytes_that_are_no_text_pass() {
    let plugin = Plugin::<RewriteBody>::configure(r#"{"replace": [{"literal": "é", "with": "e"}]}"#).unwrap();
    let body = b"\xff\xc3\xa9\xc3\xfe\xc3\xa9\xa9";
    let outcome = every_split(body, |pieces, end| {
        let mut exchange = plugin.exchange();
        exchange.response_head(&html());
        exchange.response_pieces(pieces, end)
    });
    assert_eq!(outcome.data, b"\xffe\xc3\xfee\xa9");
}

#[test]
fn little_waits_however_long_the_body_is() {
    let plugin = Plugin::<RewriteBody>::configure(&one("[a-y]{1,100}z", "")).unwrap();
    let mut exchange = plugin.exchange();
    exchange.response_head(&html());
    let (mut given, mut passed) = (0, 0);
    for piece in [&b"abcdefg"[..], b"", &[b'a'; 1000], b"b"].iter().cycle().take(4000) {
        given += piece.len();
        match exchange.response_body(piece, None) {
            Verdict::Edit(Edits { data: Some(data), .. }) => passed += data.len(),
            other => panic!("{other:?}"),
        }
        assert!(given - passed < 2 * (101 + 4), "{} bytes wait", given - passed);
    }
}

#[test]
fn only_its_types_uncompressed_and_whole_are_searched() {
    let plugin = Plugin::<RewriteBody>::configure(r#"{"replace": [{"literal": "a", "with": "b"}]}"#).unwrap();
    for (head, expected) in [
        (html(), "b"),
        (html().field("content-encoding", "identity"), "b"),
        (html().field("content-encoding", "gzip"), "a"),
        (html().field("content-encoding", "identity").field("content-encoding", "br"), "a"),
        (ResponseHead { status: 206, ..html() }, "a"),
        (ResponseHead::new(200).field("content-type", "image/png"), "a"),
        (ResponseHead::new(200), "a"),
    ] {
        let mut exchange = plugin.exchange();
        let verdict = exchange.response_head(&head);
        assert_eq!(verdict, Verdict::Continue, "{head:?}");
        assert_eq!(exchange.response_pieces(&[b"a"], &end()).data, expected.as_bytes(), "{head:?}");
    }
}

#[test]
fn heads_say_what_the_rewritten_body_is() {
    let plugin = Plugin::<RewriteBody>::configure(r#"{"replace": [{"literal": "a", "with": "b"}]}"#).unwrap();
    let head = html().field("etag", "\"1\"").field("accept-ranges", "bytes").field("content-digest", "sha-256=:x:");
    let expected = Edits::new().remove("content-digest").remove("accept-ranges").set("etag", "W/\"1\"");
    assert_eq!(plugin.exchange().response_head(&head), Verdict::Edit(expected));
    assert_eq!(plugin.exchange().response_head(&html().field("etag", "W/\"1\"")), Verdict::Continue);
}

#[test]
fn the_backend_is_asked_for_the_whole_uncompressed() {
    let config = r#"{"replace": [{"literal": "a", "with": "b"}]}"#;
    let head = RequestHead::get_request("/")
        .field("accept-encoding", "gzip")
        .field("range", "bytes=0-9")
        .field("if-range", "x");
    let verdict = Plugin::<RewriteBody>::configure(config).unwrap().exchange().request_head(&head);
    assert_eq!(verdict, Edits::new().set("accept-encoding", "identity").remove("range").remove("if-range").into());
    let config = r#"{"ranges": true, "replace": [{"literal": "a", "with": "b"}]}"#;
    let verdict = Plugin::<RewriteBody>::configure(config).unwrap().exchange().request_head(&head);
    assert_eq!(verdict, Edits::new().set("accept-encoding", "identity").into());
}

#[test]
fn request_bodies_are_rewritten_where_asked() {
    let config = r#"{"content_types": ["application/json"], "replace": [{"literal": "secret", "with": "***", "in": "request"}]}"#;
    let plugin = Plugin::<RewriteBody>::configure(config).unwrap();
    assert_eq!(plugin.wants(), Wants::new().request_head().request_body(portcullis_sdk::Body::Stream));
    let head = RequestHead::new("POST", "/")
        .field("content-type", "application/json")
        .field("digest", "x")
        .field("accept-encoding", "gzip");
    let outcome = every_split(br#"{"a": "my secret", "b": "secretsecret"}"#, |pieces, end| {
        let mut exchange = plugin.exchange();
        assert_eq!(exchange.request_head(&head), Edits::new().remove("digest").into());
        exchange.request_pieces(pieces, end)
    });
    assert_eq!(outcome.data, br#"{"a": "my ***", "b": "******"}"#);
}

#[test]
fn mistakes_say_what_to_write_instead() {
    for (config, expected) in [
        (r#"{}"#.to_owned(), "missing field `replace`"),
        (r#"{"replace": []}"#.to_owned(), "replace: there is nothing to replace"),
        (r#"{"replace": [{"with": "a"}]}"#.to_owned(), "replace[0]: write either `literal` or `regex`"),
        (r#"{"replace": [{"literal": "a", "regex": "b", "with": ""}]}"#.to_owned(), "replace[0]: write either"),
        (r#"{"replace": [{"literal": "", "with": ""}]}"#.to_owned(), "replace[0].literal: it matches the empty text"),
        (one("a*", ""), "replace[0].regex: it matches the empty text"),
        (one("<a .*>", ""), "replace[0].regex: it has no longest match"),
        (one("a{70000}", ""), "replace[0].regex: it can match 70000 bytes, and 65536 are allowed"),
        (one("(a", ""), "replace[0].regex: regex parse error"),
        (one("(a)", "$2"), "replace[0].with: the regex has no group \"2\""),
        (one("(a)", "$1b"), "replace[0].with: the regex has no group \"1b\""),
        (r#"{"content_types": ["html"], "replace": []}"#.to_owned(), "content_types: \"html\" is no media type"),
        (
            r#"{"replace": [{"literal": "a", "with": "", "in": "head"}]}"#.to_owned(),
            "replace[0].in: unknown variant `head`",
        ),
    ] {
        let found = error(&config);
        assert!(found.starts_with(expected), "{config}: {found}");
    }
}
