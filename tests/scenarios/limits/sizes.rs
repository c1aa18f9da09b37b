use portcullis_tests::{
    client::{
        http::{Connection, request, request_with_body},
        raw::Raw,
    },
    origin::{Origin, stock},
    proxy::Plan,
    scenario::scenario,
};

use super::limited;
use crate::ground::PLAIN;

/// The status for `head` on a connection of its own, after which the connection is closed where it is an error.
async fn status(address: std::net::SocketAddr, head: String) -> u16 {
    let mut client = Raw::connect(address).await;
    let response = client.exchange(head).await;
    if response.status >= 400 {
        assert!(client.is_closed().await, "{}", response.head);
    }
    response.status
}

#[test]
fn header_bytes_over_the_limit_get_431() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "header_bytes = \"4KiB\"").await;
        let address = proxy.address("http");
        let with = |length| format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(length));
        assert_eq!(status(address, with(3900)).await, 200);
        assert_eq!(status(address, with(4200)).await, 431);
        assert_eq!(status(address, format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(900))).await, 431);
        // Nothing that never ends is collected.
        let mut client = Raw::connect(address).await;
        for _ in 0..100 {
            client.send("x: y\r\n".repeat(1000)).await;
        }
        drop(client.read_to_end().await);
        assert_eq!(proxy.counter("heads_too_large").await, 2);

        let two = Connection::h2c(address).await;
        let mut large = request("GET", "a", "/");
        large.headers_mut().insert("x", "y".repeat(5000).parse().unwrap());
        let answer = two.try_fetch(large).await;
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 431));
        assert_eq!(Connection::h2c(address).await.get("a", "/").await.status, 200);
    });
}

#[test]
fn more_header_fields_than_the_limit_get_431() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "header_count = 10").await;
        let address = proxy.address("http");
        let with = |count| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(count));
        assert_eq!(status(address, with(9)).await, 200);
        assert_eq!(status(address, with(10)).await, 431);
        assert_eq!(proxy.counter("heads_too_large").await, 1);
        let mut many = request("GET", "a", "/");
        for _ in 0..20 {
            many.headers_mut().append("x", "y".parse().unwrap());
        }
        assert_eq!(Connection::h2c(address).await.fetch(many).await.status, 431);
        assert_eq!(origin.count(), 1);
    });
}

#[test]
fn a_target_over_the_limit_gets_414() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "target_length = \"1KiB\"").await;
        let address = proxy.address("http");
        let with = |length: usize| format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(length - 1));
        assert_eq!(status(address, with(1024)).await, 200);
        assert_eq!(status(address, with(1025)).await, 414);
        let target = format!("/{}", "x".repeat(1024));
        assert_eq!(Connection::h2c(address).await.get("a", &target).await.status, 414);
        assert_eq!(proxy.counter("targets_too_long").await, 2);
    });
}

#[test]
fn a_body_over_the_limit_gets_413_before_or_while_it_is_sent() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "body_size = \"1KiB\"").await;
        let address = proxy.address("http");
        let fits = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1024\r\n\r\n{}", "x".repeat(1024));
        assert_eq!(status(address, fits).await, 200);
        assert_eq!(origin.count(), 1);
        // Said in advance: the origin is not bothered.
        assert_eq!(status(address, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1025\r\n\r\n".into()).await, 413);
        assert_eq!(origin.count(), 1);
        let chunked = format!(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n800\r\n{}\r\n0\r\n\r\n",
            "x".repeat(2048)
        );
        assert_eq!(status(address, chunked).await, 413);
        let two = Connection::h2c(address).await;
        let body = stock::pattern(2000);
        assert_eq!(two.fetch(request_with_body("POST", "a", "/", body)).await.status, 413);
        assert_eq!(proxy.counter("bodies_too_large").await, 3);
    });
}

#[test]
fn the_defaults_hold_where_nothing_is_written() {
    scenario(async {
        // Answered here: an origin has limits of its own.
        let proxy = Plan::new(PLAIN.replace("backend = \"app\"", "respond = { status = 200 }"))
            .set("origin", "127.0.0.1:1")
            .start()
            .await;
        let address = proxy.address("http");
        assert_eq!(status(address, format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(8191))).await, 200);
        assert_eq!(status(address, format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(8192))).await, 414);
        assert_eq!(status(address, format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(99))).await, 200);
        assert_eq!(status(address, format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(100))).await, 431);
        assert_eq!(
            status(address, format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(60_000))).await,
            200
        );
        assert_eq!(
            status(address, format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(66_000))).await,
            431
        );
        assert_eq!(
            status(address, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4294967297\r\n\r\n".into()).await,
            413
        );
    });
}

#[test]
fn limits_are_set_for_all_and_overridden_under_a_listener() {
    scenario(async {
        let origin = Origin::start().await;
        let text = format!(
            "[limits]\ntarget_length = \"100B\"\nheader_count = 20\n{}\
             [[listener]]\nname = \"other\"\naddress = \"127.0.0.1:@other@\"\nlimits = {{ target_length = \"200B\" }}\n",
            PLAIN
        );
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(150));
        assert_eq!(status(proxy.address("http"), long.clone()).await, 414);
        assert_eq!(status(proxy.address("other"), long).await, 200);
        // What is not overridden holds there too.
        let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(30));
        assert_eq!(status(proxy.address("other"), many).await, 431);
    });
}
