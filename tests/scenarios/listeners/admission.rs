use portcullis_tests::{
    client::{http::get, raw::Raw},
    origin::Origin,
    proxy::Plan,
    scenario::{eventually, scenario},
};

use crate::ground::PLAIN;

/// [`PLAIN`] with more keys in its listener.
fn listener(keys: &str) -> String {
    PLAIN.replace("@http@\"\n", &format!("@http@\"\n{keys}\n"))
}

#[test]
fn a_denied_network_is_closed_without_a_word_and_counted() {
    scenario(async {
        let origin = Origin::start().await;
        let text = listener("deny = [\"127.0.0.0/8\"]");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(client.read_to_end().await.is_empty());
        eventually("it is counted", async || (proxy.counter("connections_denied").await == 1).then_some(())).await;
        assert_eq!(origin.count(), 0);
    });
}

#[test]
fn only_allowed_networks_connect() {
    scenario(async {
        let origin = Origin::start().await;
        let text = listener("allow = [\"10.0.0.0/8\"]");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(client.read_to_end().await.is_empty());
        proxy.apply(&listener("allow = [\"10.0.0.0/8\", \"127.0.0.1\"]")).await;
        assert_eq!(get(proxy.address("http"), "a", "/").await.status, 200);
    });
}

#[test]
fn deny_is_decided_before_allow() {
    scenario(async {
        let origin = Origin::start().await;
        let text = listener("allow = [\"127.0.0.0/8\"]\ndeny = [\"127.0.0.1\"]");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(client.read_to_end().await.is_empty());
    });
}

#[test]
fn a_private_listener_refuses_to_start_on_a_public_address() {
    scenario(async {
        for address in ["0.0.0.0", "203.0.113.7", "[::]", "[2001:db8::1]"] {
            let text = format!(
                "[[listener]]\nname = \"inside\"\naddress = \"{address}:@http@\"\nprivate = true\n\
                 [[route]]\nrespond = {{ status = 204 }}\n"
            );
            let refused = Plan::new(text).refused().await;
            assert_eq!(refused.status.code(), Some(1));
            assert!(refused.says.contains("private"), "{}", refused.says);
        }
        let text = "[[listener]]\nname = \"inside\"\naddress = \"127.0.0.1:@http@\"\nprivate = true\n\
                    [[route]]\nrespond = { status = 204 }\n";
        let proxy = Plan::new(text).start().await;
        assert_eq!(get(proxy.address("http"), "a", "/").await.status, 204);
    });
}

#[test]
fn connections_over_the_limit_are_closed_at_accept_and_counted_until_one_leaves() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(listener("connections = 2")).set("origin", origin.address()).start().await;
        let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let mut one = Raw::connect(proxy.address("http")).await;
        let mut two = Raw::connect(proxy.address("http")).await;
        assert_eq!(one.exchange(request).await.status, 200);
        assert_eq!(two.exchange(request).await.status, 200);
        let mut three = Raw::connect(proxy.address("http")).await;
        three.send(request).await;
        assert!(three.read_to_end().await.is_empty());
        assert!(proxy.counter("connections_over_limit").await >= 1);
        drop(one);
        eventually("a place is free again", async || {
            let mut next = Raw::connect(proxy.address("http")).await;
            next.send(request).await;
            (!next.read().await.is_empty()).then_some(())
        })
        .await;
        assert_eq!(two.exchange(request).await.status, 200);
    });
}
