//! Memory stays bounded, whatever goes through.
//!
//! What is measured is the resident memory of the process (VmHWM of proc(5), its peak, against VmRSS before).

use std::time::Duration;

use http_body_util::BodyExt;
use portcullis_tests::{
    certificates::{authority, leaf},
    client::{
        http::{Connection, request, request_with_body},
        raw::Raw,
        tcp,
    },
    origin::{Origin, raw::RawOrigin, stock},
    proxy::{Plan, Proxy},
    scenario::{alone, eventually, scenario},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ground::{PLAIN, TLS, plain};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// What a body of any length may take, in KiB.
const BOUND: u64 = 32 * 1024;

/// How much the peak rose over what was resident before, in KiB.
async fn grown(proxy: &Proxy, work: impl Future<Output = ()>) -> u64 {
    let before = proxy.resident();
    proxy.forget_peak();
    work.await;
    proxy.peak().saturating_sub(before)
}

/// Reads and throws away.
async fn drain(mut response: http::Response<hyper::body::Incoming>) -> u64 {
    let mut length = 0;
    while let Some(frame) = response.body_mut().frame().await {
        length += frame.unwrap().data_ref().map_or(0, |data| data.len() as u64);
    }
    length
}

#[test]
fn a_gibibyte_up_and_down_grows_it_by_less_than_32_mib() {
    scenario(async {
        let _alone = alone().await;
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let client = Connection::h1(proxy.address("http")).await;
        client.get("a.example", "/").await;
        let down = grown(&proxy, async {
            let response = client.send(request("GET", "a.example", &format!("/bytes?n={GIB}"))).await.unwrap();
            assert_eq!(drain(response).await, GIB);
        })
        .await;
        assert!(down < BOUND, "a download grew it by {down} KiB");
        let up = grown(&proxy, async {
            let request = request_with_body("POST", "a.example", "/count", stock::pattern(GIB));
            let response = client.send_patiently(request).await.unwrap();
            let echo = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
            assert!(echo.contains(&GIB.to_string()), "{echo}");
        })
        .await;
        assert!(up < BOUND, "an upload grew it by {up} KiB");
        let line = proxy.log_of("/count").await;
        assert_eq!(line["received"], GIB, "{line}");
    });
}

#[test]
fn large_bodies_over_http2_and_tls_are_streamed_too() {
    scenario(async {
        let _alone = alone().await;
        let origin = Origin::plan("two").h2c().start().await;
        let text = TLS.replace("http://@origin@", "h2c://@origin@");
        let proxy = Plan::new(text).leaf("leaf", &leaf(&["a.example"])).set("origin", origin.address()).start().await;
        let client = Connection::tls(proxy.address("https"), "a.example", &authority().client(&["h2"])).await;
        client.get("a.example", "/").await;
        let size = 96 * MIB;
        let grown = grown(&proxy, async {
            let response = client.send(request("GET", "a.example", &format!("/stream?n={size}"))).await.unwrap();
            assert_eq!(drain(response).await, size);
            let request = request_with_body("POST", "a.example", "/count", stock::pattern(size));
            let response = client.send_patiently(request).await.unwrap();
            assert_eq!(response.status(), 200);
            drain(response).await;
        })
        .await;
        assert!(grown < BOUND, "{grown} KiB");
    });
}

#[test]
fn a_reader_that_stops_stops_the_backend_too() {
    scenario(async {
        let _alone = alone().await;
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        Connection::h1(proxy.address("http")).await.get("a.example", "/").await;
        let grown = grown(&proxy, async {
            let mut readers = Vec::new();
            for _ in 0..20 {
                let mut client = tcp(proxy.address("http")).await;
                client.write_all(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
                let mut beginning = [0; 1024];
                client.read_exact(&mut beginning).await.unwrap();
                readers.push(client);
            }
            // What is on its way fills the sockets' buffers, and then nothing moves any more.
            let mut last = 0;
            eventually("nothing moves any more", async || {
                tokio::time::sleep(Duration::from_millis(150)).await;
                let now = proxy.peak();
                (std::mem::replace(&mut last, now) == now).then_some(())
            })
            .await;
        })
        .await;
        // What hyper and the sockets keep for each, both sides together.
        assert!(grown < 20 * 2 * 1024, "twenty stopped readers: {grown} KiB");
    });
}

#[test]
fn a_backend_that_stops_reading_stops_the_client_too() {
    scenario(async {
        let _alone = alone().await;
        let origin = RawOrigin::start(|stream, _| async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
        .await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let grown = grown(&proxy, async {
            let mut client = tcp(proxy.address("http")).await;
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {GIB}\r\n\r\n");
            client.write_all(head.as_bytes()).await.unwrap();
            let chunk = vec![7; 1 << 16];
            let mut sent = 0;
            // As much as is taken; then it blocks, which is the point.
            while let Ok(result) = tokio::time::timeout(Duration::from_secs(1), client.write_all(&chunk)).await {
                result.unwrap();
                sent += chunk.len() as u64;
                assert!(sent < GIB / 2, "nobody reads, and {sent} bytes were taken");
            }
        })
        .await;
        assert!(grown < BOUND, "{grown} KiB");
    });
}

#[test]
fn tunnels_are_bounded_too() {
    scenario(async {
        let _alone = alone().await;
        let echo = RawOrigin::echo().await;
        let text = "[[listener]]\nname = \"raw\"\naddress = \"127.0.0.1:@raw@\"\nprotocol = \"tcp\"\nbackend = \"echo\"\n\
                    [backend.echo]\nendpoints = [\"tcp://@echo@\"]\n";
        let proxy = Plan::new(text).set("echo", echo.address()).start().await;
        let grown = grown(&proxy, async {
            let client = tcp(proxy.address("raw")).await;
            let (mut read, mut write) = client.into_split();
            let size = 256 * MIB;
            let sending = async move {
                let chunk = vec![7; 1 << 16];
                for _ in 0..size / (1 << 16) {
                    write.write_all(&chunk).await.unwrap();
                }
                write.shutdown().await.unwrap();
            };
            let receiving = async {
                let mut buffer = vec![0; 1 << 16];
                let mut got = 0;
                loop {
                    match read.read(&mut buffer).await.unwrap() {
                        0 => break got,
                        more => got += more as u64,
                    }
                }
            };
            let ((), got) = tokio::join!(sending, receiving);
            assert_eq!(got, size);
        })
        .await;
        assert!(grown < BOUND, "{grown} KiB");
    });
}

#[test]
fn a_thousand_connections_come_and_go_and_their_memory_too() {
    scenario(async {
        let _alone = alone().await;
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let wave = async || {
            let mut clients = Vec::new();
            for _ in 0..500 {
                let mut client = Raw::connect(proxy.address("http")).await;
                assert_eq!(client.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
                clients.push(client);
            }
            drop(clients);
            eventually("all are gone", async || (proxy.counter("connections_open").await == 0).then_some(())).await;
        };
        // The allocator keeps what the first waves took; the others must do with it. On a busy machine no two waves are as high.
        for _ in 0..3 {
            wave().await;
        }
        let before = proxy.resident();
        for _ in 0..4 {
            wave().await;
        }
        let grown = proxy.resident().saturating_sub(before);
        assert!(grown < 8 * 1024, "each wave leaves something: {grown} KiB");
    });
}
