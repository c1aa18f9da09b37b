use std::time::{Duration, Instant};

use portcullis_tests::{
    certificates::{authority, leaf},
    client::{http::Connection, raw::Raw, tcp},
    origin::{Origin, raw::RawOrigin},
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario, soon},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ground::{PLAIN, plain};

/// One listener of each kind.
const EVERY: &str = r#"
[limits]
header_time = "1s"

[[listener]]
name = "http"
address = "127.0.0.1:@http@"

[[listener]]
name = "https"
address = "127.0.0.1:@https@"
tls = { handshake_time = "1s" }

[[listener]]
name = "proxied"
address = "127.0.0.1:@proxied@"
proxy_protocol = "127.0.0.0/8"

[[listener]]
name = "raw"
address = "127.0.0.1:@raw@"
protocol = "tcp"
backend = "echo"

[[certificate]]
cert = "leaf.pem"
key = "leaf.key"

[[route]]
backend = "app"

[[route]]
sni = "through.example"
passthrough = "echo"

[backend.app]
endpoints = ["http://@origin@"]

[backend.echo]
endpoints = ["tcp://@echo@"]
"#;

async fn every(origin: &Origin, echo: &RawOrigin) -> Proxy {
    Plan::new(EVERY)
        .leaf("leaf", &leaf(&["shop.example"]))
        .set("origin", origin.address())
        .set("echo", echo.address())
        .start()
        .await
}

/// Every listener still does what it is for.
async fn serves(proxy: &Proxy) {
    let mut client = Raw::connect(proxy.address("http")).await;
    assert_eq!(client.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    let tls = Connection::tls(proxy.address("https"), "shop.example", &authority().client(&["h2"])).await;
    assert_eq!(tls.get("shop.example", "/").await.status, 200);
    let mut client = Raw::connect(proxy.address("proxied")).await;
    let header = "PROXY TCP4 203.0.113.7 203.0.113.8 1000 2000\r\n";
    assert_eq!(client.exchange(format!("{header}GET / HTTP/1.1\r\nhost: a\r\n\r\n")).await.status, 200);
    let mut client = Raw::connect(proxy.address("raw")).await;
    client.send("hello").await;
    assert_eq!(client.read_exactly(5).await, b"hello");
    assert_eq!(proxy.counter("panics").await, 0);
}

/// Beginnings that lead deep into each parser.
const BEGINNINGS: [&[u8]; 12] = [
    b"",
    b"GET / HTTP/1.1\r\nhost: a\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    b"PROXY TCP4 ",
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c",
    b"\r\n\r\n\x00\r\nQUIT\n",
];

#[test]
fn no_bytes_at_any_listener_make_it_stop() {
    scenario(async {
        let (origin, echo) = (Origin::start().await, RawOrigin::echo().await);
        let proxy = every(&origin, &echo).await;
        let mut random = fastrand::Rng::with_seed(3);
        for turn in 0..240 {
            let listener = ["http", "https", "proxied", "raw"][turn % 4];
            let mut bytes = BEGINNINGS[random.usize(..BEGINNINGS.len())].to_vec();
            if !bytes.is_empty() && random.bool() {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.extend((0..random.usize(..600)).map(|_| match random.u8(..4) {
                0 => b"\r\n :;,"[random.usize(..6)],
                1 => random.u8(b'0'..=b'z'),
                _ => random.u8(..),
            }));
            let mut client = Raw::connect(proxy.address(listener)).await;
            if random.bool() {
                client.send(&bytes).await;
            } else {
                let middle = bytes.len() / 2;
                client.send(&bytes[..middle]).await;
                client.send(&bytes[middle..]).await;
            }
            // Some leave, some say that this was all, and some reset.
            if random.bool() {
                client.finish().await;
                drop(client.read().await);
            }
        }
        serves(&proxy).await;
        eventually("every connection is over", async || (proxy.counter("connections_open").await <= 4).then_some(()))
            .await;
        assert_eq!(proxy.counter("panics").await, 0);
    });
}

#[test]
fn mutated_requests_get_an_answer_or_the_end() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let good = b"POST /a/b?c=d HTTP/1.1\r\nhost: shop.example\r\nuser-agent: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..300 {
            let mut bytes = good.to_vec();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len().max(1)).min(bytes.len() - 1);
                match random.u8(..4) {
                    0 => bytes[at] = random.u8(..),
                    1 if bytes.len() > 1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, b"\r\n\t :,;\0\xff0"[random.usize(..10)]),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send(&bytes).await;
            client.finish().await;
            let answer = client.read_to_end().await;
            let text = String::from_utf8_lossy(&answer);
            let status = text.get(9..12).unwrap_or_default();
            assert!(
                answer.is_empty()
                    || ["200", "400", "404", "408", "413", "414", "417", "421", "431", "501", "505"].contains(&status),
                "{:?} was answered with {text}",
                String::from_utf8_lossy(&bytes)
            );
        }
        assert_eq!(proxy.counter("panics").await, 0);
        assert_eq!(proxy.counter("backend_errors").await, 0, "nothing of it was the backend's doing");
    });
}

#[test]
fn a_client_that_trickles_its_head_gets_408_at_the_limit() {
    scenario(async {
        let (origin, echo) = (Origin::start().await, RawOrigin::echo().await);
        let proxy = every(&origin, &echo).await;
        let begun = Instant::now();
        let mut client = tcp(proxy.address("http")).await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n").await.unwrap();
        let mut answer = Vec::new();
        // A byte now and then does not move the limit.
        let trickle = async {
            let (mut read, mut write) = client.split();
            let writing = async {
                while write.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::select! {
                _ = read.read_to_end(&mut answer) => {}
                () = writing => {}
            }
        };
        soon("the proxy ends it", trickle).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
        eventually("it is counted", async || (proxy.counter("requests_slow").await == 1).then_some(())).await;
        assert_eq!(origin.count(), 0);
    });
}

#[test]
fn a_body_that_stalls_gets_408_and_the_backend_is_let_go() {
    scenario(async {
        let origin = Origin::start().await;
        let text = format!("[limits]\nbody_idle_time = \"700ms\"\n{PLAIN}");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let answer = client.exchange("POST /slow-body HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf").await;
        assert_eq!(answer.status, 408, "{answer:?}");
        assert!(client.is_closed().await);
        let line = proxy.log_of("/slow-body").await;
        assert_eq!((&line["origin"], &line["received"]), (&"client".into(), &4.into()), "{line}");
        eventually("the backend's connection is closed, not kept", async || (origin.open() == 0).then_some(())).await;
    });
}

#[test]
fn silent_and_slow_clients_never_hold_up_others() {
    scenario(async {
        let (origin, echo) = (Origin::start().await, RawOrigin::echo().await);
        let proxy = every(&origin, &echo).await;
        let mut slow = Vec::new();
        for number in 0..400 {
            let mut client = Raw::connect(proxy.address(["http", "https"][number % 2])).await;
            client.send(if number % 2 == 0 { &b"GET / HT"[..] } else { &[22, 3, 1][..] }).await;
            slow.push(client);
        }
        let begun = Instant::now();
        for _ in 0..20 {
            let mut client = Raw::connect(proxy.address("http")).await;
            assert_eq!(client.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
        }
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        for client in &mut slow {
            drop(client.read_to_end().await);
        }
        eventually("all are gone", async || (proxy.counter("connections_open").await == 0).then_some(())).await;
    });
}

#[test]
fn a_flood_of_connections_is_survived_and_forgotten() {
    scenario(async {
        let (origin, echo) = (Origin::start().await, RawOrigin::echo().await);
        let proxy = every(&origin, &echo).await;
        for wave in 0..4 {
            let mut flood = Vec::new();
            for number in 0..250 {
                let listener = ["http", "https", "raw", "proxied"][number % 4];
                let mut client = tcp(proxy.address(listener)).await;
                drop(client.write_all(&[wave; 64]).await);
                flood.push(client);
            }
        }
        serves(&proxy).await;
        eventually("all are forgotten", async || (proxy.counter("connections_open").await <= 4).then_some(())).await;
    });
}

#[test]
fn a_flood_of_pipelined_requests_is_answered_in_order_with_bounded_memory() {
    scenario(async {
        let text = "[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@http@\"\n[[route]]\nrespond = { status = 200, body = \"x\" }\n";
        let proxy = Plan::new(format!("[log]\naccess = \"off\"\n{text}")).start().await;
        let before = proxy.resident();
        proxy.forget_peak();
        let mut client = tcp(proxy.address("http")).await;
        let (mut read, mut write) = client.split();
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100);
        let count = 20_000;
        let mut got = Vec::new();
        let sending = async {
            for _ in 0..count / 100 {
                write.write_all(&request).await.unwrap();
            }
            // Saying so in TCP instead would be leaving: nobody waits for an answer then.
            write.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        };
        let reading = async { read.read_to_end(&mut got).await.unwrap() };
        tokio::join!(sending, reading);
        let answers = got.windows(15).filter(|window| *window == b"HTTP/1.1 200 OK").count();
        assert_eq!(answers, count + 1);
        let grown = proxy.peak().saturating_sub(before);
        assert!(grown < 32 * 1024, "memory grew by {grown} KiB");
    });
}

#[test]
fn a_client_that_promises_more_than_it_sends_is_gone_not_served() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for (target, request) in [
            ("/length", "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf"),
            ("/chunk", "POST /chunk HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf"),
            ("/last", "POST /last HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        ] {
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send(request).await;
            client.finish().await;
            let answer = client.read_to_end().await;
            assert!(
                answer.is_empty() || answer.starts_with(b"HTTP/1.1 400") || answer.starts_with(b"HTTP/1.1 408"),
                "{target}: {}",
                String::from_utf8_lossy(&answer)
            );
            let line = proxy.log_of(target).await;
            assert!(line["end"] == "client_gone" || line["origin"] == "client", "{target}: {line}");
            assert_ne!(line["status"], 200, "{target}");
        }
        assert_eq!(proxy.counter("backend_errors").await, 0, "it is not the backend's doing");
    });
}

#[test]
fn what_follows_a_body_is_read_as_a_request_and_never_joined_to_it() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let lie = "POST /one HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nfourGET /two HTTP/1.1\r\nhost: a\r\n\r\nGARBAGE\r\n\r\n";
        client.send(lie).await;
        assert_eq!(client.response().await.status, 200);
        assert_eq!(client.response().await.status, 200);
        assert_eq!(client.response().await.status, 400);
        assert!(client.is_closed().await);
        let targets: Vec<_> = origin.requests().into_iter().map(|seen| seen.target).collect();
        assert_eq!(targets, ["/one", "/two"]);
    });
}

#[test]
fn a_client_that_leaves_lets_the_backend_go_too() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send("GET /slow?ms=60000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
            clients.push(client);
        }
        eventually("all are asked", async || (origin.count() == 20).then_some(())).await;
        drop(clients);
        eventually("none is waited for", async || (origin.open() == 0).then_some(())).await;
    });
}
