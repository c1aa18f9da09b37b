use std::sync::Arc;

use portcullis_tests::{
    certificates::{Leaf, authority, leaf},
    client::{Duplex, http::Connection, raw::Raw, tcp},
    origin::{Origin, stock::checksum},
    proxy::{Plan, Proxy},
    scenario::{scenario, soon},
};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TEXT: &str = r#"
[[listener]]
name = "https"
address = "127.0.0.1:@https@"
tls = {}

[[certificate]]
name = "leaf"
cert = "leaf.pem"
key = "leaf.key"

[[route]]
name = "terminated"
host = "here.example"
backend = "plain"

[[route]]
name = "past"
sni = ["there.example", "*.there.example"]
passthrough = "sealed"

[backend.plain]
endpoints = ["http://@plain@"]

[backend.sealed]
endpoints = ["tcp://@sealed@"]
"#;

struct Ground {
    proxy: Proxy,
    _plain: Origin,
    _sealed: Origin,
    sealed_leaf: Leaf,
}

async fn ground() -> Ground {
    let sealed_leaf = leaf(&["there.example", "*.there.example"]);
    let plain = Origin::named("plain").await;
    let sealed = Origin::plan("sealed").tls(sealed_leaf.server(&["h2", "http/1.1"])).start().await;
    let proxy = Plan::new(TEXT)
        .leaf("leaf", &leaf(&["here.example"]))
        .set("plain", plain.address())
        .set("sealed", sealed.address())
        .start()
        .await;
    Ground { proxy, _plain: plain, _sealed: sealed, sealed_leaf }
}

#[test]
fn passthrough_and_termination_share_a_port() {
    scenario(async {
        let ground = ground().await;
        let config = authority().client(&["h2", "http/1.1"]);
        let address = ground.proxy.address("https");
        let here = Connection::tls(address, "here.example", &config).await;
        assert_eq!(here.get("here.example", "/name").await.text(), "plain");
        for name in ["there.example", "deep.there.example"] {
            let there = Connection::tls(address, name, &config).await;
            assert_eq!(there.get(name, "/name").await.text(), "sealed");
            let facts = there.tls.as_ref().unwrap();
            // The certificate is the origin's own: nothing was terminated on the way.
            assert_eq!(facts.leaf, ground.sealed_leaf.der());
            assert_eq!(facts.alpn.as_deref(), Some("h2"));
        }
        let line = ground.proxy.log_line(|line| line["kind"] == "passthrough" && line["sni"] == "there.example").await;
        assert_eq!((line["route"].as_str(), line["backend"].as_str()), (Some("past"), Some("sealed")));
        assert!(line.get("tls").is_none());
    });
}

/// A handshake and a request whose every byte leaves alone, at first in TLS records of one byte each if `records` says so.
async fn byte_by_byte(address: std::net::SocketAddr, name: &str, config: &Arc<ClientConfig>, records: bool) -> String {
    let mut stream: Box<dyn Duplex> = Box::new(tcp(address).await);
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let mut tls = ClientConnection::new(config.clone(), server).unwrap();
    let mut hello = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut hello).unwrap();
    }
    let hello = if records { in_records_of_one_byte(&hello) } else { hello };
    for byte in hello {
        stream.write_all(&[byte]).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_micros(200)).await;
    }
    let mut request = format!("GET /name HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n").into_bytes();
    let mut plain = Vec::new();
    loop {
        while tls.wants_write() {
            let mut out = Vec::new();
            tls.write_tls(&mut out).unwrap();
            stream.write_all(&out).await.unwrap();
        }
        let mut buffer = [0; 4096];
        let read = soon("bytes from the other side", stream.read(&mut buffer)).await.unwrap_or(0);
        if read == 0 {
            break;
        }
        let mut bytes = &buffer[..read];
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes).unwrap();
            tls.process_new_packets().unwrap();
        }
        if !tls.is_handshaking() && !request.is_empty() {
            std::io::Write::write_all(&mut tls.writer(), &std::mem::take(&mut request)).unwrap();
        }
        drop(std::io::Read::read_to_end(&mut tls.reader(), &mut plain));
    }
    String::from_utf8(plain).unwrap()
}

/// The ClientHello's handshake message, cut into TLS records that hold one byte each (RFC 8446 section 5.1 allows it).
fn in_records_of_one_byte(record: &[u8]) -> Vec<u8> {
    let (head, message) = record.split_at(5);
    message.iter().flat_map(|byte| [head[0], head[1], head[2], 0, 1, *byte]).collect()
}

#[test]
fn a_client_hello_cut_into_single_bytes_is_passed_through() {
    scenario(async {
        let ground = ground().await;
        let config = authority().client(&["http/1.1"]);
        let says = byte_by_byte(ground.proxy.address("https"), "there.example", &config, false).await;
        assert!(says.starts_with("HTTP/1.1 200") && says.ends_with("sealed"), "{says}");
    });
}

#[test]
fn a_client_hello_cut_into_single_bytes_is_terminated() {
    scenario(async {
        let ground = ground().await;
        let config = authority().client(&["http/1.1"]);
        let says = byte_by_byte(ground.proxy.address("https"), "here.example", &config, false).await;
        assert!(says.starts_with("HTTP/1.1 200") && says.ends_with("plain"), "{says}");
    });
}

#[test]
fn a_client_hello_in_many_records_finds_its_way() {
    scenario(async {
        let ground = ground().await;
        // A small ClientHello: without the post-quantum share there are fewer records than a server may count.
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519];
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(authority().roots())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let says = byte_by_byte(ground.proxy.address("https"), "there.example", &Arc::new(config), true).await;
        assert!(says.ends_with("sealed"), "{says}");
    });
}

#[test]
fn a_large_stream_through_passthrough_arrives_whole() {
    scenario(async {
        let ground = ground().await;
        let config = authority().client(&["http/1.1"]);
        let mut client = Raw::tls(ground.proxy.address("https"), "there.example", &config).await;
        let request = "GET /bytes?n=40000000 HTTP/1.1\r\nhost: there.example\r\n\r\n";
        let response = client.exchange(request).await;
        assert!(!response.is_cut);
        let expected: Vec<u8> = (0..16 * 1024).map(|at| (at % 251) as u8).cycle().take(40_000_000).collect();
        assert_eq!(checksum(0, &response.body), checksum(0, &expected));
        drop(client);
        let line = ground.proxy.log_line(|line| line["kind"] == "passthrough").await;
        assert!(line["sent"].as_u64().unwrap() > 40_000_000, "{line}");
    });
}

#[test]
fn a_client_hello_that_never_ends_is_closed_at_the_deadline() {
    scenario(async {
        let ground = ground().await;
        ground.proxy.apply(&TEXT.replace("tls = {}", "tls = { handshake_time = \"300ms\" }")).await;
        let mut client = Raw::connect(ground.proxy.address("https")).await;
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
        drop(client.read_to_end().await);
        let line = ground.proxy.log_line(|line| line["kind"] == "refused").await;
        assert_eq!(line["origin"], "client");
    });
}

#[test]
fn a_dead_endpoint_closes_the_connection_and_the_log_says_why() {
    scenario(async {
        let proxy = Plan::new(TEXT)
            .leaf("leaf", &leaf(&["here.example"]))
            .set("plain", "127.0.0.1:1")
            .set("sealed", portcullis_tests::port::Port::reserve().address())
            .start()
            .await;
        let config = authority().client(&[]);
        assert!(portcullis_tests::client::tls(proxy.address("https"), "there.example", &config).await.is_err());
        let line = proxy.log_line(|line| line["kind"] == "passthrough").await;
        assert_eq!((&line["error"], &line["origin"]), (&"connection_refused".into(), &"backend".into()));
        assert_eq!((&line["sni"], &line["backend"]), (&"there.example".into(), &"sealed".into()));
    });
}

#[test]
fn the_end_of_one_direction_travels_through_passthrough() {
    scenario(async {
        let origin = portcullis_tests::origin::raw::RawOrigin::start(|mut stream, _| async move {
            let mut all = Vec::new();
            drop(stream.read_to_end(&mut all).await);
            drop(stream.write_all(format!("{} bytes", all.len()).as_bytes()).await);
        })
        .await;
        let proxy = Plan::new(TEXT)
            .leaf("leaf", &leaf(&["here.example"]))
            .set("plain", "127.0.0.1:1")
            .set("sealed", origin.address())
            .start()
            .await;
        let name = ServerName::try_from("there.example").unwrap();
        let mut tls = ClientConnection::new(authority().client(&[]), name).unwrap();
        let mut bytes = Vec::new();
        tls.write_tls(&mut bytes).unwrap();
        // What follows the ClientHello is nobody's business but the origin's.
        bytes.extend(vec![b'x'; 1_000_000]);
        let mut client = Raw::connect(proxy.address("https")).await;
        client.send(&bytes).await;
        client.finish().await;
        assert_eq!(client.read_to_end().await, format!("{} bytes", bytes.len()).as_bytes());
    });
}

#[test]
fn a_resumed_or_an_older_handshake_is_passed_through_too() {
    scenario(async {
        let ground = ground().await;
        let address = ground.proxy.address("https");
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let config = authority().client_with(&["http/1.1"], &[version]);
            for round in 0..2 {
                let client = Connection::tls(address, "there.example", &config).await;
                assert_eq!(client.get("there.example", "/name").await.text(), "sealed");
                assert_eq!(client.tls.as_ref().unwrap().is_resumed, round > 0, "{version:?}");
            }
        }
    });
}
