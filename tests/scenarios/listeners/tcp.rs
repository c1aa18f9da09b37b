use portcullis_tests::{
    certificates::{authority, leaf},
    client::raw::Raw,
    origin::{Origin, raw::RawOrigin, stock::checksum},
    proxy::Plan,
    scenario::scenario,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TCP: &str = r#"
[[listener]]
name = "db"
address = "127.0.0.1:@db@"
protocol = "tcp"
backend = "db"

[backend.db]
endpoints = ["tcp://@origin@"]
"#;

#[test]
fn a_published_port_reaches_the_backends_port() {
    scenario(async {
        let origin = RawOrigin::echo().await;
        let proxy = Plan::new(TCP).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("db")).await;
        client.send(b"\x00\xffany bytes\r\n").await;
        assert_eq!(client.read_exactly(13).await, b"\x00\xffany bytes\r\n");
        client.finish().await;
        assert!(client.read_to_end().await.is_empty());
        let line = proxy.log_line(|line| line["kind"] == "tcp").await;
        assert_eq!(line["backend"], "db");
        assert_eq!((line["received"].as_u64(), line["sent"].as_u64()), (Some(13), Some(13)));
        assert_eq!(line["end"], "complete");
    });
}

#[test]
fn the_end_of_one_direction_leaves_the_other_open() {
    scenario(async {
        let origin = RawOrigin::start(|mut stream, _| async move {
            let mut all = Vec::new();
            drop(stream.read_to_end(&mut all).await);
            drop(stream.write_all(format!("{} bytes, {}", all.len(), checksum(0, &all)).as_bytes()).await);
        })
        .await;
        let proxy = Plan::new(TCP).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("db")).await;
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 253) as u8).collect();
        client.send(&bytes).await;
        client.finish().await;
        let says = String::from_utf8(client.read_to_end().await).unwrap();
        assert_eq!(says, format!("3000000 bytes, {}", checksum(0, &bytes)));
    });
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    scenario(async {
        let origin = RawOrigin::start(|mut stream, _| async move {
            drop(stream.write_all(b"220 ready\r\n").await);
            drop(stream.read(&mut [0; 16]).await);
        })
        .await;
        let proxy = Plan::new(TCP).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("db")).await;
        assert_eq!(client.read_until(b"\r\n").await, b"220 ready\r\n");
    });
}

#[test]
fn plain_bytes_go_into_tls_towards_the_backend() {
    scenario(async {
        let origin = Origin::plan("inside").tls(leaf(&["db.example"]).server(&["http/1.1"])).start().await;
        let text =
            TCP.replace("endpoints = [\"tcp:", "tls = { ca = \"ca.pem\", sni = \"db.example\" }\nendpoints = [\"tls:");
        let proxy = Plan::new(text).file("ca.pem", authority().pem()).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("db")).await;
        let response = client.exchange("GET /name HTTP/1.1\r\nhost: db.example\r\n\r\n").await;
        assert_eq!(response.text(), "inside");
    });
}

#[test]
fn a_tcp_backend_that_is_down_closes_the_connection_and_the_log_says_why() {
    scenario(async {
        let proxy = Plan::new(TCP.replace("@origin@", "127.0.0.1:@nobody@")).start().await;
        let mut client = Raw::connect(proxy.address("db")).await;
        assert!(client.read_to_end().await.is_empty());
        let line = proxy.log_line(|line| line["kind"] == "tcp").await;
        assert_eq!(line["error"], "connection_refused");
        assert_eq!(line["origin"], "backend");
    });
}

#[test]
fn silence_in_both_directions_ends_a_tcp_connection() {
    scenario(async {
        let origin = RawOrigin::echo().await;
        let text = TCP.replace("protocol =", "limits = { tunnel_idle_time = \"300ms\" }\nprotocol =");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("db")).await;
        client.send("still there").await;
        assert_eq!(client.read_exactly(11).await, b"still there");
        assert!(client.is_closed().await);
    });
}
