use std::time::{Duration, Instant};

use portcullis_tests::{
    client::{
        http::{Connection, request_with_body},
        raw::Raw,
    },
    origin::stock::pattern,
    proxy::Proxy,
    scenario::scenario,
};

/// A listener that answers itself.
const TEXT: &str = r#"
[[listener]]
name = "http"
address = "127.0.0.1:@http@"
limits = { header_time = "400ms", idle_time = "60s" }

[[route]]
respond = { status = 200, body = "enough" }
"#;

#[test]
fn the_beginning_of_an_http_2_preface_is_a_late_head_like_any_other() {
    scenario(async {
        let proxy = Proxy::start(TEXT).await;
        for beginning in ["P", "PRI * HTTP/2.0\r\n\r\nSM"] {
            let begun = Instant::now();
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send(beginning).await;
            let response = client.response().await;
            assert!(matches!(response.status, 408 | 505), "{response:?}");
            assert!(client.is_closed().await);
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        proxy.log_line(|line| line["status"] == 408).await;
    });
}

#[test]
fn an_http_2_preface_that_is_cut_off_is_in_the_log() {
    scenario(async {
        let proxy = Proxy::start(TEXT).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("PRI * HT").await;
        client.finish().await;
        assert_eq!(client.response().await.status, 400);
        assert_eq!(proxy.log_line(|line| line["status"] == 400).await["origin"], "client");
    });
}

#[test]
fn an_http_2_preface_in_pieces_is_one() {
    scenario(async {
        let proxy = Proxy::start(TEXT).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send_in_pieces("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", 5).await;
        // Its SETTINGS frame.
        assert_eq!(client.read_exactly(9).await.get(3), Some(&4));
    });
}

#[test]
fn a_client_that_sends_a_large_body_to_the_end_reads_the_answer() {
    scenario(async {
        let proxy = Proxy::start(TEXT).await;
        let client = Connection::h1(proxy.address("http")).await;
        let answer = client.fetch(request_with_body("POST", "a", "/", pattern(30_000_000))).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "enough"));
        // Plain sockets look for the answer after the last byte.
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30000000\r\n\r\n").await;
        client.send(vec![b'x'; 30_000_000]).await;
        assert_eq!(client.response().await.status, 200);
    });
}
