use portcullis_tests::{client::raw::Raw, origin::Origin, scenario::scenario};

use crate::ground::plain;

/// What is sent, and why it is refused.
const MALFORMED: &[(&str, &str)] = &[
    ("two lengths", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy"),
    ("two equal lengths", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx"),
    ("a list of lengths", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1, 1\r\n\r\nx"),
    (
        "length with chunked",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked with length",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    ),
    ("a signed length", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\nx"),
    ("a negative length", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\nx"),
    ("a hexadecimal length", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x1\r\n\r\nx"),
    ("an empty length", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\n"),
    ("a length that is no number", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1 1\r\n\r\nx"),
    ("a length beyond numbers", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999999\r\n\r\nx"),
    ("an unknown coding", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\nx"),
    ("chunked not last", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("a coding before chunked", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked twice", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    (
        "two codings fields",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("identity", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\nx"),
    ("chunked misspelt", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("chunked after a vertical tab", "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \u{b}chunked\r\n\r\n0\r\n\r\n"),
    ("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a bare LF after the request line", "GET / HTTP/1.1\nhost: a\r\n\r\n"),
    ("a bare LF after a field", "GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n"),
    ("bare LFs at the end", "GET / HTTP/1.1\r\nhost: a\n\n"),
    ("a bare CR in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: y\rz\r\n\r\n"),
    ("a bare CR in the request line", "GET /\r HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("a CR before CRLF", "GET / HTTP/1.1\r\nhost: a\r\r\n\r\n"),
    ("obs-fold", "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n"),
    ("obs-fold with a tab", "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\tz\r\n\r\n"),
    ("a folded first field", "GET / HTTP/1.1\r\n host: a\r\n\r\n"),
    ("a space before the colon", "GET / HTTP/1.1\r\nhost : a\r\n\r\n"),
    ("a tab before the colon", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length\t: 1\r\n\r\nx"),
    ("no colon", "GET / HTTP/1.1\r\nhost: a\r\nnonsense\r\n\r\n"),
    ("an empty name", "GET / HTTP/1.1\r\nhost: a\r\n: y\r\n\r\n"),
    ("a name with a space", "GET / HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n"),
    ("a name with parentheses", "GET / HTTP/1.1\r\nhost: a\r\n(x): z\r\n\r\n"),
    ("NUL in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: y\0z\r\n\r\n"),
    ("a control byte in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: y\u{1}z\r\n\r\n"),
    ("DEL in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: y\u{7f}z\r\n\r\n"),
    ("a control byte in a name", "GET / HTTP/1.1\r\nhost: a\r\nx\u{1}: y\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\nx: y\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
    ("two equal hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n"),
    ("a host with a path", "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n"),
    ("a host with user information", "GET / HTTP/1.1\r\nhost: me@a\r\n\r\n"),
    ("a host with a space", "GET / HTTP/1.1\r\nhost: a b\r\n\r\n"),
    ("a host with a comma", "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n"),
    ("a host with a bad port", "GET / HTTP/1.1\r\nhost: a:x\r\n\r\n"),
    ("absolute form that disagrees with Host", "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("absolute form with user information", "GET http://me@a/ HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("a fragment", "GET /#x HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("no slash", "GET x HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("two spaces", "GET  / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("a space in the target", "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("a tab in the request line", "GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("a control byte in the target", "GET /\u{1} HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("DEL in the query", "GET /?\u{7f} HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("a missing third word", "GET /\r\nhost: a\r\n\r\n"),
    ("an unknown version", "GET / HTTP/1.7\r\nhost: a\r\n\r\n"),
    ("HTTP/2 without its preface", "GET / HTTP/2.0\r\nhost: a\r\n\r\n"),
    ("a protocol in lower case", "GET / http/1.1\r\nhost: a\r\n\r\n"),
    ("a method that is no token", "G(ET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("an empty method", " / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("too many empty lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("no HTTP at all", "\u{1}\u{2}\u{3}\u{4}\r\n\r\n"),
];

/// A request that would be answered if the proxy read on after a refusal.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn a_malformed_request_gets_400_and_the_connection_closes_with_what_follows() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut wrong = Vec::new();
        for (what, request) in MALFORMED {
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send([request, SMUGGLED].concat()).await;
            let all = String::from_utf8_lossy(&client.read_to_end().await).into_owned();
            let status =
                if what.contains("version") || what.contains("preface") { "HTTP/1.1 505 " } else { "HTTP/1.1 400 " };
            if !all.starts_with(status) || all.matches("HTTP/1.1 ").count() != 1 {
                wrong.push(format!("{what}: {}", all.lines().next().unwrap_or("nothing")));
            }
        }
        let seen: Vec<_> = origin.requests().into_iter().map(|seen| seen.target).collect();
        assert!(wrong.is_empty() && seen.is_empty(), "{wrong:#?}\nthe origin saw {seen:?}");
        assert_eq!(proxy.counter("requests_malformed").await, MALFORMED.len() as u64);
    });
}

#[test]
fn a_malformed_request_in_single_bytes_is_refused_too() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let refused = MALFORMED.iter().step_by(4).map(|(what, request)| {
            let address = proxy.address("http");
            async move {
                let mut client = Raw::connect(address).await;
                client.send_in_pieces(request, 1).await;
                (what, client.response().await.status)
            }
        });
        for (what, status) in futures_util::future::join_all(refused).await {
            assert!(status == 400 || status == 505, "{what}: {status}");
        }
        assert_eq!(origin.count(), 0);
    });
}

#[test]
fn a_malformed_request_after_good_ones_is_answered_in_its_place() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let good = "GET /slow?ms=200 HTTP/1.1\r\nhost: a\r\n\r\n";
        client.send([good, good, "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", SMUGGLED].concat()).await;
        assert_eq!(client.response().await.status, 200);
        assert_eq!(client.response().await.status, 200);
        assert_eq!(client.response().await.status, 400);
        assert!(client.is_closed().await);
        assert!(origin.requests().iter().all(|seen| seen.target != "/smuggled"));
    });
}

#[test]
fn a_refusal_says_why_and_is_in_the_log() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let response =
            client.exchange("POST /why HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n").await;
        assert_eq!(response.header("connection"), Some("close"));
        assert!(response.text().to_lowercase().contains("content-length"), "{}", response.text());
        let line = proxy.log_of("/why").await;
        assert_eq!(
            (&line["status"], &line["method"], &line["origin"]),
            (&400.into(), &"POST".into(), &"client".into())
        );
        assert!(response.text().contains(line["id"].as_str().unwrap()), "the id to ask about");
    });
}

#[test]
fn what_is_unusual_and_not_ambiguous_passes() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for request in [
            "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET http://a/x?y HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET http://A:80/x HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHOST:a\r\nx:\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: \t a \t \r\nx: \t tab\tinside \r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0005\r\n\r\nhello",
            "GET /?q=%zz&%00 HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a.example.\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
        ] {
            let mut client = Raw::connect(proxy.address("http")).await;
            let status = client.exchange(request).await.status;
            assert_eq!(status, 200, "{request:?}");
        }
    });
}
