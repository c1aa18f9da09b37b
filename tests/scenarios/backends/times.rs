use std::time::{Duration, Instant};

use portcullis_tests::{
    client::{
        http::{Connection, get},
        raw::Raw,
    },
    origin::{Origin, raw::RawOrigin},
    proxy::Plan,
    scenario::scenario,
};

use super::{backend, text};

#[test]
fn connecting_has_a_limit() {
    scenario(async {
        // A full backlog: the kernel drops what comes after.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let full = socket.local_addr().unwrap().as_socket().unwrap();
        let mut filling = Vec::new();
        for _ in 0..4 {
            let stream = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            stream.set_nonblocking(true).unwrap();
            drop(stream.connect(&full.into()));
            filling.push(stream);
        }
        let lines = text("retries = 0\ntime = { connect = \"400ms\" }\nendpoints = [\"http://@full@\"]");
        let proxy = Plan::new(lines).set("full", full).start().await;
        let begun = Instant::now();
        assert_eq!(get(proxy.address("http"), "x", "/").await.status, 504);
        assert!(begun.elapsed() < Duration::from_secs(5));
        let line = proxy.log_line(|line| line["status"] == 504).await;
        assert_eq!((&line["error"], &line["origin"]), (&"connection_timeout".into(), &"backend".into()));
    });
}

#[test]
fn the_first_byte_has_a_limit() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = backend("time = { first_byte = \"400ms\" }\nendpoints = [\"http://@a@\"]", &[&origin]).await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            assert_eq!(client.get("x", "/slow?ms=10000").await.status, 504);
        }
        let line = proxy.log_line(|line| line["status"] == 504).await;
        assert_eq!((&line["error"], &line["origin"]), (&"http_response_timeout".into(), &"backend".into()));
        // A body that goes on is not late.
        assert_eq!(get(proxy.address("http"), "x", "/drip?n=5&ms=200").await.status, 200);
    });
}

#[test]
fn the_clock_for_the_first_byte_starts_after_the_request() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = backend("time = { first_byte = \"700ms\" }\nendpoints = [\"http://@a@\"]", &[&origin]).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\n").await;
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            client.send("x").await;
        }
        assert_eq!(client.response().await.status, 200);
    });
}

#[test]
fn silence_inside_a_response_has_a_limit() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = backend("time = { idle = \"400ms\" }\nendpoints = [\"http://@a@\"]", &[&origin]).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let response = client.exchange("GET /drip?n=3&ms=5000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!((response.status, response.is_cut, response.text().as_str()), (200, true, "chunk 0\n"));
        let line = proxy.log_line(|line| line["end"] == "aborted").await;
        assert_eq!((&line["origin"], &line["error"]), (&"backend".into(), &"connection_read_timeout".into()));
        // Slow is not silent.
        assert_eq!(get(proxy.address("http"), "x", "/drip?n=8&ms=150").await.status, 200);
    });
}

#[test]
fn the_whole_exchange_has_a_limit_where_one_is_set() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = backend("time = { total = \"600ms\" }\nendpoints = [\"http://@a@\"]", &[&origin]).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let response = client.exchange("GET /drip?n=100&ms=50 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(response.status == 200 && response.is_cut);
        assert_eq!(get(proxy.address("http"), "x", "/slow?ms=10000").await.status, 504);
    });
}

#[test]
fn a_client_that_leaves_frees_the_backend_at_once() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = backend("endpoints = [\"http://@a@\"]", &[&origin]).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(!client.read().await.is_empty());
        drop(client);
        portcullis_tests::scenario::eventually("the origin is free", async || (origin.open() == 0).then_some(())).await;
        assert_eq!(proxy.log_line(|line| line["target"] == "/endless").await["end"], "client_gone");
        let two = Connection::h2c(proxy.address("http")).await;
        let response = two.send(portcullis_tests::client::http::request("GET", "a", "/endless?two")).await.unwrap();
        drop(response);
        portcullis_tests::scenario::eventually("the origin is free", async || (origin.open() == 0).then_some(())).await;
    });
}

#[test]
fn an_origin_that_reads_nothing_is_slow_too() {
    scenario(async {
        let origin = RawOrigin::start(|stream, _| async move {
            tokio::time::sleep(Duration::from_secs(30)).await;
            drop(stream);
        })
        .await;
        let lines = text("time = { first_byte = \"500ms\", idle = \"500ms\" }\nendpoints = [\"http://@a@\"]");
        let proxy = Plan::new(lines).set("a", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        let body = portcullis_tests::origin::stock::pattern(100_000_000);
        let answer = client.try_fetch(portcullis_tests::client::http::request_with_body("POST", "a", "/", body)).await;
        // The client may see the answer, or that nobody takes the rest of its body.
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 504));
        assert_eq!(proxy.log_line(|line| line["method"] == "POST").await["status"], 504);
    });
}
