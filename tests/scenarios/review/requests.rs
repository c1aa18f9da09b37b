//! Requests that are unusual and right, or slow: what the backend gets, and who is blamed.

use portcullis_tests::{client::raw::Raw, origin::Origin, proxy::Plan, scenario::scenario};

use crate::ground::{PLAIN, plain};

#[test]
fn a_get_with_a_chunked_body_keeps_it() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let response = client
            .exchange("GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .await;
        assert_eq!(response.status, 200);
        assert!(response.text().contains("\"length\":5"), "{}", response.text());
    });
}

#[test]
fn clients_that_stall_their_uploads_eject_no_endpoint() {
    scenario(async {
        let origin = Origin::start().await;
        let text = PLAIN.replace(
            "endpoints =",
            "time = { first_byte = \"300ms\" }\nhealth = { errors = 1, eject = \"1m\" }\nendpoints =",
        );
        let text = format!("[limits]\nbody_idle_time = \"300ms\"\n{text}");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        for _ in 0..3 {
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await;
            assert_eq!(client.response().await.status, 408);
        }
        assert_eq!(proxy.status().await["backends"][0]["endpoints"][0]["state"], "good");
    });
}

#[test]
fn a_redirect_to_another_path_keeps_the_port_that_was_asked() {
    scenario(async {
        let text = "[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@http@\"\n[[route]]\nredirect = \"/new\"\n";
        let proxy = Plan::new(text).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let response = client.exchange("GET /old HTTP/1.1\r\nhost: shop.example:8080\r\n\r\n").await;
        assert_eq!(response.header("location"), Some("http://shop.example:8080/new"));
    });
}
