use std::time::{Duration, Instant};

use portcullis_tests::{
    certificates::{authority, leaf},
    client::{
        frames::{END_HEADERS, END_STREAM, Frames, get, kind},
        http::{Connection, request},
        raw::Raw,
    },
    origin::{Origin, raw::RawOrigin},
    proxy::Plan,
    scenario::{eventually, scenario, soon},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::ground::{PLAIN, TLS};

/// A body that breaks off inside its chunks.
const CUT: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo";

#[test]
fn a_response_without_length_that_breaks_off_ends_with_a_reset() {
    scenario(async {
        let origin = RawOrigin::answering(CUT).await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let mut client = TcpStream::connect(proxy.address("http")).await.unwrap();
        client.write_all(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
        let mut got = Vec::new();
        let end = soon("the end", client.read_to_end(&mut got)).await;
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset, "{}", String::from_utf8_lossy(&got));
        assert_eq!(proxy.log_line(|line| line["status"] == 200).await["end"], "aborted");
    });
}

#[test]
fn a_response_without_length_that_is_whole_ends_in_good_order() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let mut client = TcpStream::connect(proxy.address("http")).await.unwrap();
        client.write_all(b"GET /stream?n=3000000 HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
        let mut got = Vec::new();
        soon("the end", client.read_to_end(&mut got)).await.unwrap();
        assert!(got.len() > 3_000_000);
        assert!(!String::from_utf8_lossy(&got[..500]).contains("chunked"));
    });
}

#[test]
fn a_tls_client_sees_that_a_response_without_length_broke_off() {
    scenario(async {
        let origin = RawOrigin::answering(CUT).await;
        let proxy = Plan::new(TLS).leaf("leaf", &leaf(&["a.example"])).set("origin", origin.address()).start().await;
        let config = authority().client(&["http/1.1"]);
        let mut client = portcullis_tests::client::tls(proxy.address("https"), "a.example", &config).await.unwrap();
        client.write_all(b"GET / HTTP/1.0\r\nhost: a.example\r\n\r\n").await.unwrap();
        assert!(soon("the end", client.read_to_end(&mut Vec::new())).await.is_err());
    });
}

#[test]
fn a_connection_serves_on_after_a_whole_response_in_http_1_0() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        for _ in 0..2 {
            let ask = "GET /bytes?n=10 HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n";
            assert_eq!(client.exchange(ask).await.body.len(), 10);
        }
        eventually("both are in the log", async || (proxy.log_lines().len() == 2).then_some(())).await;
    });
}

#[test]
fn a_response_without_length_that_the_end_of_the_process_cuts_ends_with_a_reset() {
    scenario(async {
        let origin = Origin::start().await;
        let text = PLAIN.replace("[[listener]]", "[server]\ndrain = \"1s\"\n[[listener]]");
        let mut proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let mut client = TcpStream::connect(proxy.address("http")).await.unwrap();
        client.write_all(b"GET /drip?n=1000&ms=100 HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
        let mut first = [0; 4];
        soon("the head", client.read_exact(&mut first)).await.unwrap();
        proxy.signal(rustix::process::Signal::TERM);
        assert!(soon("the end", client.read_to_end(&mut Vec::new())).await.is_err());
        proxy.ended().await;
    });
}

#[test]
fn an_http_2_stream_that_is_not_read_ends_and_harms_no_other() {
    const WINDOW_UPDATE: u8 = 8;
    scenario(async {
        let origin = Origin::start().await;
        let text = PLAIN.replace("[[route]]", "limits = { body_idle_time = \"500ms\" }\n[[route]]");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let mut client = Frames::open(Raw::connect(proxy.address("http")).await).await;
        // SETTINGS_INITIAL_WINDOW_SIZE 0: nothing of a body may come before it is asked for.
        client.send(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await;
        let ask = |target| get("a", target, &[]);
        client.send(kind::HEADERS, END_HEADERS | END_STREAM, 1, &ask("/drip?n=100000&ms=1")).await;
        client.send(kind::HEADERS, END_HEADERS | END_STREAM, 3, &ask("/drip?n=50&ms=100")).await;
        client.send(WINDOW_UPDATE, 0, 3, &100_000_u32.to_be_bytes()).await;
        loop {
            let frame = soon("a frame", client.next()).await.expect("the connection goes on");
            assert_ne!((frame.kind, frame.stream), (kind::RST_STREAM, 3));
            if frame.stream == 3 && frame.kind == kind::DATA && frame.flags & END_STREAM != 0 {
                break;
            }
        }
        let line = proxy.log_of("/drip?n=100000&ms=1").await;
        assert_eq!((&line["end"], &line["origin"]), (&"client_gone".into(), &"client".into()), "{line}");
        assert_eq!(proxy.log_of("/drip?n=50&ms=100").await["end"], "complete");
        eventually("the backend is let go", async || (origin.open() <= 1).then_some(())).await;
    });
}

#[test]
fn an_http_2_stream_past_its_time_ends_and_harms_no_other() {
    scenario(async {
        let origin = Origin::start().await;
        let text = PLAIN.replace("[[route]]", "limits = { request_time = \"2s\" }\n[[route]]");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let client = Connection::h2c(proxy.address("http")).await;
        let unread = client.send(request("GET", "a", "/endless")).await.unwrap();
        let begun = Instant::now();
        let others = async || {
            while begun.elapsed() < Duration::from_secs(7) {
                assert_eq!(client.get("a", "/slow?ms=300").await.status, 200);
            }
        };
        tokio::join!(others(), others(), others());
        let line = proxy.log_of("/endless").await;
        assert_eq!((&line["end"], &line["error"]), (&"aborted".into(), &"http_response_timeout".into()), "{line}");
        eventually("the backend is let go", async || (origin.open() <= 3).then_some(())).await;
        drop(unread);
    });
}

#[test]
fn an_http_2_connection_with_nothing_but_an_unread_stream_ends() {
    scenario(async {
        let origin = Origin::start().await;
        let text = PLAIN.replace("[[route]]", "limits = { request_time = \"1s\" }\n[[route]]");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let client = Connection::h2c(proxy.address("http")).await;
        let unread = client.send(request("GET", "a", "/endless")).await.unwrap();
        assert_eq!(proxy.log_of("/endless").await["end"], "aborted");
        eventually("the connection ends", async || client.is_closed().then_some(())).await;
        drop(unread);
    });
}
