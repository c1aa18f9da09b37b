use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use portcullis_tests::{
    client::{
        http::{Connection, get, request, request_with_body},
        raw::Raw,
    },
    origin::{
        Origin,
        raw::{RawOrigin, read_head},
        stock,
    },
    proxy::Plan,
    scenario::{eventually, scenario},
};

use tokio::io::AsyncWriteExt;

use crate::ground::PLAIN;

/// [`PLAIN`] with more said of the backend.
fn text(lines: &str) -> String {
    PLAIN.replace("endpoints =", &format!("{lines}\nendpoints ="))
}

#[test]
fn an_http_2_connection_on_which_an_answer_is_late_gets_no_new_exchanges() {
    scenario(async {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let origin = Origin::plan("two")
            .h2c()
            .answering(|_, _| async {
                if ASKED.fetch_add(1, SeqCst) == 0 {
                    std::future::pending::<()>().await;
                }
                stock::text("fresh")
            })
            .start()
            .await;
        let text = format!("[server]\nworkers = 1\n{}", text("time = { first_byte = \"500ms\" }\nretries = 0"));
        let text = text.replace("http://@origin@", "h2c://@origin@");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let address = proxy.address("http");
        assert_eq!(get(address, "a", "/").await.status, 504);
        assert_eq!(get(address, "a", "/").await.text(), "fresh");
        assert_eq!(get(address, "a", "/").await.text(), "fresh");
        assert_eq!(origin.connections(), 2);
        eventually("the doubtful one is closed", async || (origin.open() == 1).then_some(())).await;
    });
}

#[test]
fn an_answer_to_half_an_upload_is_passed_on_though_a_reset_follows() {
    scenario(async {
        let origin = RawOrigin::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            drop(stream.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 8\r\n\r\ntoo much").await);
            // With bytes unread: a reset.
        })
        .await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        for _ in 0..5 {
            let client = Connection::h1(proxy.address("http")).await;
            let answer = client.fetch(request_with_body("POST", "a", "/", stock::pattern(30_000_000))).await;
            assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
        }
    });
}

#[test]
fn an_answer_without_length_before_a_reset_is_not_taken_for_a_whole_one() {
    scenario(async {
        let origin = RawOrigin::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            drop(stream.write_all(b"HTTP/1.1 413 Content Too Large\r\n\r\ntoo mu").await);
        })
        .await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        let answer = client.try_fetch(request_with_body("POST", "a", "/", stock::pattern(30_000_000))).await;
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 502));
    });
}

#[test]
fn an_endpoint_that_always_breaks_off_its_responses_is_ejected() {
    scenario(async {
        let broken = RawOrigin::answering("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await;
        let good = Origin::named("good").await;
        let text = text("health = { errors = 3, eject = \"60s\" }")
            .replace("[\"http://@origin@\"]", "[\"http://@broken@\", \"http://@good@\"]");
        let proxy = Plan::new(text).set("broken", broken.address()).set("good", good.address()).start().await;
        let mut cut = 0;
        for _ in 0..30 {
            let client = Connection::h1(proxy.address("http")).await;
            cut += usize::from(client.try_fetch(request("GET", "a", "/name")).await.is_err());
        }
        assert_eq!(cut, 3);
        assert!(proxy.says("left alone").await.contains("ended before its end"));
    });
}

#[test]
fn a_client_that_breaks_off_its_upload_ejects_nobody() {
    scenario(async {
        let origin = RawOrigin::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            // Answers while it still reads.
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbeginning").await);
            drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
        })
        .await;
        let text = text("health = { errors = 1, eject = \"60s\" }");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        for n in 1..=5 {
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
            assert!(client.read_until(b"beginning").await.starts_with(b"HTTP/1.1 200"));
            client.send("no chunk\r\n").await;
            drop(client.read_to_end().await);
            eventually("it is in the log", async || (proxy.log_lines().len() == n).then_some(())).await;
        }
        for line in proxy.log_lines() {
            assert_eq!((&line["status"], &line["origin"]), (&200.into(), &"client".into()), "{line}");
        }
    });
}
