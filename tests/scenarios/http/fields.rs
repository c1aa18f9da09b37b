use portcullis_tests::{
    client::{
        http::{Connection, request},
        raw::Raw,
    },
    origin::{
        Origin,
        raw::{RawOrigin, read_head},
    },
    proxy::Plan,
    scenario::scenario,
};
use tokio::io::AsyncWriteExt;

use crate::ground::{PLAIN, plain, tls};

#[test]
fn hop_by_hop_fields_of_a_request_end_here() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let response = client
            .exchange(
                "GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, X-Mine , x-two\r\nx-mine: 1\r\nX-Two: 2\r\n\
                 keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nte: gzip\r\nproxy-authorization: Basic eA==\r\n\
                 x-kept: 3\r\n\r\n",
            )
            .await;
        let text = response.text();
        for gone in ["x-mine", "x-two", "keep-alive", "proxy-connection", "\"te\"", "\"connection\""] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        assert!(text.contains("[\"x-kept\",\"3\"]"), "{text}");
    });
}

#[test]
fn hop_by_hop_fields_of_a_response_end_here() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            let answer = client.get("a", "/hints").await;
            assert_eq!(answer.status, 200);
            for gone in ["x-inside", "keep-alive", "connection"] {
                assert!(!answer.headers.contains_key(gone), "{gone} in {:?}", answer.headers);
            }
            assert_eq!((answer.header("x-outside"), answer.header("server")), ("for everybody", "stock"));
        }
    });
}

#[test]
fn a_client_cannot_name_what_the_proxy_sets_in_connection() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let response = client
            .exchange(
                "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\nauthorization: Basic eA==\r\ncookie: a=b\r\n\
                 connection: x-forwarded-for, x-forwarded-proto, x-forwarded-host, forwarded, x-request-id, host, \
                 content-length\r\n\r\nhi",
            )
            .await;
        let echo: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let names: Vec<_> = echo["headers"].as_array().unwrap().iter().filter_map(|pair| pair[0].as_str()).collect();
        for kept in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-request-id", "host"] {
            assert!(names.contains(&kept), "{kept} is not in {names:?}");
        }
        assert_eq!(echo["length"], 2);
    });
}

#[test]
fn a_request_id_is_made_or_kept_and_is_in_the_log() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let client = Connection::h1(proxy.address("http")).await;
        let made = client.get("a", "/made").await.seen("x-request-id");
        assert_eq!(made.len(), 1);
        assert_eq!(made[0], proxy.log_of("/made").await["id"].as_str().unwrap());
        assert_ne!(made, client.get("a", "/again").await.seen("x-request-id"));

        let mut with = request("GET", "a", "/kept");
        with.headers_mut().insert("x-request-id", "mine-42".parse().unwrap());
        assert_eq!(client.fetch(with).await.seen("x-request-id"), ["mine-42"]);
        assert_eq!(proxy.log_of("/kept").await["id"], "mine-42");

        for bad in ["with space", &"x".repeat(129), ""] {
            let mut with = request("GET", "a", "/bad");
            with.headers_mut().insert("x-request-id", bad.parse().unwrap());
            let seen = client.fetch(with).await.seen("x-request-id");
            assert!(seen.len() == 1 && seen[0] != bad, "{seen:?}");
        }
    });
}

#[test]
fn fields_keep_their_values_and_their_order() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &["a.example"]).await;
        let config = portcullis_tests::certificates::authority().client(&["h2"]);
        let client = Connection::tls(proxy.address("https"), "a.example", &config).await;
        let mut ask = request("GET", "a.example", "/");
        for value in ["one", "two, three", "four"] {
            ask.headers_mut().append("x-many", value.parse().unwrap());
        }
        ask.headers_mut().append("x-bytes", http::HeaderValue::from_bytes(b"caf\xc3\xa9").unwrap());
        for cookie in ["a=1", "b=2"] {
            ask.headers_mut().append("cookie", cookie.parse().unwrap());
        }
        let answer = client.fetch(ask).await;
        assert_eq!(answer.seen("x-many"), ["one", "two, three", "four"]);
        assert_eq!(answer.seen("x-bytes"), ["café"]);
        // RFC 9113 section 8.2.3: pieces of a cookie become one field again on the way to HTTP/1.1.
        assert_eq!(answer.seen("cookie").join("; "), "a=1; b=2");
        assert_eq!(answer.seen("cookie").len(), 1);
    });
}

#[test]
fn te_trailers_reaches_an_http_2_origin() {
    scenario(async {
        let origin = Origin::plan("two").h2c().start().await;
        let proxy = Plan::new(PLAIN.replace("http://@", "h2c://@")).set("origin", origin.address()).start().await;
        let client = Connection::h2c(proxy.address("http")).await;
        let mut ask = request("GET", "a", "/");
        ask.headers_mut().insert("te", "trailers".parse().unwrap());
        assert_eq!(client.fetch(ask).await.seen("te"), ["trailers"]);
    });
}

#[test]
fn the_request_to_an_http_1_origin_is_plain_and_complete() {
    scenario(async {
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        let origin = RawOrigin::start(move |mut stream, _| {
            let tell = tell.clone();
            async move {
                drop(tell.send(read_head(&mut stream).await).await);
                drop(stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await);
            }
        })
        .await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let client = Connection::h2c(proxy.address("http")).await;
        assert_eq!(client.get("a.example:8080", "/x//y/../z?q=%zz").await.status, 204);
        let head = String::from_utf8(told.recv().await.unwrap()).unwrap();
        assert!(head.starts_with("GET /x//y/../z?q=%zz HTTP/1.1\r\n"), "the raw target is kept: {head}");
        assert_eq!(head.matches("\nhost: a.example:8080\r\n").count(), 1, "{head}");
        assert!(!head.contains("transfer-encoding") && !head.contains("content-length"), "{head}");
    });
}
