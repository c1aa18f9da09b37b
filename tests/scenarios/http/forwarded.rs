use portcullis_tests::{
    client::http::{Answer, Connection, request},
    origin::Origin,
    proxy::Plan,
    scenario::scenario,
};

use crate::ground::{PLAIN, plain, tls};

async fn ask(client: &Connection, fields: &[(&'static str, &str)]) -> Answer {
    let mut ask = request("GET", "front.example:8080", "/");
    for (name, value) in fields {
        ask.headers_mut().append(*name, value.parse().unwrap());
    }
    client.fetch(ask).await
}

#[test]
fn tells_the_origin_client_scheme_and_host() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let answer = ask(&Connection::h1(proxy.address("http")).await, &[]).await;
        assert_eq!(answer.seen("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(answer.seen("x-forwarded-proto"), ["http"]);
        assert_eq!(answer.seen("x-forwarded-host"), ["front.example:8080"]);
        let forwarded = answer.seen("forwarded").join(",").to_lowercase();
        assert!(forwarded.contains("for=127.0.0.1") && forwarded.contains("proto=http"), "{forwarded}");
        // RFC 7239 section 6: a port makes a quoted value.
        assert!(forwarded.contains("host=\"front.example:8080\""), "{forwarded}");

        let proxy = tls(&origin, &["front.example"]).await;
        let config = portcullis_tests::certificates::authority().client(&["h2"]);
        let client = Connection::tls(proxy.address("https"), "front.example", &config).await;
        assert_eq!(client.get("front.example", "/").await.seen("x-forwarded-proto"), ["https"]);
    });
}

#[test]
fn an_ipv6_client_is_written_as_the_rfc_wants_it() {
    scenario(async {
        let origin = Origin::start().await;
        let text = PLAIN.replace("127.0.0.1:@http@", "[::1]:@http@");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let address = std::net::SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], proxy.address("http").port()));
        let answer = ask(&Connection::h1(address).await, &[]).await;
        assert_eq!(answer.seen("x-forwarded-for"), ["::1"]);
        assert!(answer.seen("forwarded")[0].contains("for=\"[::1]\""), "{:?}", answer.seen("forwarded"));
    });
}

#[test]
fn what_a_client_claims_is_replaced() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let client = Connection::h1(proxy.address("http")).await;
        let answer = ask(
            &client,
            &[
                ("x-forwarded-for", "198.51.100.7"),
                ("x-forwarded-for", "203.0.113.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil.example"),
                ("forwarded", "for=198.51.100.7;proto=https"),
            ],
        )
        .await;
        assert_eq!(answer.seen("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(answer.seen("x-forwarded-proto"), ["http"]);
        assert_eq!(answer.seen("x-forwarded-host"), ["front.example:8080"]);
        assert!(!answer.text().contains("198.51.100.7") && !answer.text().contains("evil"));
        assert!(
            proxy.log_line(|line| line["status"] == 200).await["client"].as_str().unwrap().starts_with("127.0.0.1")
        );
    });
}

#[test]
fn a_trusted_proxy_is_believed_up_to_the_first_that_is_not() {
    scenario(async {
        let origin = Origin::start().await;
        let text = PLAIN.replace("address =", "trusted = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\naddress =");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        let answer = ask(
            &client,
            &[
                ("x-forwarded-for", "192.0.2.66, 198.51.100.7, 10.1.1.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "public.example"),
            ],
        )
        .await;
        assert!(
            answer.seen("x-forwarded-for").join(", ").ends_with("198.51.100.7, 10.1.1.1, 127.0.0.1"),
            "{}",
            answer.text()
        );
        assert_eq!(answer.seen("x-forwarded-proto"), ["https"]);
        assert_eq!(answer.seen("x-forwarded-host"), ["public.example"]);
        let line = proxy.log_line(|line| line["status"] == 200).await;
        assert!(line["client"].as_str().unwrap().starts_with("198.51.100.7"), "{line}");
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1"), "{line}");
    });
}

#[test]
fn forwarded_of_the_rfc_is_believed_from_a_trusted_proxy() {
    scenario(async {
        let origin = Origin::start().await;
        let text = PLAIN.replace("address =", "trusted = [\"127.0.0.1\"]\naddress =");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        for (number, value) in [
            "for=\"[2001:db8::7]:4711\";proto=https",
            "For=_hidden, for=\"[2001:db8::7]\"",
            "for=\"[2001:db8::7]\";by=unknown",
        ]
        .into_iter()
        .enumerate()
        {
            let mut ask = request("GET", "front.example", &format!("/{number}"));
            ask.headers_mut().insert("forwarded", value.parse().unwrap());
            assert_eq!(client.fetch(ask).await.status, 200);
            let line = proxy.log_of(&format!("/{number}")).await;
            assert!(line["client"].as_str().unwrap().starts_with("[2001:db8::7]"), "{line}");
        }
    });
}

#[test]
fn nonsense_from_a_trusted_proxy_leaves_the_peer_as_the_client() {
    scenario(async {
        let origin = Origin::start().await;
        let text = PLAIN.replace("address =", "trusted = [\"127.0.0.1\"]\naddress =");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        for value in ["", ",,,", "not an address", "999.1.1.1", "for=", "\"", &"1.1.1.1,".repeat(500)] {
            assert_eq!(ask(&client, &[("x-forwarded-for", value), ("forwarded", value)]).await.status, 200);
        }
        assert_eq!(proxy.counter("panics").await, 0);
    });
}
