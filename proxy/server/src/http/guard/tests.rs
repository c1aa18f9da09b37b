//! The guard as hyper sees it: fed by a connection cut into any pieces, and under hyper itself.

mod sent;

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::pin,
    sync::{Arc, Mutex},
    task::Waker,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

fn rules() -> Rules {
    Rules {
        header_bytes: 1024,
        header_count: 8,
        target_length: 200,
        header_time: Duration::from_secs(10),
        idle_time: Duration::from_secs(75),
    }
}

/// A connection that always has its next piece ready, then ends.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(piece) = self.0.front_mut() {
            let length = piece.len().min(buf.remaining());
            buf.put_slice(&piece[..length]);
            piece.drain(..length);
            if piece.is_empty() {
                self.0.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What came out of a guard.
#[derive(Debug, PartialEq)]
struct Seen {
    /// Everything that hyper got. With a broken body: nothing, how far it got depends on the cutting.
    bytes: Vec<u8>,
    heads: usize,
    refusal: Option<Refusal>,
    broken: Option<BadBody>,
}

/// Reads a guarded connection to its end, as hyper would, in reads of at most `room` bytes. No request is kept in
/// flight, and no upgrade happens.
fn see(pieces: &[&[u8]], room: usize) -> Seen {
    let _time = runtime();
    let _time = _time.enter();
    let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec()).collect();
    let (mut guard, shared) = Guard::new(Pieces(pieces), Arc::new(rules()));
    let mut seen = Seen { bytes: Vec::new(), heads: 0, refusal: None, broken: None };
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let mut space = vec![0; room];
        let mut buf = ReadBuf::new(&mut space);
        let before = shared.given();
        let result = Pin::new(&mut guard).poll_read(&mut cx, &mut buf);
        if shared.given() > before {
            assert_eq!(shared.given(), before + 1, "one head in a read");
            seen.heads += 1;
            seen.refusal = shared.admit().refusal.map(|refusal| *refusal);
        }
        match result {
            Poll::Ready(Ok(())) if buf.filled().is_empty() => return seen,
            Poll::Ready(Ok(())) => seen.bytes.extend_from_slice(buf.filled()),
            Poll::Ready(Err(error)) => {
                seen.broken = Some(*BadBody::find(&error).expect("an error of the guard"));
                seen.bytes.clear();
                return seen;
            }
            Poll::Pending => {
                assert!(seen.refusal.is_some(), "waits without a reason");
                return seen;
            }
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn refused(head: &str) -> (u16, RefusalKind) {
    let refusal = check_head(head.as_bytes(), &rules()).expect_err(head);
    (refusal.status, refusal.kind)
}

fn taken(head: &str) -> HeadFacts {
    check_head(head.as_bytes(), &rules()).expect(head).expect("complete")
}

#[test]
fn takes_plain_requests() {
    let head = "GET /a?b=c HTTP/1.1\r\nHost: Example.com:80\r\nAccept:\t*/* \r\nX-Empty:\r\nX-Text: \u{e4}\r\n\r\n";
    let facts = taken(head);
    assert_eq!(facts.length, head.len());
    assert_eq!(&head[facts.method], "GET");
    assert_eq!(&head[facts.target], "/a?b=c");
    assert_eq!(&head[facts.host.unwrap()], "Example.com:80");
    assert_eq!((facts.body, facts.upgrade, facts.http11), (BodyLength::None, false, true));
    assert!(!taken("GET / HTTP/1.0\r\n\r\n").http11);
    assert_eq!(taken("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").length, 29);
    assert_eq!(taken("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").length, 31);
    assert_eq!(taken("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 007\r\n\r\n").body, BodyLength::Known(7));
    assert_eq!(taken("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:0\r\n\r\n").body, BodyLength::None);
    assert_eq!(taken("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n").body, BodyLength::Chunked);
    assert!(taken("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").upgrade);
    assert!(!taken("GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").upgrade);
    assert!(taken("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n").upgrade);
    taken("GET http://A/x HTTP/1.1\r\nHost: a:80\r\n\r\n");
    taken("GET https://a?x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(check_head(b"GET / HTTP/1.1\r\nHost: a\r\n", &rules()), Ok(None));
}

#[test]
fn refuses_what_has_two_meanings() {
    use RefusalKind::{Field, Host, Length, LineEnd, RequestLine, Target, Tls, Version};
    let with = |fields: &str| refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"));
    for (fields, kind) in [
        ("Content-Length: 1\r\nContent-Length: 1", Length),
        ("Content-Length: 1\r\nContent-Length: 2", Length),
        ("Content-Length: 1, 1", Length),
        ("Content-Length: +1", Length),
        ("Content-Length: -1", Length),
        ("Content-Length: 0x1", Length),
        ("Content-Length: 1 1", Length),
        ("Content-Length:", Length),
        ("Content-Length: 9223372036854775808", Length),
        ("Content-Length: 18446744073709551617", Length),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked", Length),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1", Length),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Length),
        ("Transfer-Encoding: chunked, chunked", Length),
        ("Transfer-Encoding: gzip, chunked", Length),
        ("Transfer-Encoding: identity", Length),
        ("Transfer-Encoding: xchunked", Length),
        ("Transfer-Encoding: \"chunked\"", Length),
        ("Transfer-Encoding:", Length),
        ("Transfer-Encoding:\u{b}chunked", Field),
        ("X: a\rb", LineEnd),
        ("X: a\nY: b", LineEnd),
        ("X: a\r\r\nY: b", LineEnd),
        ("X: a\r\n folded", Field),
        ("X: a\r\n\tfolded", Field),
        ("X : a", Field),
        ("X\t: a", Field),
        (": a", Field),
        ("X", Field),
        ("X\0: a", Field),
        ("X(y): a", Field),
        ("X: a\0b", Field),
        ("X: a\u{7f}b", Field),
        ("X: \u{1}", Field),
        ("\u{e4}: a", Field),
        ("Host: a", Host),
        ("host: b", Host),
    ] {
        assert_eq!(with(fields), (400, kind), "{fields:?}");
    }
    for (head, status, kind) in [
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, RequestLine),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, LineEnd),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, LineEnd),
        ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, LineEnd),
        ("GET / HTTP/1.1\nHost: a\n\n", 400, LineEnd),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, Field),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, RequestLine),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, RequestLine),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, RequestLine),
        ("GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400, RequestLine),
        ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", 400, RequestLine),
        ("GET /\r\n\r\n", 400, RequestLine),
        ("GET\r\n\r\n", 400, RequestLine),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, RequestLine),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400, RequestLine),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400, RequestLine),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, Version),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, Version),
        ("GET / HTTP/1.1\r\n\r\n", 400, Host),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, Host),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, Host),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, Host),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, Host),
        ("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", 400, Host),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, Host),
        ("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, Host),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, Target),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, Target),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, Target),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, Target),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, Target),
        ("GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", 400, Target),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, Target),
        ("GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n", 400, Target),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400, Target),
        ("CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n", 400, Target),
        ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400, Target),
        ("CONNECT b:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400, Host),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, Length),
        ("\u{16}\u{3}\u{1}", 400, Tls),
    ] {
        assert_eq!(refused(head), (status, kind), "{head:?}");
    }
}

#[test]
fn limits_answer_with_their_status() {
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 1));
    assert_eq!(taken(&target(200)).target.len(), 200);
    assert_eq!(refused(&target(201)), (414, RefusalKind::TargetLength));
    assert_eq!(refused(&format!("GET /{}", "x".repeat(200))).0, 414, "at once, not at the line's end");
    assert_eq!(check_head(format!("GET /{}", "x".repeat(199)).as_bytes(), &rules()), Ok(None));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    taken(&fields(8));
    assert_eq!(refused(&fields(9)), (431, RefusalKind::HeaderCount));
    let rest = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    let bytes = |length: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(length - rest));
    assert_eq!(taken(&bytes(1024)).length, 1024);
    assert_eq!(refused(&bytes(1025)), (431, RefusalKind::HeaderBytes));
    assert_eq!(refused(&bytes(5000)[..1025]).0, 431, "at once, not at the head's end");
}

#[test]
fn a_refusal_keeps_what_can_be_shown() {
    let refusal = check_head(b"GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n", &rules()).unwrap_err();
    assert_eq!((&*refusal.method, &*refusal.target), ("GET", "/a?b"));
    let refusal = check_head(&[b'x'; 5000], &rules()).unwrap_err();
    assert_eq!((refusal.method.len(), refusal.target.len()), (32, 0));
}

#[test]
fn chunks_are_checked() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let run = |body: &str| see(&[format!("{post}{body}").as_bytes()], 8192);
    for body in [
        "0\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "A;name=value\r\n0123456789\r\n000\r\n\r\n",
        "3\r\nabc\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n",
        "0000000000000003\r\nabc\r\n0\r\n\r\n",
    ] {
        let seen = run(body);
        assert_eq!((seen.broken, seen.heads), (None, 1), "{body:?}");
        assert_eq!(seen.bytes, format!("{post}{body}").as_bytes());
    }
    for body in [
        "\r\n",
        "g\r\n",
        " 3\r\nabc\r\n",
        "3 \r\nabc\r\n",
        "3 ;x\r\nabc\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabcX",
        "3\r\nabc\rX",
        "0x3\r\nabc\r\n",
        "-3\r\n",
        "+3\r\nabc\r\n",
        "00000000000000003\r\nabc\r\n",
        "ffffffffffffffff\r\n",
        "3;a\0\r\nabc\r\n",
        "3;a\nb\r\nabc\r\n",
        "3\r\rabc",
        "0\r\nX : y\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\n\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nX: a\0\r\n\r\n",
        "0\r\nX: a\rb\r\n\r\n",
    ] {
        assert!(run(body).broken.is_some(), "{body:?}");
    }
    assert!(run(&format!("3;{}\r\n", "x".repeat(256))).broken.is_none());
    assert!(run(&format!("3;{}\r\n", "x".repeat(257))).broken.is_some());
    assert!(run(&format!("0\r\n{}", "X: y\r\n".repeat(65))).broken.is_some());
    assert!(run(&format!("0\r\nX: {}", "y".repeat(9000))).broken.is_some());
}

#[test]
fn what_follows_a_body_is_checked_before_hyper_sees_it() {
    for first in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let seen =
            see(&[format!("{first}{first}GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{first}").as_bytes()], 8192);
        assert_eq!(seen.bytes, [first.as_bytes(), first.as_bytes(), MADE_UP].concat());
        assert_eq!(seen.refusal.unwrap().kind, RefusalKind::Host);
        assert_eq!(seen.heads, 3);
    }
}

#[test]
fn an_end_inside_a_head_is_refused_and_between_heads_is_not() {
    assert_eq!(see(&[b"GET / HT"], 100).refusal.unwrap().kind, RefusalKind::Truncated);
    for silent in [&b""[..], b"\r", b"\r\n"] {
        let seen = see(&[silent], 100);
        assert_eq!((seen.heads, seen.refusal), (0, None));
    }
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /w HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\n",
        "hello",
        "5\r\nhello\r\n",
        "5;ext\r\nhello\r\n",
        "0\r\n",
        "X-Trailer: y\r\n",
        "\r\n",
        "GET /",
        "y HTTP/1.1\r\n",
        "Host: a\r\n",
        "Host: b\r\n",
        "Content-Length: 3\r\n",
        "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        " ",
        "\n",
        "\r",
        ":",
        "GET http://a/ HTTP/1.1\r\n",
        "GET http://a/?<\"> HTTP/1.1\r\n",
        "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n",
    ]);
    let mutation = (any::<prop::sample::Index>(), prop::sample::select(&b"\r\n\0 \t:;,xA0\x7f\xff/#"[..]));
    (prop::collection::vec(part, 0..12), prop::collection::vec(mutation, 0..3)).prop_map(|(parts, mutations)| {
        let mut bytes = parts.concat().into_bytes();
        for (at, byte) in mutations {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_cutting_of_a_stream_gives_the_same(
        bytes in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        room in 1..300usize,
    ) {
        let whole = see(&[&bytes], 8192);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(&see(&pieces, 8192), &whole);
        prop_assert_eq!(&see(&pieces, room), &whole);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&see(&single, 8192), &whole);
    }

    #[test]
    fn what_passes_is_what_httparse_and_http_take(bytes in stream()) {
        let Ok(Some(facts)) = check_head(&bytes, &rules()) else { return Ok(()) };
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut fields);
        let head = facts.encoded(&bytes);
        let target = &head[facts.target.start..facts.target.end + 2 * facts.unencoded];
        prop_assert_eq!(request.parse(&head), Ok(httparse::Status::Complete(head.len())));
        prop_assert_eq!(request.method.unwrap().as_bytes(), &bytes[facts.method.clone()]);
        prop_assert_eq!(request.path.unwrap().as_bytes(), target);
        prop_assert!(http::Uri::try_from(target).is_ok());
        prop_assert!(http::Method::from_bytes(&bytes[facts.method]).is_ok());
        for field in request.headers {
            prop_assert!(http::HeaderName::from_bytes(field.name.as_bytes()).is_ok());
            prop_assert!(http::HeaderValue::from_bytes(field.value).is_ok());
        }
    }

    #[test]
    fn any_bytes_are_refused_or_taken_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        see(&[&bytes], 64);
        see(&[b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes], 64);
    }
}

/// What a service saw: one line for each request.
type Log = Arc<Mutex<Vec<String>>>;

/// Serves one connection with hyper behind a guard; each answer says what the request was. The path `/ws` is switched.
fn serve(rules: Rules) -> (DuplexStream, Log) {
    let (client, server) = duplex(1024 * 1024);
    let (guard, shared) = Guard::new(server, Arc::new(rules));
    let log = Log::default();
    let seen = log.clone();
    let service = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        let admitted = shared.admit();
        let seen = seen.clone();
        async move {
            let mut response = http::Response::new(Empty::<Bytes>::new());
            if let Some(refusal) = &admitted.refusal {
                seen.lock().unwrap().push(format!("refused {}", refusal.status));
                *response.status_mut() = http::StatusCode::from_u16(refusal.status).unwrap();
                return Ok::<_, Infallible>(response);
            }
            let line = format!("{} {}", request.method(), request.uri());
            let raw = admitted.raw_target.map(|raw| format!(" as {}", raw.whole())).unwrap_or_default();
            seen.lock().unwrap().push(line + &raw);
            if admitted.upgrade && request.uri().path() == "/ws" {
                admitted.in_flight.switch();
                *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let mut io = TokioIo::new(upgrade.await.unwrap());
                    let mut bytes = vec![0; 5];
                    io.read_exact(&mut bytes).await.unwrap();
                    io.write_all(&bytes).await.unwrap();
                    io.shutdown().await.unwrap();
                });
                return Ok(response);
            }
            match request.into_body().collect().await {
                Ok(body) => seen.lock().unwrap().push(format!("body {}", body.to_bytes().len())),
                Err(error) => {
                    assert!(!admitted.in_flight.in_body());
                    let bad = BadBody::find(&error).expect("the guard's error");
                    seen.lock().unwrap().push(format!("bad {}", bad.kind.name()));
                    *response.status_mut() = http::StatusCode::BAD_REQUEST;
                }
            }
            Ok(response)
        }
    });
    tokio::spawn(async move {
        // However the connection ends: the client's side says what it saw.
        let _ = hyper::server::conn::http1::Builder::new()
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(guard), service)
            .with_upgrades()
            .await;
    });
    (client, log)
}

/// Sends, and reads until the connection ends; the status codes of the responses.
fn exchange(rules: Rules, pieces: &[&str]) -> (Vec<String>, Vec<String>, String) {
    runtime().block_on(async {
        let (mut client, log) = serve(rules);
        for piece in pieces {
            client.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = String::new();
        tokio::time::timeout(Duration::from_secs(5), client.read_to_string(&mut answer)).await.unwrap().unwrap();
        let statuses =
            answer.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")).map(|line| line[..3].into()).collect();
        let log = log.lock().unwrap().clone();
        (statuses, log, answer)
    })
}

fn impatient() -> Rules {
    Rules { header_time: Duration::from_millis(100), idle_time: Duration::from_millis(50), ..rules() }
}

#[test]
fn under_hyper_a_refusal_comes_in_its_turn_and_closes() {
    let (statuses, log, _) = exchange(
        rules(),
        &[
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            "GET /3 HTTP/1.1\r\nHost : a\r\n\r\nGET /4",
        ],
    );
    assert_eq!(statuses, ["200", "200", "400"]);
    assert_eq!(log, ["GET /1", "body 0", "POST /2", "body 3", "refused 400"]);
}

#[test]
fn under_hyper_a_bad_body_is_answered_and_closes() {
    let (statuses, log, _) = exchange(
        rules(),
        &[
            "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    );
    assert_eq!(statuses, ["400"]);
    assert_eq!(log, ["POST /1", "bad chunk"]);
}

#[test]
fn under_hyper_a_late_head_gets_408_and_a_silent_connection_ends() {
    let (statuses, log, _) = exchange(impatient(), &["GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /"]);
    assert_eq!(statuses, ["200", "408"]);
    assert_eq!(log, ["GET /", "body 0", "refused 408"]);
    let (statuses, _, _) = exchange(impatient(), &["GET / HTTP/1.1\r\nHost: a\r\n\r\n"]);
    assert_eq!(statuses, ["200"]);
    let (statuses, _, answer) = exchange(impatient(), &[]);
    assert!(statuses.is_empty() && answer.is_empty());
}

#[test]
fn under_hyper_bytes_after_a_switch_flow_untouched() {
    for early in [
        &["GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n\r\n\0\r\n"][..],
        &["GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n", "\r\n\0\r\n"],
    ] {
        let (statuses, _, answer) = exchange(rules(), early);
        assert_eq!(statuses, ["101"]);
        assert!(answer.ends_with("\r\n\r\n\r\n\0\r\n"), "{answer:?}");
    }
}

#[test]
fn under_hyper_a_connection_that_is_not_switched_goes_on() {
    let upgrade = "GET /no HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n";
    for pieces in
        [&[&format!("{upgrade}{upgrade}") as &str][..], &[upgrade, upgrade], &[&upgrade[..10], &upgrade[10..], upgrade]]
    {
        let (statuses, log, _) = exchange(impatient(), pieces);
        assert_eq!(statuses, ["200", "200"]);
        assert_eq!(log, ["GET /no", "body 0", "GET /no", "body 0"]);
    }
}

#[test]
fn an_exchange_in_flight_is_not_idle() {
    runtime().block_on(async {
        let (mut client, server) = duplex(1024);
        let (mut guard, shared) = Guard::new(server, Arc::new(impatient()));
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut buf = [0; 1024];
        assert!(guard.read(&mut buf).await.unwrap() > 0);
        let admitted = shared.admit();
        let mut read = pin!(guard.read(&mut buf));
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut read).await.is_err(), "ended while in flight");
        let ended = Instant::now();
        drop(admitted);
        assert_eq!(tokio::time::timeout(Duration::from_secs(5), read).await.unwrap().unwrap(), 0);
        assert!(ended.elapsed() >= Duration::from_millis(40));
    });
}

#[test]
fn shutting_down_lingers_for_a_client_that_still_sends() {
    runtime().block_on(async {
        let (mut client, server) = duplex(16);
        let (mut guard, shared) = Guard::new(server, Arc::new(rules()));
        client.write_all(b"(").await.unwrap();
        let mut buf = [0; 1024];
        assert!(guard.read(&mut buf).await.unwrap() > 0);
        assert_eq!(shared.admit().refusal.unwrap().status, 400);
        let sent = tokio::spawn(async move { client.write_all(&[b'x'; 1000]).await });
        guard.shutdown().await.unwrap();
        sent.await.unwrap().unwrap();
    });
}

#[test]
fn a_head_that_began_before_is_late_sooner() {
    runtime().block_on(async {
        let (mut client, server) = duplex(64);
        let mut rules = rules();
        rules.header_time = Duration::from_secs(60);
        let (mut guard, shared) = Guard::new(server, Arc::new(rules));
        guard.begun_at(Instant::now().checked_sub(Duration::from_secs(60)));
        client.write_all(b"PRI * HT").await.unwrap();
        let mut buf = [0; 1024];
        assert!(guard.read(&mut buf).await.unwrap() > 0);
        assert_eq!(shared.admit().refusal.unwrap().status, 408);
    });
}

#[test]
fn shutting_down_lingers_for_as_long_as_the_client_keeps_sending() {
    runtime().block_on(async {
        let (mut client, server) = duplex(64 * 1024);
        let (mut guard, _shared) = Guard::new(server, Arc::new(rules()));
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\n").await.unwrap();
        let mut buf = [0; 1024];
        assert!(guard.read(&mut buf).await.unwrap() > 0);
        let begun = Instant::now();
        // Longer than it may be silent, and many megabytes.
        let sending = tokio::spawn(async move {
            while begun.elapsed() < Duration::from_millis(2500) {
                for _ in 0..32 {
                    client.write_all(&[b'x'; 64 * 1024]).await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            // Silent now, and still there.
            client
        });
        guard.shutdown().await.unwrap();
        assert!((4..9).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        drop(sending.await.unwrap());
    });
}
