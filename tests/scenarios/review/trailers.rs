use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use portcullis_tests::{
    client::{
        http::{Connection, request_with_body},
        raw::Raw,
    },
    origin::{Origin, raw::RawOrigin},
    proxy::Plan,
    scenario::scenario,
};

use crate::ground::PLAIN;

#[test]
fn trailers_of_requests_cannot_say_who_the_client_is() {
    scenario(async {
        let one = (PLAIN.to_owned(), Origin::start().await);
        let two = (PLAIN.replace("http://@origin@", "h2c://@origin@"), Origin::plan("origin").h2c().start().await);
        for (text, origin) in [one, two] {
            let proxy = Plan::new(text).set("origin", origin.address()).start().await;
            let address = proxy.address("http");
            for client in [Connection::h1(address).await, Connection::h2c(address).await] {
                let trailers = [("x-forwarded-for", "6.6.6.6"), ("authorization", "basic x"), ("x-count", "7")];
                let trailers = trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
                let frames = futures_util::stream::iter([
                    Ok(Frame::data(Bytes::from_static(b"counted"))),
                    Ok(Frame::trailers(trailers.collect())),
                ]);
                let mut ask = request_with_body("POST", "a", "/", StreamBody::new(frames).boxed_unsync());
                ask.headers_mut().insert("trailer", "x-count, x-forwarded-for, authorization".parse().unwrap());
                let echo = client.fetch(ask).await.json();
                assert_eq!(echo["trailers"], serde_json::json!([["x-count", "7"]]), "{echo}");
            }
        }
    });
}

#[test]
fn trailers_of_responses_cannot_frame_anything() {
    scenario(async {
        let origin = RawOrigin::answering(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, content-length\r\n\r\n\
             5\r\nhello\r\n0\r\nx-sum: 5\r\ncontent-length: 99\r\n\r\n",
        )
        .await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let response = client.exchange("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n").await;
        assert_eq!((response.text().as_str(), response.is_cut), ("hello", false));
        assert!(!response.trailers.contains("content-length"), "{}", response.trailers);
    });
}
