use std::net::SocketAddr;

use portcullis_tests::{
    certificates::{authority, leaf},
    client::raw::Raw,
    origin::{Origin, raw::RawOrigin},
    proxy::Plan,
    scenario::scenario,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ground::{PLAIN, TLS};

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";
const V1: &str = "PROXY TCP4 203.0.113.9 198.51.100.1 4711 80\r\n";

/// A v2 header: 203.0.113.9:4711 to 198.51.100.1:80, with an extension that means nothing here.
fn v2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13".to_vec();
    header.extend([203, 0, 113, 9, 198, 51, 100, 1, 0x12, 0x67, 0, 80]);
    header.extend(b"\xee\0\x04test");
    header
}

fn trusting(text: &str, networks: &str) -> String {
    let at = text.find("@\"\n").unwrap() + 3;
    format!("{}proxy_protocol = [\"{networks}\"]\n{}", &text[..at], &text[at..])
}

#[test]
fn a_trusted_header_of_either_version_names_the_client() {
    scenario(async {
        let origin = Origin::start().await;
        let text = trusting(PLAIN, "127.0.0.0/8");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        for header in [V1.as_bytes().to_vec(), v2()] {
            for size in [1, 1000] {
                let mut client = Raw::connect(proxy.address("http")).await;
                client.send_in_pieces([&header, REQUEST.as_bytes()].concat(), size).await;
                let response = client.response().await;
                assert_eq!(response.status, 200);
                assert!(response.text().contains("[\"x-forwarded-for\",\"203.0.113.9\"]"), "{}", response.text());
            }
        }
        let line = proxy.log_line(|line| line["status"] == 200).await;
        assert_eq!(line["client"], "203.0.113.9:4711");
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    });
}

#[test]
fn a_header_comes_before_tls() {
    scenario(async {
        let origin = Origin::start().await;
        let text = trusting(TLS, "127.0.0.1");
        let proxy = Plan::new(text).leaf("leaf", &leaf(&["a.example"])).set("origin", origin.address()).start().await;
        let mut stream = portcullis_tests::client::tcp(proxy.address("https")).await;
        stream.write_all(&v2()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(authority().client(&["http/1.1"]));
        let stream = connector.connect("a.example".try_into().unwrap(), stream).await.unwrap();
        let response = Raw::over(stream).exchange(REQUEST).await;
        assert!(response.text().contains("203.0.113.9"), "{}", response.text());
    });
}

#[test]
fn an_untrusted_peer_that_sends_a_header_sends_a_malformed_request() {
    scenario(async {
        let origin = Origin::start().await;
        let text = trusting(PLAIN, "10.0.0.0/8");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send([V1, REQUEST].concat()).await;
        assert_eq!(client.response().await.status, 400);
        assert!(client.is_closed().await);
        assert_eq!(origin.count(), 0);
        // Without a header it is a client like any other.
        let mut client = Raw::connect(proxy.address("http")).await;
        assert_eq!(client.exchange(REQUEST).await.status, 200);
    });
}

#[test]
fn a_trusted_peer_without_a_header_is_refused_and_logged() {
    scenario(async {
        let origin = Origin::start().await;
        let text = trusting(PLAIN, "127.0.0.0/8");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        for bytes in [REQUEST, "PROXY TCP4 203.0.113.9 hello 1 2\r\n", "PROXY TCP9 1.1.1.1 1.1.1.1 1 2\r\n"] {
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send(bytes).await;
            assert!(client.read_to_end().await.is_empty());
        }
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("PROXY TCP4 ".to_owned() + &"9".repeat(500)).await;
        assert!(client.read_to_end().await.is_empty());
        assert_eq!(origin.count(), 0);
        let line = proxy.log_line(|line| line["kind"] == "refused").await;
        assert_eq!(line["origin"], "client");
        assert_eq!(proxy.counter("proxy_header_errors").await, 4);
    });
}

#[test]
fn an_unknown_or_local_header_keeps_the_peers_address() {
    scenario(async {
        let origin = Origin::start().await;
        let text = trusting(PLAIN, "127.0.0.0/8");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        for header in [b"PROXY UNKNOWN\r\n".to_vec(), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec()] {
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send([&header, REQUEST.as_bytes()].concat()).await;
            let response = client.response().await;
            assert!(response.text().contains("[\"x-forwarded-for\",\"127.0.0.1\"]"), "{}", response.text());
        }
    });
}

/// An origin that tells the bytes of its connection's beginning, as text with the rest of the line.
async fn telling() -> RawOrigin {
    RawOrigin::start(|mut stream, _| async move {
        let mut begin = vec![0; 4096];
        let mut length = 0;
        while !begin[..length].windows(4).any(|end| end == b"\r\n\r\n") || length < 60 {
            match stream.read(&mut begin[length..]).await {
                Ok(0) | Err(_) => break,
                Ok(read) => length += read,
            }
        }
        let body: String = begin[..length].iter().map(|byte| format!("{byte:02x}")).collect();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        drop(stream.write_all((head + &body).as_bytes()).await);
    })
    .await
}

#[test]
fn a_backend_gets_a_header_of_the_version_it_wants_for_each_client() {
    scenario(async {
        let origin = telling().await;
        let with = |version| PLAIN.replace("[backend.app]", &format!("[backend.app]\nproxy_protocol = \"{version}\""));
        let proxy = Plan::new(with("v1")).set("origin", origin.address()).start().await;
        let address = proxy.address("http");

        let mut client = Raw::connect(address).await;
        let began = unhex(&client.exchange(REQUEST).await.text());
        let line = proxy.log_line(|line| line["status"] == 200).await;
        let peer: SocketAddr = line["client"].as_str().unwrap().parse().unwrap();
        let header = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", peer.port(), address.port());
        assert!(began.starts_with(header.as_bytes()), "{}", String::from_utf8_lossy(&began));

        proxy.apply(&with("v2")).await;
        let mut client = Raw::connect(address).await;
        let began = unhex(&client.exchange(REQUEST).await.text());
        assert_eq!(began[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
        assert_eq!(began[16..24], [127, 0, 0, 1, 127, 0, 0, 1]);
        assert_eq!(u16::from_be_bytes([began[26], began[27]]), address.port());
    });
}

#[test]
fn a_connection_with_a_proxy_header_never_serves_another_client() {
    scenario(async {
        let origin = telling().await;
        let text = PLAIN.replace("[backend.app]", "[backend.app]\nproxy_protocol = \"v1\"");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        for _ in 0..3 {
            let mut client = Raw::connect(proxy.address("http")).await;
            assert_eq!(client.exchange(REQUEST).await.status, 200);
        }
        assert_eq!(origin.connections(), 3);
    });
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn headers_with_ipv6_addresses_are_read() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(trusting(PLAIN, "127.0.0.0/8")).set("origin", origin.address()).start().await;
        let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".to_vec();
        for last in [7, 1] {
            v2.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        v2.extend([0x12, 0x67, 0, 80]);
        for header in [b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n".to_vec(), v2] {
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send([&header, REQUEST.as_bytes()].concat()).await;
            let text = client.response().await.text();
            assert!(text.contains("[\"x-forwarded-for\",\"2001:db8::7\"]"), "{text}");
        }
    });
}

#[test]
fn a_passed_through_connection_carries_the_client_in_its_header() {
    scenario(async {
        let origin = RawOrigin::start(|mut stream, _| async move {
            let mut begin = vec![0; 28];
            drop(stream.read_exact(&mut begin).await);
            drop(stream.write_all(&begin).await);
        })
        .await;
        let text = "[[listener]]\nname = \"https\"\naddress = \"127.0.0.1:@https@\"\ntls = {}\n\
                    [[route]]\nsni = \"a.example\"\npassthrough = \"sealed\"\n\
                    [backend.sealed]\nendpoints = [\"tcp://@origin@\"]\nproxy_protocol = \"v2\"\n";
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let mut stream = portcullis_tests::client::tcp(proxy.address("https")).await;
        let peer = stream.local_addr().unwrap();
        let name = "a.example".try_into().unwrap();
        let mut tls = rustls::ClientConnection::new(authority().client(&[]), name).unwrap();
        let mut hello = Vec::new();
        tls.write_tls(&mut hello).unwrap();
        stream.write_all(&hello).await.unwrap();
        let header = Raw::over(stream).read_exactly(28).await;
        assert_eq!(header[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
        assert_eq!(u16::from_be_bytes([header[24], header[25]]), peer.port());
    });
}
