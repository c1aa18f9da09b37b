use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use portcullis_tests::{
    client::{
        http::{Connection, request, request_with_body},
        raw::Raw,
        websocket::WebSocket,
    },
    origin::{Origin, stock},
    proxy::Proxy,
    scenario::{scenario, soon},
};

use super::{good, plan};

const HOST: &str = "a.example";

/// A client of each version.
async fn clients(proxy: &Proxy) -> [Connection; 2] {
    [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await]
}

fn letters(length: usize) -> Bytes {
    (0..length).map(|at| b'a' + (at % 26) as u8).collect()
}

#[test]
fn bodies_pass_a_plugin_that_looks_unharmed() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &good("look", "do = 'looker'"), r#"["look"]"#).start().await;
        for client in clients(&proxy).await {
            let body = letters(1_000_003);
            let sum = stock::checksum(0, &body);
            let echo = client.fetch(request_with_body("POST", HOST, "/x", stock::full(body))).await.json();
            assert_eq!((echo["length"].as_u64(), echo["sum"].as_u64()), (Some(1_000_003), Some(sum)));
            let answer = client.get(HOST, "/bytes?n=1000003").await;
            assert_eq!(answer.body.len(), 1_000_003);
        }
    });
}

#[test]
fn trailers_pass_plugins_that_stream_and_plugins_that_hold() {
    for guest in ["do = 'looker'", "do = 'holder', limit = 1000"] {
        scenario(async {
            let origin = Origin::start().await;
            let proxy = plan(&origin, &good("a", guest), r#"["a"]"#).start().await;
            for client in clients(&proxy).await {
                let mut ask = request("GET", HOST, "/trailers");
                ask.headers_mut().insert("te", "trailers".parse().unwrap());
                let answer = client.fetch(ask).await;
                assert_eq!(
                    (answer.text().as_str(), &answer.trailers["x-sum"]),
                    ("hello", &"5".parse().unwrap()),
                    "{guest}"
                );
                let trailers = [("x-count".parse().unwrap(), "7".parse().unwrap())].into_iter().collect();
                let frames = futures_util::stream::iter([
                    Ok(Frame::data(Bytes::from_static(b"counted"))),
                    Ok(Frame::trailers(trailers)),
                ]);
                let mut ask = request_with_body("POST", HOST, "/x", StreamBody::new(frames).boxed_unsync());
                ask.headers_mut().insert("trailer", "x-count".parse().unwrap());
                let seen = client.fetch(ask).await.json();
                assert_eq!(seen["trailers"], serde_json::json!([["x-count", "7"]]), "{guest}");
                assert_eq!(seen["length"], 7);
            }
        });
    }
}

#[test]
fn a_websocket_passes_a_chain_that_wants_bodies() {
    scenario(async {
        let origin = Origin::start().await;
        let tables = good("hold", "do = 'holder', limit = 1000") + &good("tag", "do = 'tag', name = 'a'");
        let proxy = plan(&origin, &tables, r#"["hold", "tag"]"#).start().await;
        let mut socket = WebSocket::open(proxy.address("http"), HOST, "/websocket").await.unwrap();
        assert_eq!(socket.echo("through").await.unwrap(), "through");
        assert_eq!(origin.last().unwrap().headers["x-chain"], "a", "the request's head was seen");
        socket.close().await.unwrap();
    });
}

#[test]
fn a_streaming_plugin_changes_bytes_on_their_way_both_ways() {
    scenario(async {
        let origin = Origin::plan("origin")
            .answering(|request, _| async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                http::Response::new(stock::full([b"got ", &body[..]].concat()))
            })
            .start()
            .await;
        let proxy = plan(&origin, &good("upper", "do = 'upper'"), r#"["upper"]"#).start().await;
        for client in clients(&proxy).await {
            let body = letters(200_000);
            let answer = client.fetch(request_with_body("POST", HOST, "/x", stock::full(body.clone()))).await;
            assert_eq!(answer.status, 200);
            let expected = [b"GOT ".to_vec(), body.to_ascii_uppercase()].concat();
            assert!(answer.body == expected, "{} bytes", answer.body.len());
        }
    });
}

#[test]
fn a_streamed_body_flows_while_it_is_being_made() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &good("upper", "do = 'upper'"), r#"["upper"]"#).start().await;
        for client in clients(&proxy).await {
            // The second chunk is a minute away: the first one has to come without it.
            let response = client.send(request("GET", HOST, "/drip?n=2&ms=60000")).await.unwrap();
            let first = soon("the first chunk", response.into_body().frame()).await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap(), "CHUNK 0\n");
        }
    });
}

#[test]
fn a_held_body_is_seen_whole_before_its_head_goes() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &good("hold", "do = 'holder', limit = 300000"), r#"["hold"]"#).start().await;
        for client in clients(&proxy).await {
            let body = letters(250_000);
            let answer = client.fetch(request_with_body("POST", HOST, "/x", stock::full(body))).await;
            assert_eq!(answer.seen("x-held"), ["250000"]);
            assert_eq!(answer.seen("x-end"), ["complete"]);
            assert_eq!(answer.seen("content-length"), ["250000"]);
            assert_eq!(answer.json()["length"], 250_000);
            assert_eq!(answer.header("x-held"), answer.body.len().to_string());
            // A body of no length has one once it was held.
            let answer = client.get(HOST, "/stream?n=1000").await;
            assert_eq!((answer.header("x-held"), answer.header("content-length")), ("1000", "1000"));
        }
    });
}

#[test]
fn a_request_without_a_body_has_an_end_all_the_same() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &good("hold", "do = 'holder', limit = 10000"), r#"["hold"]"#).start().await;
        for client in clients(&proxy).await {
            let answer = client.get(HOST, "/x").await;
            assert_eq!((answer.seen("x-held"), answer.seen("x-end")), (vec!["0".into()], vec!["complete".into()]));
            assert!(answer.seen("content-length").is_empty() && answer.seen("transfer-encoding").is_empty());
            let answer = client.fetch(request("HEAD", HOST, "/bytes?n=77")).await;
            assert_eq!((answer.header("x-held"), answer.header("content-length")), ("0", "77"));
            let answer = client.get(HOST, "/status?code=204").await;
            assert_eq!((answer.status, answer.header("x-held")), (204, "0"));
        }
    });
}

#[test]
fn a_body_over_the_limit_is_refused_by_the_proxy() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &good("hold", "do = 'holder', limit = 1000"), r#"["hold"]"#).start().await;
        for client in clients(&proxy).await {
            let exact =
                client.fetch(request_with_body("POST", HOST, "/status?code=200", stock::full(letters(1000)))).await;
            assert_eq!(exact.status, 200);
        }
        for client in clients(&proxy).await {
            let before = origin.count();
            let answer = client.fetch(request_with_body("POST", HOST, "/x", stock::full(letters(1001)))).await;
            assert_eq!(answer.status, 413);
            assert_eq!(origin.count(), before, "the backend has seen nothing of it");
        }
        for client in clients(&proxy).await {
            let answer = client.get(HOST, "/bytes?n=1001").await;
            assert_eq!(answer.status, 502);
            assert!(answer.header("proxy-status").contains("http_response_body_size"), "{:?}", answer.headers);
        }
    });
}

#[test]
fn a_body_over_the_limit_is_inspected_as_far_as_it_fits_and_passes_whole() {
    scenario(async {
        let origin = Origin::start().await;
        let config = "do = 'holder', limit = 1000, at_limit = 'inspect'";
        let tables = good("hold", config) + &good("look", "do = 'looker'");
        // A plugin that streams on each side of one that holds: nothing is lost or doubled between them.
        let proxy =
            plan(&origin, &(tables + &good("again", "do = 'looker'")), r#"["look", "hold", "again"]"#).start().await;
        for client in clients(&proxy).await {
            let body = letters(500_000);
            let sum = stock::checksum(0, &body);
            let answer = client.fetch(request_with_body("POST", HOST, "/x", stock::full(body))).await;
            assert_eq!((answer.seen("x-held"), answer.seen("x-end")), (vec!["1000".into()], vec!["limit".into()]));
            let echo = answer.json();
            assert_eq!((echo["length"].as_u64(), echo["sum"].as_u64()), (Some(500_000), Some(sum)));
            let answer = client.get(HOST, "/bytes?n=500000").await;
            assert_eq!((answer.header("x-held"), answer.header("x-end")), ("1000", "limit"));
            assert_eq!(answer.body.len(), 500_000);
        }
    });
}

#[test]
fn a_held_body_can_be_replaced_and_has_the_right_length() {
    scenario(async {
        let origin = Origin::start().await;
        let tables =
            good("replace", "do = 'replace', limit = 10000, body = 'instead'") + &good("upper", "do = 'upper'");
        let proxy = plan(&origin, &tables, r#"["upper", "replace"]"#).start().await;
        for client in clients(&proxy).await {
            let answer = client.fetch(request_with_body("POST", HOST, "/x", stock::full(letters(5000)))).await;
            // The response: replaced further in, then seen by the one that streams.
            assert_eq!((answer.text().as_str(), answer.header("content-length")), ("INSTEAD", "7"));
            let seen = origin.last().unwrap();
            assert_eq!(seen.headers["content-length"], "7");
        }
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_held_body_harms_nobody() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &good("hold", "do = 'holder', limit = 100000"), r#"["hold"]"#).start().await;
        for _ in 0..20 {
            let mut raw = Raw::connect(proxy.address("http")).await;
            raw.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 50000\r\n\r\nhalf").await;
        }
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(client.get(HOST, "/x").await.status, 200);
        assert_eq!(origin.count(), 1);
        let status = proxy.status().await;
        assert_eq!(status["plugins"][0]["failures"], serde_json::json!({}));
    });
}
