use std::time::{Duration, Instant};

use portcullis_tests::{
    certificates::{authority, leaf},
    client::{
        http::{Connection, request},
        raw::Raw,
        tcp,
    },
    origin::{
        Origin,
        raw::{RawOrigin, read_head, reset},
    },
    proxy::{Plan, Proxy},
    scenario::{scenario, soon},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ground::{PLAIN, TLS};

/// [`PLAIN`] with more keys in its backend. Errors eject nobody: each request is to meet the origin.
fn backend(keys: &str) -> String {
    format!("{PLAIN}\nhealth = {{ errors = 0 }}\nretries = 0\n{keys}\n")
}

async fn before(origin: &RawOrigin, keys: &str) -> Proxy {
    Plan::new(backend(keys)).set("origin", origin.address()).start().await
}

const GET: &str = "GET /it HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn garbage_is_502_and_the_client_sees_none_of_it() {
    scenario(async {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(4 << 20));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(100_000));
        let forever = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(10_000);
        let answers: [(&str, &[u8]); 21] = [
            ("nothing", b""),
            ("noise", b"\x00\xffsecret\x16\x03\x01 noise\r\n\r\n"),
            ("no version", b"hello, this is secret\r\n\r\n"),
            ("another protocol", b"220 secret ESMTP\r\n"),
            ("SSH", b"SSH-2.0-secret\r\n\r\n"),
            ("half a head", b"HTTP/1.1 200 OK\r\nx-secret: 1\r\n"),
            ("a status of two digits", b"HTTP/1.1 20 secret\r\n\r\n"),
            ("a status of letters", b"HTTP/1.1 abc secret\r\n\r\n"),
            ("a status below 100", b"HTTP/1.1 099 secret\r\ncontent-length: 0\r\n\r\n"),
            ("no colon", b"HTTP/1.1 200 OK\r\nsecret\r\n\r\n"),
            ("space before colon", b"HTTP/1.1 200 OK\r\nsecret : 1\r\ncontent-length: 0\r\n\r\n"),
            ("control bytes", b"HTTP/1.1 200 OK\r\nx: \x01secret\r\ncontent-length: 0\r\n\r\n"),
            ("a length that is none", b"HTTP/1.1 200 OK\r\ncontent-length: secret\r\n\r\nsecret"),
            ("a negative length", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nsecret"),
            ("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 6\r\n\r\nsecret"),
            ("a huge length", b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nsecret"),
            (
                "a switch nobody asked for",
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: secret\r\nconnection: upgrade\r\n\r\nsecret",
            ),
            ("a long head", long.as_bytes()),
            ("many fields", many.as_bytes()),
            ("hints for ever", forever.as_bytes()),
            ("HTTP/2", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00secret"),
        ];
        for (what, answer) in answers {
            let origin = RawOrigin::answering(answer).await;
            let proxy = before(&origin, "").await;
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send(GET).await;
            let all = client.response().await;
            // Hints may be passed on before the answer.
            let mut answer = all;
            while (100..200).contains(&answer.status) && answer.status != 101 {
                answer = client.response().await;
            }
            assert_eq!(answer.status, 502, "{what}: {}{}", answer.head, answer.text());
            assert!(!answer.head.contains("secret") && !answer.text().contains("secret"), "{what}: {answer:?}");
            let line = proxy.log_of("/it").await;
            assert_eq!((&line["origin"], &line["status"]), (&"backend".into(), &502.into()), "{what}: {line}");
            assert!(line["error"].is_string() && line["detail"].is_string(), "{what}: {line}");
            assert_eq!(proxy.counter("panics").await, 0, "{what}");
            assert_eq!(proxy.counter("backend_errors").await, 1, "{what}");
        }
    });
}

#[test]
fn a_connection_that_closes_or_resets_without_an_answer_is_502() {
    scenario(async {
        let origin = RawOrigin::start(|mut stream, number| async move {
            if number % 2 == 0 {
                read_head(&mut stream).await;
            }
            reset(stream);
        })
        .await;
        let proxy = before(&origin, "").await;
        let mut client = Raw::connect(proxy.address("http")).await;
        for _ in 0..4 {
            assert_eq!(client.exchange(GET).await.status, 502);
        }
        let line = proxy.log_of("/it").await;
        assert_eq!(line["error"], "connection_terminated", "{line}");
    });
}

#[test]
fn bytes_after_an_answer_are_no_answer_to_the_next_request() {
    scenario(async {
        let origin = RawOrigin::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            let poison =
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
            drop(stream.write_all(poison.as_bytes()).await);
            read_head(&mut stream).await;
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate").await);
        })
        .await;
        let proxy = before(&origin, "").await;
        let mut client = Raw::connect(proxy.address("http")).await;
        for _ in 0..10 {
            let answer = client.exchange(GET).await;
            assert_ne!(answer.text(), "poison");
            assert!(answer.text() == "ok" || answer.status == 502, "{answer:?}");
        }
    });
}

#[test]
fn a_truncated_body_is_an_aborted_response_and_never_a_short_one() {
    scenario(async {
        let answers: [(&str, &[u8]); 7] = [
            ("length", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"),
            ("chunked, no last chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n"),
            ("chunked, half a chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20\r\nonly this"),
            ("chunked, half an end", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n0\r\n"),
            (
                "chunked, bad size",
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\nxyz\r\nmore",
            ),
            (
                "chunked, no end of chunk",
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly thisXX0\r\n\r\n",
            ),
            ("half a trailer", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n0\r\nx-su"),
        ];
        for (what, answer) in answers {
            let origin = RawOrigin::answering(answer).await;
            let proxy = Plan::new(format!(
                "{TLS}\nretries = 0\nhealth = {{ errors = 0 }}\n{}",
                &PLAIN[..PLAIN.find("[[route]]").unwrap()]
            ))
            .leaf("leaf", &leaf(&["a.example"]))
            .set("origin", origin.address())
            .start()
            .await;
            let address = proxy.address("http");

            let mut one = Raw::connect(address).await;
            let answer = one.exchange(GET).await;
            // The break may be seen before the head has left: then it is an error from the beginning.
            assert!((answer.status == 200 && answer.is_cut) || answer.status == 502, "{what}: HTTP/1.1 {answer:?}");
            assert!(one.is_closed().await, "{what}");

            let two = Connection::tls(proxy.address("https"), "a.example", &authority().client(&["h2"])).await;
            match two.try_fetch(request("GET", "a.example", "/two")).await {
                Err(_) => {}
                Ok(answer) => assert_eq!(answer.status, 502, "{what}: HTTP/2 {answer:?}"),
            }
            for target in ["/it", "/two"] {
                let line = proxy.log_of(target).await;
                assert_eq!(line["origin"], "backend", "{what}: {line}");
                assert!(line["end"] == "aborted" || line["status"] == 502, "{what}: {line}");
            }
        }
    });
}

#[test]
fn a_truncated_body_is_a_reset_where_only_the_end_of_the_connection_tells_its_length() {
    scenario(async {
        // HTTP/1.0 knows no chunks: an ordinary end would say that this was all.
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n";
        let origin = RawOrigin::answering(answer).await;
        let proxy = before(&origin, "").await;
        let mut client = tcp(proxy.address("http")).await;
        client.write_all(b"GET /it HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
        let mut got = Vec::new();
        let read = soon("the end", client.read_to_end(&mut got)).await;
        let text = String::from_utf8_lossy(&got);
        assert!(read.is_err() || text.contains(" 502 "), "the client was told that this is all: {text}");
        assert_eq!(proxy.log_of("/it").await["origin"], "backend");
    });
}

#[test]
fn an_http2_backend_that_resets_its_stream_is_an_aborted_response() {
    scenario(async {
        let origin = Origin::plan("two").h2c().start().await;
        let text = backend("").replace("http://@origin@", "h2c://@origin@");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let answer = client.exchange("GET /break HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(answer.is_cut, "{answer:?}");
        let line = proxy.log_of("/break").await;
        assert_eq!((&line["end"], &line["origin"]), (&"aborted".into(), &"backend".into()), "{line}");
    });
}

#[test]
fn a_backend_that_speaks_something_else_than_configured_is_502() {
    scenario(async {
        let plain = Origin::start().await;
        let tls = Origin::plan("tls").tls(leaf(&["127.0.0.1"]).server(&["http/1.1"])).start().await;
        for (scheme, address) in
            [("https", plain.address()), ("h2c", plain.address()), ("http", tls.address()), ("h2c", tls.address())]
        {
            let text = backend("").replace("http://@origin@", &format!("{scheme}://@origin@"));
            let proxy = Plan::new(text).set("origin", address).start().await;
            let mut client = Raw::connect(proxy.address("http")).await;
            let answer = client.exchange(GET).await;
            assert_eq!(answer.status, 502, "{scheme}: {answer:?}");
            let line = proxy.log_of("/it").await;
            assert_eq!(line["origin"], "backend", "{scheme}: {line}");
        }
    });
}

#[test]
fn a_slow_backend_is_504_at_the_limit() {
    scenario(async {
        // Nothing, half a head, or hints without end: none is the first byte of an answer.
        for beginning in ["", "HTTP/1.1 200 OK\r\nx-half: "] {
            let origin = RawOrigin::start(move |mut stream, _| async move {
                read_head(&mut stream).await;
                drop(stream.write_all(beginning.as_bytes()).await);
                std::future::pending::<()>().await;
            })
            .await;
            let proxy = before(&origin, "time = { first_byte = \"700ms\" }").await;
            let mut client = Raw::connect(proxy.address("http")).await;
            let begun = Instant::now();
            let answer = client.exchange(GET).await;
            let took = begun.elapsed();
            assert_eq!(answer.status, 504, "{answer:?}");
            assert!(took > Duration::from_millis(600) && took < Duration::from_secs(5), "{took:?}");
            let line = proxy.log_of("/it").await;
            assert_eq!(
                (&line["error"], &line["origin"]),
                (&"http_response_timeout".into(), &"backend".into()),
                "{line}"
            );
        }
    });
}

#[test]
fn a_backend_that_stalls_inside_a_body_is_cut_off() {
    scenario(async {
        let origin = RawOrigin::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await);
            std::future::pending::<()>().await;
        })
        .await;
        let proxy = before(&origin, "time = { idle = \"700ms\" }").await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let begun = Instant::now();
        let answer = client.exchange(GET).await;
        assert!(answer.is_cut && begun.elapsed() < Duration::from_secs(6), "{:?} {answer:?}", begun.elapsed());
        assert_eq!(answer.text(), "only this", "what came was passed on");
        assert_eq!(proxy.log_of("/it").await["end"], "aborted");
    });
}

#[test]
fn one_bad_backend_is_no_concern_of_the_others() {
    scenario(async {
        let (good, bad) = (Origin::start().await, RawOrigin::answering("garbage\r\n\r\n").await);
        let text = format!(
            "{PLAIN}\n[[route]]\nhost = \"bad.example\"\nbackend = \"bad\"\n[backend.bad]\nendpoints = [\"http://{}\"]\n",
            bad.address()
        );
        let proxy = Plan::new(text).set("origin", good.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        for _ in 0..20 {
            assert!([502, 503].contains(&client.get("bad.example", "/").await.status));
            assert_eq!(client.get("good.example", "/").await.status, 200);
        }
        assert_eq!(good.connections(), 1);
    });
}
