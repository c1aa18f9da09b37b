use std::time::{Duration, Instant};

use portcullis_tests::{
    client::http::{Connection, get},
    origin::{Origin, raw::RawOrigin},
    port::Port,
    proxy::Plan,
    scenario::{eventually, scenario},
};

use super::{backend, text};

#[test]
fn errors_in_a_row_eject_an_endpoint_and_success_brings_it_back() {
    scenario(async {
        let port = Port::reserve();
        let good = Origin::named("good").await;
        let lines =
            text("health = { errors = 2, eject = \"500ms\" }\nendpoints = [\"http://@bad@\", \"http://@good@\"]");
        let proxy = Plan::new(lines).set("bad", port.address()).set("good", good.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        for _ in 0..10 {
            assert_eq!(client.get("x", "/name").await.text(), "good");
        }
        let status = proxy.status().await;
        let endpoints = status["backends"][0]["endpoints"].as_array().unwrap();
        let bad = endpoints.iter().find(|endpoint| endpoint["address"] == port.address().to_string()).unwrap();
        assert_eq!(bad["state"], "ejected", "{status}");
        assert!(bad["reason"].as_str().unwrap().contains("refused"), "{status}");
        let back = Origin::plan("back").at(port.address()).start().await;
        eventually("it is tried again", async || (client.get("x", "/name").await.text() == "back").then_some(())).await;
        for _ in 0..10 {
            assert_eq!(client.get("x", "/name").await.status, 200);
        }
        assert!(back.count() >= 5);
    });
}

#[test]
fn a_status_is_an_answer_and_ejects_nobody() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = backend("health = { errors = 1 }\nendpoints = [\"http://@a@\"]", &[&origin]).await;
        let client = Connection::h1(proxy.address("http")).await;
        for code in [500, 502, 503, 504, 404] {
            assert_eq!(client.get("x", &format!("/status?code={code}")).await.status, code);
        }
        assert_eq!(origin.count(), 5);
        assert_eq!(client.get("x", "/").await.status, 200);
    });
}

#[test]
fn all_endpoints_down_is_503_at_once_with_the_reason_in_the_log() {
    scenario(async {
        let (one, two) = (Port::reserve(), Port::reserve());
        let lines = text("health = { errors = 1, eject = \"30s\" }\nendpoints = [\"http://@a@\", \"http://@b@\"]");
        let proxy = Plan::new(lines).set("a", one.address()).set("b", two.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(client.get("x", "/first").await.status, 503, "both were tried, and neither took the connection");
        assert_eq!(proxy.log_of("/first").await["error"], "destination_unavailable");
        let begun = Instant::now();
        let answer = client.get("x", "/second").await;
        assert_eq!(answer.status, 503);
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert!(!answer.text().contains("127.0.0.1"), "clients learn no addresses: {}", answer.text());
        let line = proxy.log_of("/second").await;
        assert_eq!((&line["error"], &line["origin"]), (&"destination_unavailable".into(), &"backend".into()));
        let detail = line["detail"].as_str().unwrap();
        assert!(detail.contains(&one.address().to_string()) && detail.contains("refused"), "{detail}");
    });
}

#[test]
fn ejections_grow_with_each_failure_up_to_a_bound() {
    scenario(async {
        let port = Port::reserve();
        let lines = text(
            "health = { errors = 1, eject = \"200ms\", eject_max = \"400ms\" }\nretries = 0\nendpoints = [\"http://@a@\"]",
        );
        let proxy = Plan::new(lines).set("a", port.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        for (ejections, length) in ["200ms", "400ms", "400ms"].into_iter().enumerate() {
            eventually("it is tried", async || {
                assert_eq!(client.get("x", "/").await.status, 503);
                (proxy.error_log().matches("left alone for").count() > ejections).then_some(())
            })
            .await;
            let says = proxy.says(&format!("left alone for {length}")).await;
            assert!(says.contains("app"), "{says}");
        }
        assert!(!proxy.error_log().contains("left alone for 800ms"));
    });
}

#[test]
fn garbage_and_resets_count_as_errors() {
    scenario(async {
        let origin = RawOrigin::answering("this is not HTTP\r\n\r\n").await;
        let lines = text("health = { errors = 3, eject = \"30s\" }\nretries = 0\nendpoints = [\"http://@a@\"]");
        let proxy = Plan::new(lines).set("a", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        for _ in 0..3 {
            assert_eq!(client.get("x", "/").await.status, 502);
        }
        assert_eq!(client.get("x", "/").await.status, 503);
        assert_eq!(origin.connections(), 3);
    });
}

#[test]
fn an_endpoint_that_leaves_the_configuration_finishes_what_it_has() {
    scenario(async {
        let (old, new) = (Origin::named("old").await, Origin::named("new").await);
        let proxy = backend("endpoints = [\"http://@a@\"]", &[&old, &new]).await;
        let address = proxy.address("http");
        let slow = tokio::spawn(async move { get(address, "x", "/drip?n=15&ms=100").await });
        eventually("it has begun", async || (old.count() == 1).then_some(())).await;
        proxy.apply(&text("endpoints = [\"http://@b@\"]")).await;
        assert_eq!(get(address, "x", "/name").await.text(), "new");
        let answer = slow.await.unwrap();
        assert_eq!((answer.status, answer.text().lines().count()), (200, 15));
        eventually("its connections are closed then", async || (old.open() == 0).then_some(())).await;
    });
}
