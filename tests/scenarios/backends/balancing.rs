use portcullis_tests::{
    client::http::{Connection, get},
    origin::Origin,
    scenario::{eventually, scenario},
};

use super::backend;

/// One worker: balancing is each worker's own affair.
const ONE: &str = "endpoints = [\"http://@a@\", \"http://@b@\", \"http://@c@\"]";

async fn three() -> [Origin; 3] {
    [Origin::named("a").await, Origin::named("b").await, Origin::named("c").await]
}

#[test]
fn takes_endpoints_in_turn() {
    scenario(async {
        let origins = three().await;
        let proxy = backend(ONE, &origins.each_ref()).await;
        let client = Connection::h1(proxy.address("http")).await;
        let mut names = Vec::new();
        for _ in 0..9 {
            names.push(client.get("x", "/name").await.text());
        }
        for turn in names.chunks(3) {
            let mut turn = turn.to_vec();
            turn.sort();
            assert_eq!(turn, ["a", "b", "c"], "{names:?}");
        }
        let line = proxy.log_line(|line| line["status"] == 200).await;
        assert_eq!(line["chosen"], "turn");
    });
}

#[test]
fn gives_each_endpoint_its_weight() {
    scenario(async {
        let origins = three().await;
        let lines = "balance = \"weighted\"\nendpoints = [{ url = \"http://@a@\", weight = 5 }, \
                     { url = \"http://@b@\", weight = 3 }, \"http://@c@\"]";
        let proxy = backend(lines, &origins.each_ref()).await;
        let client = Connection::h1(proxy.address("http")).await;
        for _ in 0..90 {
            assert_eq!(client.get("x", "/name").await.status, 200);
        }
        assert_eq!(origins.each_ref().map(Origin::count), [50, 30, 10]);
    });
}

#[test]
fn least_requests_avoids_who_is_busy() {
    scenario(async {
        let origins = three().await;
        let lines = format!("balance = \"least-requests\"\n{ONE}");
        let proxy = backend(&lines, &origins.each_ref()).await;
        let address = proxy.address("http");
        // One endpoint gets something that lasts.
        let busy = tokio::spawn(async move { get(address, "x", "/drip?n=50&ms=100").await.status });
        eventually("it is there", async || (origins.iter().map(Origin::count).sum::<usize>() == 1).then_some(())).await;
        let index = origins.iter().position(|origin| origin.count() == 1).unwrap();
        let client = Connection::h1(address).await;
        for _ in 0..20 {
            assert_eq!(client.get("x", "/name").await.status, 200);
        }
        assert_eq!(origins[index].count(), 1);
        let line = proxy.log_of("/name").await;
        assert_eq!(line["chosen"], "fewest_open");
        busy.abort();
    });
}

#[test]
fn power_of_two_choices_reaches_all_and_mostly_avoids_who_is_busy() {
    scenario(async {
        let origins = three().await;
        let lines = format!("balance = \"power-of-two-choices\"\n{ONE}");
        let proxy = backend(&lines, &origins.each_ref()).await;
        let address = proxy.address("http");
        let client = Connection::h1(address).await;
        for _ in 0..90 {
            assert_eq!(client.get("x", "/name").await.status, 200);
        }
        assert!(origins.iter().all(|origin| origin.count() > 10), "{:?}", origins.each_ref().map(Origin::count));
        assert_eq!(proxy.log_of("/name").await["chosen"], "better_of_two");
    });
}

#[test]
fn an_endpoint_by_name_stands_for_all_its_addresses() {
    scenario(async {
        let port = portcullis_tests::port::Port::reserve();
        let mut origins = Vec::new();
        for n in 1..4_u8 {
            let address = std::net::SocketAddr::new(crate::ground::loopback(n), port.number());
            origins.push(Origin::plan(&format!("o{n}")).at(address).start().await);
        }
        let lines = format!(
            "endpoints = [\"http://app.example:{}\"]\n[dns.hosts]\n\"app.example\" = [\"127.0.0.1\", \"127.0.0.2\", \"127.0.0.3\"]",
            port.number()
        );
        let proxy = backend(&lines, &[]).await;
        let client = Connection::h1(proxy.address("http")).await;
        for _ in 0..9 {
            assert_eq!(client.get("x", "/name").await.status, 200);
        }
        assert!(origins.iter().all(|origin| origin.count() == 3));
        let line = proxy.log_of("/name").await;
        assert_eq!(line["endpoint_name"], "app.example");
    });
}
