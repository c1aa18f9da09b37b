use portcullis_tests::{
    client::{
        frames::{END_HEADERS, END_STREAM, Frame, Frames, encode, fields, get, kind},
        http::Connection,
        raw::Raw,
    },
    origin::Origin,
    proxy::Proxy,
    scenario::scenario,
};

use crate::ground::plain;

async fn open(proxy: &Proxy) -> Frames {
    Frames::open(Raw::connect(proxy.address("http")).await).await
}

/// What a request without a body is answered with: the status of a response, RST_STREAM, GOAWAY or the end.
async fn answer_to(proxy: &Proxy, block: &[u8]) -> String {
    let mut frames = open(proxy).await;
    frames.send(kind::HEADERS, END_HEADERS | END_STREAM, 1, block).await;
    answer(&mut frames).await
}

async fn answer(frames: &mut Frames) -> String {
    loop {
        match frames.next().await {
            None => return "closed".into(),
            Some(Frame { kind: kind::GOAWAY, .. }) => return "goaway".into(),
            Some(Frame { kind: kind::RST_STREAM, .. }) => return "reset".into(),
            // The static table's entries for statuses (RFC 7541 appendix A): 8 is 200, 12 is 400.
            Some(Frame { kind: kind::HEADERS, payload, .. }) => {
                return match payload.first() {
                    Some(0x88) => "200".into(),
                    Some(0x8c) => "400".into(),
                    _ => "another status".into(),
                };
            }
            Some(_) => {}
        }
    }
}

#[test]
fn a_well_formed_request_of_bare_frames_is_answered() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        assert_eq!(answer_to(&proxy, &get("a.example", "/", &[("x", "y")])).await, "200");
    });
}

#[test]
fn a_malformed_request_is_refused_and_reaches_nobody() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let pseudo = |all: &[(&str, &str)]| fields(all);
        let cases = [
            ("connection fields", get("a", "/", &[("connection", "close")])),
            ("transfer-encoding", get("a", "/", &[("transfer-encoding", "chunked")])),
            ("upgrade", get("a", "/", &[("upgrade", "websocket")])),
            ("te that is not trailers", get("a", "/", &[("te", "gzip")])),
            ("an upper-case name", get("a", "/", &[("X-Upper", "y")])),
            ("CR LF in a value", get("a", "/", &[("x", "y\r\nhost: b")])),
            ("NUL in a value", get("a", "/", &[("x", "y\0")])),
            ("a space in a name", get("a", "/", &[("x y", "z")])),
            ("a colon in a name", get("a", "/", &[("x:y", "z")])),
            ("a host that disagrees", get("a", "/", &[("host", "b")])),
            ("two hosts", get("a", "/", &[("host", "a"), ("host", "a")])),
            ("an authority with user information", get("me@a", "/", &[])),
            ("an authority that is none", get("a b", "/", &[])),
            ("an empty path", get("a", "", &[])),
            ("a path without a slash", get("a", "x", &[])),
            ("a path with a space", get("a", "/a b", &[])),
            ("CR LF in the path", get("a", "/x\r\ny: z", &[])),
            ("no method", pseudo(&[(":scheme", "https"), (":authority", "a"), (":path", "/")])),
            ("no path", pseudo(&[(":method", "GET"), (":scheme", "https"), (":authority", "a")])),
            ("no scheme", pseudo(&[(":method", "GET"), (":authority", "a"), (":path", "/")])),
            ("no host of any kind", pseudo(&[(":method", "GET"), (":scheme", "https"), (":path", "/")])),
            (
                "two paths",
                pseudo(&[
                    (":method", "GET"),
                    (":scheme", "https"),
                    (":authority", "a"),
                    (":path", "/"),
                    (":path", "/x"),
                ]),
            ),
            ("an unknown pseudo-header field", get("a", "/", &[(":x", "y")])),
            (
                "a response's pseudo-header field",
                pseudo(&[(":status", "200"), (":method", "GET"), (":scheme", "https"), (":path", "/")]),
            ),
            (
                "a pseudo-header field behind others",
                pseudo(&[("x", "y"), (":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")]),
            ),
            (
                "a space in the method",
                pseudo(&[(":method", "GET /x"), (":scheme", "https"), (":authority", "a"), (":path", "/")]),
            ),
            ("a length without a body", get("a", "/", &[("content-length", "5")])),
            ("two lengths", get("a", "/", &[("content-length", "0"), ("content-length", "5")])),
            ("broken HPACK", vec![0x80, 0xff, 0xff, 0xff]),
        ];
        let mut passed = Vec::new();
        for (what, block) in cases {
            let answer = answer_to(&proxy, &block).await;
            if answer == "200" || answer == "another status" {
                passed.push((what, answer));
            }
        }
        let seen: Vec<_> = origin.requests().into_iter().map(|seen| (seen.host, seen.target)).collect();
        assert!(passed.is_empty() && seen.is_empty(), "{passed:#?}\nthe origin saw {seen:?}");
    });
}

#[test]
fn a_body_that_does_not_keep_to_its_length_is_refused() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for body in ["too long for it", "x"] {
            let mut frames = open(&proxy).await;
            let mut block = fields(&[(":method", "POST"), (":scheme", "https"), (":authority", "a"), (":path", "/")]);
            block.extend(fields(&[("content-length", "5")]));
            frames.send(kind::HEADERS, END_HEADERS, 1, &block).await;
            frames.send(kind::DATA, END_STREAM, 1, body.as_bytes()).await;
            let answer = answer(&mut frames).await;
            assert!(answer != "200", "{body}: {answer}");
        }
    });
}

#[test]
fn broken_connections_end_with_goaway_or_at_once_and_never_the_process() {
    scenario(async {
        let origin = Origin::start().await;
        let mut proxy = plain(&origin).await;
        let cases: [Vec<u8>; 8] = [
            encode(kind::DATA, 0, 0, b"on stream 0"),
            encode(kind::HEADERS, END_HEADERS, 2, &get("a", "/", &[])),
            encode(kind::SETTINGS, 0, 0, b"five!"),
            encode(kind::PING, 0, 0, b"short"),
            encode(kind::CONTINUATION, END_HEADERS, 1, b""),
            encode(kind::RST_STREAM, 0, 7, &[0, 0, 0, 8]),
            b"\xff\xff\xff\x00\x00\x00\x00\x00\x01".to_vec(),
            b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        ];
        for bytes in cases {
            let mut frames = open(&proxy).await;
            frames.send_bytes(&bytes).await;
            frames.send_bytes(&[0; 64]).await;
            let answer = answer(&mut frames).await;
            assert!(["goaway", "closed"].contains(&&*answer), "{bytes:?}: {answer}");
        }
        let mut raw = Raw::connect(proxy.address("http")).await;
        raw.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
        drop(raw.read_to_end().await);
        assert!(proxy.is_running());
        assert_eq!(Connection::h2c(proxy.address("http")).await.get("a", "/").await.status, 200);
        assert_eq!(proxy.counter("panics").await, 0);
    });
}

#[test]
fn a_header_block_in_several_frames_is_read() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let block = get("a.example", "/pieces", &[]);
        let mut frames = open(&proxy).await;
        let mut bytes = encode(kind::HEADERS, END_STREAM, 1, &block[..1]);
        for byte in &block[1..4] {
            bytes.extend(encode(kind::CONTINUATION, 0, 1, &[*byte]));
        }
        bytes.extend(encode(kind::CONTINUATION, END_HEADERS, 1, &block[4..]));
        frames.send_bytes(&bytes).await;
        assert_eq!(answer(&mut frames).await, "200");
    });
}
