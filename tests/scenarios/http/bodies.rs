use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use portcullis_tests::{
    certificates::authority,
    client::{
        http::{Answer, Connection, request, request_with_body},
        raw::Raw,
    },
    origin::{Origin, stock},
    proxy::{Plan, Proxy},
    scenario::{scenario, soon},
};

use crate::ground::{PLAIN, TLS, channel, plain};

const NAME: &str = "a.example";

/// One client of each version, and the proxy with an origin of each version behind it.
async fn all_ways() -> (Proxy, Vec<Origin>, Vec<(&'static str, Connection)>) {
    let one = Origin::start().await;
    let two = Origin::plan("origin").h2c().start().await;
    let text = TLS.replace(
        "[[route]]\nbackend = \"app\"",
        "[[route]]\npath = \"/1/\"\nbackend = \"app\"\n[[route]]\npath = \"/2/\"\nbackend = \"two\"",
    ) + "[backend.two]\nendpoints = [\"h2c://@two@\"]\n";
    let proxy = Plan::new(text)
        .leaf("leaf", &portcullis_tests::certificates::leaf(&[NAME]))
        .set("origin", one.address())
        .set("two", two.address())
        .start()
        .await;
    let mut clients = Vec::new();
    for alpn in ["http/1.1", "h2"] {
        clients.push((alpn, Connection::tls(proxy.address("https"), NAME, &authority().client(&[alpn])).await));
    }
    (proxy, vec![one, two], clients)
}

#[test]
fn bodies_arrive_whole_in_both_directions_whatever_the_versions() {
    scenario(async {
        let (_proxy, _origins, clients) = all_ways().await;
        const LENGTH: usize = 3_000_001;
        let bytes: Bytes = (0..LENGTH).map(|at| (at * 7 % 251) as u8).collect();
        let sum = stock::checksum(0, &bytes);
        for (alpn, client) in &clients {
            for version in [1, 2] {
                let answer = client
                    .fetch(request_with_body("POST", NAME, &format!("/{version}/x"), stock::full(bytes.clone())))
                    .await;
                let echo = answer.json();
                assert_eq!((echo["length"].as_u64(), echo["sum"].as_u64()), (Some(LENGTH as u64), Some(sum)), "{alpn}");
                for way in ["bytes", "stream"] {
                    let answer = client.get(NAME, &format!("/{version}/{way}?n={LENGTH}")).await;
                    let expected: Vec<u8> = (0..16 * 1024).map(|at| (at % 251) as u8).cycle().take(LENGTH).collect();
                    assert_eq!(answer.body.len(), LENGTH, "{alpn} {version} {way}");
                    assert!(answer.body == expected, "{alpn} {version} {way}");
                    assert_eq!(answer.header("content-length").is_empty(), way == "stream", "{alpn} {version}");
                }
            }
        }
    });
}

#[test]
fn a_body_flows_while_it_is_being_made() {
    scenario(async {
        let (_proxy, _origins, clients) = all_ways().await;
        for (alpn, client) in &clients {
            for version in [1, 2] {
                let response = client.send(request("GET", NAME, &format!("/{version}/drip?n=3&ms=400"))).await.unwrap();
                let begun = std::time::Instant::now();
                let mut body = response.into_body();
                let first = soon("the first chunk", body.frame()).await.unwrap().unwrap().into_data().unwrap();
                assert_eq!(first, "chunk 0\n", "{alpn} to {version}");
                assert!(begun.elapsed() < Duration::from_millis(400), "the first chunk waits for nobody");
                assert_eq!(soon("the rest", body.collect()).await.unwrap().to_bytes(), "chunk 1\nchunk 2\n");
            }
        }
    });
}

#[test]
fn an_upload_flows_while_it_is_being_made() {
    scenario(async {
        let (_proxy, origins, clients) = all_ways().await;
        for (alpn, client) in &clients {
            for version in [1, 2] {
                let before = origins[version - 1].count();
                let (sender, receiver) = channel::<Bytes>();
                let body = StreamBody::new(receiver.map(|data| Ok(Frame::data(data)))).boxed_unsync();
                let sending = client.send(request_with_body("POST", NAME, &format!("/{version}/x"), body));
                let feeding = async {
                    sender.send(Bytes::from_static(b"first")).await.unwrap();
                    // The origin has the request before its end was sent.
                    portcullis_tests::scenario::eventually("the origin has it", async || {
                        (origins[version - 1].count() > before).then_some(())
                    })
                    .await;
                    sender.send(Bytes::from_static(b" last")).await.unwrap();
                    drop(sender);
                };
                let (response, ()) = tokio::join!(sending, feeding);
                assert_eq!(Answer::read(response.unwrap()).await.unwrap().json()["length"], 10, "{alpn} to {version}");
            }
        }
    });
}

#[test]
fn server_sent_events_arrive_one_by_one() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("GET /sse?n=3&ms=300 HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n").await;
        let head = client.read_until(b"\r\n\r\n").await;
        assert!(String::from_utf8_lossy(&head).contains("text/event-stream"));
        for number in 0..3 {
            let event = client.read_until(b"\n\n").await;
            assert!(event.ends_with(format!("data: {number}\n\n").as_bytes()));
            // Nothing of the next event came with it.
            assert_eq!(client.read_exactly(2).await, b"\r\n");
        }
    });
}

#[test]
fn trailers_of_responses_arrive_whatever_the_versions() {
    scenario(async {
        let (_proxy, _origins, clients) = all_ways().await;
        let mut lost = Vec::new();
        for (alpn, client) in &clients {
            for version in [1, 2] {
                let mut ask = request("GET", NAME, &format!("/{version}/trailers"));
                ask.headers_mut().insert("te", "trailers".parse().unwrap());
                let answer = client.fetch(ask).await;
                assert_eq!(answer.text(), "hello");
                if answer.trailers.get("x-sum").is_none_or(|sum| sum != "5") {
                    lost.push(format!("HTTP/{version} to {alpn}"));
                }
            }
        }
        assert!(lost.is_empty(), "lost from {lost:?}");
    });
}

#[test]
fn trailers_of_requests_arrive_whatever_the_versions() {
    scenario(async {
        let (_proxy, _origins, clients) = all_ways().await;
        let mut lost = Vec::new();
        for (alpn, client) in &clients {
            for version in [1, 2] {
                let frames = futures_util::stream::iter([
                    Ok(Frame::data(Bytes::from_static(b"counted"))),
                    Ok(Frame::trailers([("x-count".parse().unwrap(), "7".parse().unwrap())].into_iter().collect())),
                ]);
                let body = StreamBody::new(frames).boxed_unsync();
                let mut ask = request_with_body("POST", NAME, &format!("/{version}/x"), body);
                ask.headers_mut().insert("trailer", "x-count".parse().unwrap());
                if client.fetch(ask).await.json()["trailers"] != serde_json::json!([["x-count", "7"]]) {
                    lost.push(format!("{alpn} to HTTP/{version}"));
                }
            }
        }
        assert!(lost.is_empty(), "lost from {lost:?}");
    });
}

#[test]
fn an_answer_before_the_end_of_the_upload_is_passed_on() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nonly the beginning").await;
        let response = client.response().await;
        assert_eq!((response.status, response.text()), (200, "early".into()));
    });
}

#[test]
fn chunk_extensions_end_at_the_proxy() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                       5;name=value;other=\"quoted\"\r\nhello\r\n000;last\r\n\r\n";
        let response = client.exchange(request).await;
        assert!(response.text().contains("\"length\":5"), "{}", response.text());
    });
}

#[test]
fn a_body_sent_byte_by_byte_arrives_whole() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let request = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                       A\r\n0123456789\r\n1\r\n!\r\n0\r\nx-end: yes\r\n\r\n\
                       POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send_in_pieces(request, 1).await;
        for length in [11, 3] {
            let text = client.response().await.text();
            assert!(text.contains(&format!("\"length\":{length}")), "{text}");
        }
    });
}

#[test]
fn a_client_that_never_reads_its_response_is_let_go() {
    scenario(async {
        let origin = Origin::start().await;
        let text = format!("[limits]\nbody_idle_time = \"500ms\"\n{PLAIN}");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let line = proxy.log_of("/endless").await;
        assert_ne!(line["end"], "complete", "{line}");
        portcullis_tests::scenario::eventually("the origin is free", async || (origin.open() == 0).then_some(())).await;
        drop(client);
    });
}
