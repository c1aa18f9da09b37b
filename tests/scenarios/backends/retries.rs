use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use portcullis_tests::{
    client::{
        http::{Connection, request, request_with_body},
        load::Load,
    },
    origin::{
        Origin,
        raw::{RawOrigin, read_head, reset},
        stock,
    },
    port::Port,
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::text;

/// An origin that resets every connection after it has read a request; it counts them.
async fn resetting() -> (RawOrigin, Arc<AtomicUsize>) {
    let heads = Arc::new(AtomicUsize::new(0));
    let counter = heads.clone();
    let origin = RawOrigin::start(move |mut stream, _| {
        let counter = counter.clone();
        async move {
            if !read_head(&mut stream).await.is_empty() {
                counter.fetch_add(1, SeqCst);
            }
            reset(stream);
        }
    })
    .await;
    (origin, heads)
}

async fn pair(bad: std::net::SocketAddr, good: &Origin) -> Proxy {
    let lines = text("health = { errors = 0 }\nendpoints = [\"http://@a@\", \"http://@b@\"]");
    Plan::new(lines).set("a", bad).set("b", good.address()).start().await
}

#[test]
fn what_was_not_sent_is_tried_on_another_endpoint_whatever_the_method() {
    scenario(async {
        let port = Port::reserve();
        let good = Origin::named("good").await;
        let proxy = pair(port.address(), &good).await;
        let client = Connection::h1(proxy.address("http")).await;
        for method in ["GET", "POST", "POST", "PATCH"] {
            let ask = request_with_body(method, "x", "/echo", stock::full("body"));
            let answer = client.fetch(ask).await;
            assert_eq!((answer.status, answer.json()["length"].as_u64()), (200, Some(4)), "{method}");
        }
        let line = proxy.log_line(|line| line.get("attempts").is_some()).await;
        let attempts = line["attempts"].as_array().unwrap();
        assert_eq!(attempts[0]["error"], "connection_refused", "{line}");
        assert_eq!(attempts[1]["chosen"], "retry", "{line}");
        assert_ne!(attempts[0]["endpoint"], attempts[1]["endpoint"]);
        assert!(proxy.counter("retries").await >= 1);
    });
}

#[test]
fn an_idempotent_request_that_was_reset_before_the_first_byte_is_tried_again() {
    scenario(async {
        let (bad, heads) = resetting().await;
        let good = Origin::named("good").await;
        let proxy = pair(bad.address(), &good).await;
        let client = Connection::h1(proxy.address("http")).await;
        for method in ["GET", "GET", "PUT", "DELETE", "OPTIONS"] {
            assert_eq!(client.fetch(request(method, "x", "/name")).await.text(), "good", "{method}");
        }
        assert!(heads.load(SeqCst) >= 1);
        assert_eq!(good.count(), 5);
    });
}

#[test]
fn a_post_that_may_have_arrived_is_never_sent_twice() {
    scenario(async {
        let (bad, heads) = resetting().await;
        let good = Origin::named("good").await;
        let proxy = pair(bad.address(), &good).await;
        let client = Connection::h1(proxy.address("http")).await;
        let mut failed = 0;
        for _ in 0..10 {
            match client.fetch(request("POST", "x", "/name")).await.status {
                200 => {}
                502 => failed += 1,
                other => panic!("{other}"),
            }
        }
        assert_eq!(failed, heads.load(SeqCst));
        assert_eq!(good.count() + failed, 10);
        assert!(failed >= 1);
    });
}

#[test]
fn a_response_that_has_begun_is_never_replaced() {
    scenario(async {
        let bad = RawOrigin::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await);
            drop(stream.shutdown().await);
        })
        .await;
        let good = Origin::named("good").await;
        let lines =
            text("balance = \"weighted\"\nendpoints = [{ url = \"http://@a@\", weight = 1000 }, \"http://@b@\"]");
        let proxy = Plan::new(lines).set("a", bad.address()).set("b", good.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        assert!(client.try_fetch(request("GET", "x", "/half")).await.is_err());
        let line = proxy.log_of("/half").await;
        assert_eq!(
            (&line["end"], &line["origin"], &line["status"]),
            (&"aborted".into(), &"backend".into(), &200.into())
        );
        assert!(line.get("attempts").is_none());
    });
}

#[test]
fn the_number_of_retries_is_bounded_and_can_be_none() {
    scenario(async {
        for (retries, tries) in [(0, 1), (1, 2), (2, 3)] {
            let (bad, heads) = resetting().await;
            let lines = text(&format!("retries = {retries}\nhealth = {{ errors = 0 }}\nendpoints = [\"http://@a@\"]"));
            let proxy = Plan::new(lines).set("a", bad.address()).start().await;
            let client = Connection::h1(proxy.address("http")).await;
            assert_eq!(client.get("x", "/").await.status, 502);
            let count = heads.load(SeqCst);
            // On another endpoint, where there is one; alone, once or as often as allowed.
            assert!((1..=tries).contains(&count), "{count} tries with {retries} retries");
        }
    });
}

#[test]
fn a_pooled_connection_that_died_meanwhile_costs_nobody_a_request() {
    scenario(async {
        // Answers once, and resets the connection when the second request comes.
        let origin = RawOrigin::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await);
            read_head(&mut stream).await;
            reset(stream);
        })
        .await;
        let proxy = Plan::new(text("endpoints = [\"http://@a@\"]")).set("a", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        for _ in 0..6 {
            assert_eq!(client.get("x", "/").await.text(), "ok");
        }
    });
}

/// An HTTP/2 origin that refuses every stream (RFC 9113 section 8.7), or says that it goes away and takes none.
async fn refusing(goes_away: bool) -> RawOrigin {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const ACKNOWLEDGED: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];
    const HEADERS: u8 = 1;
    RawOrigin::start(move |mut stream, _| async move {
        let mut preface = [0; 24];
        drop(stream.read_exact(&mut preface).await);
        drop(stream.write_all(&[SETTINGS, ACKNOWLEDGED].concat()).await);
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            drop(stream.read_exact(&mut payload).await);
            if head[3] != HEADERS {
                continue;
            }
            let answer = if goes_away {
                // GOAWAY: the last stream that was processed is none, NO_ERROR.
                [&[0, 0, 8, 7, 0, 0, 0, 0, 0][..], &[0; 8]].concat()
            } else {
                // RST_STREAM: REFUSED_STREAM.
                [&[0, 0, 4, 3, 0][..], &head[5..9], &[0, 0, 0, 7]].concat()
            };
            drop(stream.write_all(&answer).await);
        }
    })
    .await
}

#[test]
fn a_stream_that_was_refused_unseen_is_tried_on_another_endpoint() {
    scenario(async {
        for goes_away in [false, true] {
            let bad = refusing(goes_away).await;
            let good = Origin::plan("good").h2c().start().await;
            let lines = text("health = { errors = 0 }\nendpoints = [\"h2c://@a@\", \"h2c://@b@\"]");
            let proxy = Plan::new(lines).set("a", bad.address()).set("b", good.address()).start().await;
            let client = Connection::h1(proxy.address("http")).await;
            for method in ["GET", "GET", "PUT", "DELETE"] {
                let answer = client.fetch(request(method, "x", "/name")).await;
                assert_eq!((answer.status, answer.text().as_str()), (200, "good"), "{method}, goes away: {goes_away}");
            }
            assert!(bad.connections() >= 1);
        }
    });
}

#[test]
fn an_origin_that_leaves_in_good_order_costs_no_exchange() {
    scenario(async {
        for scheme in ["http", "h2c"] {
            let plan = |name| if scheme == "h2c" { Origin::plan(name).h2c() } else { Origin::plan(name) };
            let (stays, leaves) = (plan("stays").start().await, plan("leaves").start().await);
            let lines = text(&format!("endpoints = [\"{scheme}://@a@\", \"{scheme}://@b@\"]"));
            let proxy = Plan::new(lines).set("a", stays.address()).set("b", leaves.address()).start().await;
            let load = Load::reading(proxy.address("http"), "x", "/load", 4);
            load.go_on(40).await;
            assert!(leaves.count() > 0);
            leaves.leave();
            load.go_on(40).await;
            eventually("it is left", async || (leaves.open() == 0).then_some(())).await;
            load.stop_unharmed().await;
        }
    });
}
