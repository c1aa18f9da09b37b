use portcullis_tests::{
    client::raw::Raw,
    origin::Origin,
    proxy::Proxy,
    scenario::{eventually, scenario},
};

use crate::ground::plain;

/// Bodies whose chunk framing is wrong.
const MALFORMED: &[(&str, &str)] = &[
    ("no size", "\r\nhello\r\n0\r\n\r\n"),
    ("a size that is no number", "xyz\r\nhello\r\n0\r\n\r\n"),
    ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a signed size", "+5\r\nhello\r\n0\r\n\r\n"),
    ("a size after a space", " 5\r\nhello\r\n0\r\n\r\n"),
    ("a size beyond numbers", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    ("a size with an underscore", "1_0\r\nhello\r\n0\r\n\r\n"),
    ("a bare LF after the size", "5\nhello\r\n0\r\n\r\n"),
    ("a bare CR after the size", "5\rhello\r\n0\r\n\r\n"),
    ("no CRLF after the data", "5\r\nhello0\r\n\r\n"),
    ("a bare LF after the data", "5\r\nhello\n0\r\n\r\n"),
    ("more data than the size", "3\r\nhello\r\n0\r\n\r\n"),
    ("a bare LF at the end", "5\r\nhello\r\n0\r\n\n"),
    ("a control byte in an extension", "5;x=\u{1}\r\nhello\r\n0\r\n\r\n"),
    ("a bare LF in an extension", "5;x=\ny\r\nhello\r\n0\r\n\r\n"),
    ("obs-fold in a trailer", "5\r\nhello\r\n0\r\nx: y\r\n z\r\n\r\n"),
    ("a trailer without a colon", "5\r\nhello\r\n0\r\nnonsense\r\n\r\n"),
    ("a space before a trailer's colon", "5\r\nhello\r\n0\r\nx : y\r\n\r\n"),
];

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

async fn send(proxy: &Proxy, body: &str, size: usize) -> String {
    let mut client = Raw::connect(proxy.address("http")).await;
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send_in_pieces([head, body, SMUGGLED].concat(), size).await;
    String::from_utf8_lossy(&client.read_to_end().await).into_owned()
}

#[test]
fn a_malformed_body_gets_400_and_nothing_behind_it_is_read() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for size in [10_000, 1] {
            let mut wrong = Vec::new();
            let all = MALFORMED.iter().map(|(what, body)| {
                let proxy = &proxy;
                async move { (what, send(proxy, body, size).await) }
            });
            for (what, all) in futures_util::future::join_all(all).await {
                if !all.starts_with("HTTP/1.1 400 ") || all.matches("HTTP/1.1 ").count() != 1 {
                    wrong.push(format!("{what}: {}", all.lines().next().unwrap_or("nothing")));
                }
            }
            assert!(wrong.is_empty(), "in pieces of {size}: {wrong:#?}");
        }
        assert!(origin.requests().iter().all(|seen| seen.target != "/smuggled"));
        assert_eq!(proxy.counter("panics").await, 0);
    });
}

#[test]
fn extensions_and_trailers_without_end_are_refused() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for body in [format!("5;{}", "x".repeat(100_000)), format!("5\r\nhello\r\n0\r\n{}", "x: y\r\n".repeat(20_000))]
        {
            let all = send(&proxy, &body, 10_000_000).await;
            assert!(all.starts_with("HTTP/1.1 4"), "{}", all.lines().next().unwrap_or("nothing"));
        }
    });
}

#[test]
fn a_client_that_lies_about_its_length_is_cut_off_and_the_origin_sees_no_whole_request() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for head in ["content-length: 100\r\n\r\nonly this", "transfer-encoding: chunked\r\n\r\n64\r\nonly this"] {
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send(format!("POST /lie HTTP/1.1\r\nhost: a\r\n{head}")).await;
            client.finish().await;
            let all = String::from_utf8_lossy(&client.read_to_end().await).into_owned();
            assert!(all.is_empty() || all.starts_with("HTTP/1.1 400"), "{all}");
        }
        let line = proxy.log_of("/lie").await;
        assert_eq!(line["origin"], "client", "{line}");
        eventually("the origin's connections end", async || (origin.open() == 0).then_some(())).await;
    });
}
