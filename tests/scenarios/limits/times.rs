use std::time::{Duration, Instant};

use portcullis_tests::{
    client::{
        http::{Connection, request, request_with_body},
        raw::Raw,
    },
    origin::Origin,
    scenario::scenario,
};

use super::limited;
use crate::ground::channel;

#[test]
fn a_head_that_takes_too_long_gets_408() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "header_time = \"400ms\"").await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\nx: ").await;
        let response = client.response().await;
        assert_eq!(response.status, 408);
        assert!(client.is_closed().await);
        assert_eq!(proxy.counter("requests_slow").await, 1);
        assert_eq!(proxy.log_line(|line| line["status"] == 408).await["origin"], "client");
    });
}

#[test]
fn a_head_that_drips_is_slow_however_often_something_comes() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "header_time = \"500ms\"").await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let begun = Instant::now();
        client.send("GET / HTTP/1.1\r\n").await;
        let dripping = async {
            for _ in 0..100 {
                client.send("x: y\r\n").await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            client.response().await.status
        };
        assert_eq!(dripping.await, 408);
        assert!(begun.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "idle_time = \"300ms\"").await;
        let mut fresh = Raw::connect(proxy.address("http")).await;
        let mut used = Raw::connect(proxy.address("http")).await;
        assert_eq!(used.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
        assert!(fresh.read_to_end().await.is_empty());
        assert!(used.read_to_end().await.is_empty());
        let two = Connection::h2c(proxy.address("http")).await;
        assert_eq!(two.get("a", "/").await.status, 200);
        portcullis_tests::scenario::eventually("the HTTP/2 connection is closed", async || {
            two.is_closed().then_some(())
        })
        .await;
    });
}

#[test]
fn a_body_that_falls_silent_gets_408() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "body_idle_time = \"400ms\"").await;
        for head in ["content-length: 100\r\n\r\nsome", "transfer-encoding: chunked\r\n\r\n64\r\nsome"] {
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{head}")).await;
            assert_eq!(client.response().await.status, 408);
            assert!(client.is_closed().await);
        }
        let two = Connection::h2c(proxy.address("http")).await;
        let (say, said) = channel();
        say.send(Ok(hyper::body::Frame::data("some".into()))).await.unwrap();
        let body = http_body_util::BodyExt::boxed_unsync(http_body_util::StreamBody::new(said));
        assert_eq!(two.fetch(request_with_body("POST", "a", "/", body)).await.status, 408);
        drop(say);
        assert_eq!(proxy.counter("requests_slow").await, 3);
    });
}

#[test]
fn a_body_that_is_slow_but_never_silent_may_go_on() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "body_idle_time = \"600ms\"").await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n").await;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            client.send("x").await;
        }
        assert_eq!(client.response().await.status, 200);
    });
}

#[test]
fn a_backend_that_takes_longer_than_the_request_may_gets_504() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "request_time = \"400ms\"").await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            let answer = client.get("a", "/slow?ms=20000").await;
            assert_eq!(answer.status, 504);
        }
    });
}

#[test]
fn a_body_that_takes_longer_than_the_request_may_gets_408() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "request_time = \"500ms\"").await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n").await;
        for _ in 0..40 {
            client.send("x").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(client.response().await.status, 408);
    });
}

#[test]
fn a_response_that_takes_longer_than_the_request_may_is_cut_off() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "request_time = \"500ms\"").await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let response = client.exchange("GET /drip?n=100&ms=100 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!((response.status, response.is_cut), (200, true));
        let two = Connection::h2c(proxy.address("http")).await;
        assert!(two.try_fetch(request("GET", "a", "/drip?n=100&ms=100")).await.is_err());
        assert_eq!(proxy.log_line(|line| line["end"] == "aborted").await["status"], 200);
    });
}

#[test]
fn an_http_2_preface_that_never_comes_is_closed() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "header_time = \"400ms\", idle_time = \"400ms\"").await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("PRI * HTTP/2.0\r\n\r\n").await;
        drop(client.read_to_end().await);
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        drop(client.read_to_end().await);
    });
}
