use portcullis_tests::{
    certificates::authority,
    client::{http::get, raw::Raw, websocket::WebSocket},
    origin::{
        Origin,
        raw::{RawOrigin, read_head},
    },
    proxy::Plan,
    scenario::scenario,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ground::{PLAIN, plain, tls};

#[test]
fn a_websocket_echoes_over_plain_and_tls() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &["a.example"]).await;
        let config = authority().client(&["http/1.1"]);
        let over_tls = WebSocket::open_tls(proxy.address("https"), "a.example", "/websocket", &config).await.unwrap();
        let proxy_plain = plain(&origin).await;
        let over_tcp = WebSocket::open(proxy_plain.address("http"), "a.example", "/websocket").await.unwrap();
        for mut socket in [over_tls, over_tcp] {
            assert_eq!(socket.echo("hello").await.unwrap(), "hello");
            let large: Vec<u8> = (0..2_000_000_u32).map(|at| (at % 255) as u8).collect();
            assert!(socket.echo_bytes(large.clone()).await.unwrap() == large);
            assert_eq!(socket.echo("again").await.unwrap(), "again");
            socket.close().await.unwrap();
        }
        let line = proxy.log_line(|line| line["kind"] == "upgrade").await;
        assert_eq!(
            (&line["status"], &line["target"], &line["end"]),
            (&101.into(), &"/websocket".into(), &"complete".into())
        );
        assert!(line["received"].as_u64().unwrap() > 2_000_000, "{line}");
    });
}

#[test]
fn an_origin_that_does_not_upgrade_answers_as_usual() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let upgrade = "GET /name HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let response = client.exchange(upgrade).await;
        assert_eq!((response.status, response.text()), (200, "origin".into()));
        assert_eq!(client.exchange("GET /name HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    });
}

#[test]
fn an_origin_cannot_upgrade_what_did_not_ask() {
    scenario(async {
        let origin = RawOrigin::answering(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nbytes of a tunnel",
        )
        .await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let answer = get(proxy.address("http"), "a", "/").await;
        assert_eq!(answer.status, 502);
        assert!(!answer.text().contains("bytes of a tunnel"));
    });
}

#[test]
fn bytes_that_come_with_the_switch_are_not_lost() {
    scenario(async {
        let origin = RawOrigin::start(|mut stream, _| async move {
            let head = read_head(&mut stream).await;
            assert!(String::from_utf8_lossy(&head).to_lowercase().contains("upgrade: other"));
            let switch =
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\nsaid at once";
            drop(stream.write_all(switch.as_bytes()).await);
            let mut said = [0; 5];
            drop(stream.read_exact(&mut said).await);
            drop(stream.write_all(&said).await);
        })
        .await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n").await;
        let head = String::from_utf8(client.read_until(b"\r\n\r\n").await).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert_eq!(client.read_exactly(12).await, b"said at once");
        client.send("hello").await;
        assert_eq!(client.read_to_end().await, b"hello");
    });
}

#[test]
fn bytes_behind_the_request_wait_for_the_switch() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        // A request hidden behind an upgrade that the origin refuses is a request, and is treated as one.
        let mut client = Raw::connect(proxy.address("http")).await;
        client
            .send(
                "GET /name HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\
                 GET /hidden HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
            )
            .await;
        assert_eq!(client.response().await.status, 200);
        let rest = client.read_to_end().await;
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&rest));
        assert!(origin.requests().iter().all(|seen| seen.target != "/hidden"));
    });
}

#[test]
fn a_silent_websocket_is_closed_after_its_idle_time() {
    scenario(async {
        let origin = Origin::start().await;
        let text = PLAIN.replace("address =", "limits = { tunnel_idle_time = \"300ms\" }\naddress =");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let mut socket = WebSocket::open(proxy.address("http"), "a", "/websocket").await.unwrap();
        assert_eq!(socket.echo("x").await.unwrap(), "x");
        socket.closed().await;
        portcullis_tests::scenario::eventually("the origin's side is closed too", async || {
            (origin.open() == 0).then_some(())
        })
        .await;
    });
}

#[test]
fn http_2_cannot_be_smuggled_in_by_an_upgrade() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let response = client
            .exchange(
                "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
                 http2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
            )
            .await;
        assert_eq!(response.status, 200);
        let text = response.text();
        assert!(!text.contains("\"upgrade\"") && !text.contains("http2-settings"), "{text}");
    });
}

#[test]
fn an_upgrade_over_http_1_0_is_ignored() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let response =
            client.exchange("GET / HTTP/1.0\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
        assert_eq!(response.status, 200);
        assert!(!response.text().contains("\"upgrade\""), "{}", response.text());
    });
}
