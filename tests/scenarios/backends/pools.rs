use portcullis_tests::{
    client::http::{Connection, get},
    origin::Origin,
    scenario::{eventually, scenario, soon},
};

use super::{backend, text};

#[test]
fn connections_are_kept_and_used_again() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = backend("endpoints = [\"http://@a@\"]", &[&origin]).await;
        // One connection from the client, so one worker.
        let client = Connection::h1(proxy.address("http")).await;
        for _ in 0..20 {
            assert_eq!(client.get("x", "/").await.status, 200);
        }
        assert_eq!(origin.connections(), 1);
        assert_eq!(proxy.log_line(|line| line["reused"] == true).await["status"], 200);
    });
}

#[test]
fn no_more_idle_connections_are_kept_than_the_pool_says() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy =
            backend("pool = { idle = 2 }\nendpoints = [\"http://@a@\"]\n[x]".trim_end_matches("\n[x]"), &[&origin])
                .await;
        let client = Connection::h2c(proxy.address("http")).await;
        let all = (0..10).map(|_| client.get("x", "/slow?ms=200"));
        futures_util::future::join_all(all).await;
        assert_eq!(origin.connections(), 10);
        eventually("eight are closed", async || (origin.open() == 2).then_some(())).await;
    });
}

#[test]
fn idle_connections_are_closed_after_their_time() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = backend("pool = { idle_time = \"300ms\" }\nendpoints = [\"http://@a@\"]", &[&origin]).await;
        assert_eq!(get(proxy.address("http"), "x", "/").await.status, 200);
        assert_eq!(origin.open(), 1);
        eventually("it is closed", async || (origin.open() == 0).then_some(())).await;
        assert_eq!(get(proxy.address("http"), "x", "/").await.status, 200);
    });
}

#[test]
fn http_2_exchanges_share_a_connection_up_to_its_streams() {
    scenario(async {
        let origin = Origin::plan("two").h2c().start().await;
        let proxy = backend("pool = { streams = 10 }\nendpoints = [\"h2c://@a@\"]", &[&origin]).await;
        let client = Connection::h2c(proxy.address("http")).await;
        assert_eq!(client.get("x", "/").await.status, 200);
        let ten = (0..10).map(|_| client.get("x", "/slow?ms=300"));
        futures_util::future::join_all(ten).await;
        assert_eq!(origin.connections(), 1);
        let more = (0..25).map(|_| client.get("x", "/slow?ms=300"));
        futures_util::future::join_all(more).await;
        assert!((2..=4).contains(&origin.connections()), "{}", origin.connections());
    });
}

#[test]
fn the_bound_on_connections_makes_exchanges_wait_and_then_fail() {
    scenario(async {
        let origin = Origin::start().await;
        let lines =
            "pool = { connections = 2 }\nretries = 0\ntime = { connect = \"500ms\" }\nendpoints = [\"http://@a@\"]";
        let proxy = backend(lines, &[&origin]).await;
        let client = Connection::h2c(proxy.address("http")).await;
        // Two go at once, two wait for a place and get one.
        let four = (0..4).map(|_| client.get("x", "/slow?ms=200"));
        let statuses: Vec<_> = futures_util::future::join_all(four).await.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200; 4]);
        assert_eq!(origin.connections(), 2);
        // Two go at once, two wait too long.
        let four = (0..4).map(|_| client.get("x", "/slow?ms=2000"));
        let mut statuses: Vec<_> =
            soon("answers", futures_util::future::join_all(four)).await.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 503, 503]);
        assert_eq!(origin.connections(), 2);
        let line = proxy.log_line(|line| line["status"] == 503).await;
        assert_eq!(line["error"], "connection_limit_reached");
    });
}

#[test]
fn a_connection_that_the_origin_closed_is_not_used_again() {
    scenario(async {
        let origin =
            portcullis_tests::origin::raw::RawOrigin::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        let proxy = portcullis_tests::proxy::Plan::new(text("endpoints = [\"http://@a@\"]"))
            .set("a", origin.address())
            .start()
            .await;
        let client = Connection::h1(proxy.address("http")).await;
        for number in 1..20 {
            assert_eq!(client.get("x", "/").await.text(), "ok");
            assert_eq!(origin.connections(), number);
        }
    });
}
