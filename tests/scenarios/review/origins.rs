use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use portcullis_tests::{
    client::http::{Connection, get, request_with_body},
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
