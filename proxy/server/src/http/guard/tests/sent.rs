//! Targets that have to be encoded, and heads that are refused but understood.

use http::Version;

use super::*;

const RAW: &str = "GET /<a>\\?x=\"\u{e4}\" HTTP/1.1\r\nHost: a\r\n\r\n";
const ENCODED: &str = "GET /%3Ca%3E%5C?x=%22%C3%A4%22 HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_target_that_must_be_encoded_is_and_what_was_sent_is_kept() {
    let facts = taken(RAW);
    assert_eq!((&RAW[facts.target.clone()], facts.length), ("/<a>\\?x=\"\u{e4}\"", RAW.len()));
    assert_eq!(String::from_utf8(facts.encoded(RAW.as_bytes())).unwrap(), ENCODED);
    assert_eq!(facts.raw_target(RAW.as_bytes()).unwrap().whole(), "/<a>\\?x=\"\u{e4}\"");
    assert_eq!(taken(ENCODED).raw_target(ENCODED.as_bytes()), None);

    let absolute = "GET http://a?<x> HTTP/1.1\r\nHost: a\r\n\r\n";
    let facts = taken(absolute);
    assert_eq!(facts.encoded(absolute.as_bytes()), absolute.replace("<x>", "%3Cx%3E").as_bytes());
    assert_eq!(facts.raw_target(absolute.as_bytes()).unwrap().path_and_query(), "/?<x>");
}

#[test]
fn encoding_changes_one_head_and_nothing_around_it() {
    let post = "POST /\" HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let plain = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    let stream = [plain, RAW, post, RAW, plain].concat();
    let expected = [plain, ENCODED, post, ENCODED, plain].concat();
    assert_eq!(String::from_utf8(see(&[stream.as_bytes()], 8192).bytes).unwrap(), expected);
    let single: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
    assert_eq!(see(&single, 7).bytes, expected.as_bytes());
}

#[test]
fn under_hyper_the_service_gets_both_forms() {
    let (statuses, log, _) = exchange(impatient(), &[RAW, &ENCODED[..9], &ENCODED[9..]]);
    assert_eq!(statuses, ["200", "200"]);
    let encoded = "GET /%3Ca%3E%5C?x=%22%C3%A4%22";
    assert_eq!(log, [&format!("{encoded} as /<a>\\?x=\"\u{e4}\""), "body 0", encoded, "body 0"]);
}

#[test]
fn what_could_end_a_target_early_stays_refused() {
    for target in ["/a#b", "/a?b#c", "/\0", "/a?\x7f", "/<\x01", "/a b", "/\u{e4}\tb"] {
        let kind = refused(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).1;
        assert!(matches!(kind, RefusalKind::Target | RefusalKind::RequestLine), "{target:?}");
    }
}

#[test]
fn a_target_that_no_uri_holds_once_encoded_is_too_long() {
    let rules = Rules { header_bytes: 1 << 20, target_length: 65_534, ..rules() };
    let head = |target: &str| check_head(format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), &rules);
    let facts = head(&"<".repeat(21_844)).unwrap().unwrap();
    assert_eq!(facts.unencoded, 21_844);
    assert_eq!(head(&"<".repeat(21_845)).unwrap_err().status, 414);
}

fn shown(head: &str) -> Shown {
    *check_head(head.as_bytes(), &rules()).expect_err(head).shown.expect(head)
}

#[test]
fn a_head_that_is_refused_is_read_to_its_end_and_shown() {
    for (head, target, version) in [
        ("GET /a?<b> HTTP/1.1\r\nHost:\r\nX: 1\r\nx: \u{e4}\r\n\r\n", "/a?<b>", Version::HTTP_11),
        ("GET /a#b HTTP/1.0\r\nX: 1\r\nx: \u{e4}\r\n\r\n", "/a#b", Version::HTTP_10),
        ("POST /a HTTP/2.0\r\nX: 1\r\nx: \u{e4}\r\n\r\n", "/a", Version::HTTP_2),
        ("GET /a HTTP/1.1\r\nContent-Length: 1x\r\nX: 1\r\nx: \u{e4}\r\n\r\n", "/a", Version::HTTP_11),
        ("GET /a HTTP/1.1\r\nHost: a b\r\nX: 1\r\nx: \u{e4}\r\n\r\n", "/a", Version::HTTP_11),
        ("GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\nX: 1\r\nx: \u{e4}\r\n\r\n", "/a", Version::HTTP_11),
        ("GET ftp://h/a HTTP/1.1\r\nHost: h\r\nX: 1\r\nx: \u{e4}\r\n\r\n", "/a", Version::HTTP_11),
    ] {
        let early = check_head(&head.as_bytes()[..head.len() - 2], &rules());
        assert_eq!(early, Ok(None), "not before its end: {head:?}");
        let shown = shown(head);
        assert_eq!((&*shown.target.path_and_query(), shown.version), (target, version));
        let values: Vec<&[u8]> = shown.fields.get_all("x").iter().map(http::HeaderValue::as_bytes).collect();
        assert_eq!(values, [&b"1"[..], "\u{e4}".as_bytes()], "{head:?}");
    }
    let both = shown("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!((both.method, both.fields.len()), (http::Method::POST, 3));
}

#[test]
fn the_first_mistake_is_the_reason() {
    let refusal = check_head(b"GET /#a HTTP/1.1\r\nHost: b c\r\nX : y\r\nZ: 1\r\n", &rules()).unwrap_err();
    assert_eq!((refusal.kind, refusal.reason), (RefusalKind::Target, "a fragment in the target"));
    assert_eq!(refusal.shown.unwrap().fields.len(), 1, "nothing after a line that is in doubt");
    let endless = format!("GET /#a HTTP/1.1\r\n{}", "X: y\r\n".repeat(20));
    let refusal = check_head(endless.as_bytes(), &rules()).unwrap_err();
    assert_eq!((refusal.kind, refusal.shown.unwrap().fields.len()), (RefusalKind::Target, 8));
    let cut = see(&[b"GET /#a HTTP/1.1\r\nX: y\r\nHost: "], 100).refusal.unwrap();
    assert_eq!((cut.kind, cut.shown.unwrap().fields.len()), (RefusalKind::Target, 1));
}

#[test]
fn what_is_no_head_is_not_shown() {
    for head in [
        "GET / x HTTP/1.1\r\n\r\n",
        "GET /\r\n\r\n",
        "\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/7.7\r\n\r\n",
    ] {
        assert_eq!(check_head(head.as_bytes(), &rules()).unwrap_err().shown, None, "{head:?}");
    }
}
