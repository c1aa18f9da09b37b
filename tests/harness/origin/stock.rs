//! What the stock origin does: the last segment of the path says it, the query says how much.
//!
//! | Segment | Behaviour |
//! |---|---|
//! | `slow?ms=` | waits, then echoes |
//! | `bytes?n=` | `n` bytes with a length |
//! | `stream?n=` | `n` bytes without one |
//! | `endless` | bytes for ever, as fast as they are taken |
//! | `drip?n=&ms=` | `n` chunks, `ms` apart |
//! | `sse?n=&ms=` | the same as server-sent events |
//! | `trailers` | a body and the trailer `x-sum` |
//! | `status?code=` | this status |
//! | `break?n=` | `n` bytes of a longer body, then the connection breaks |
//! | `early` | answers without reading the request's body |
//! | `hints` | response fields that a proxy has to look at |
//! | `websocket` | echoes WebSocket messages |
//! | `name` | the origin's name |
//! | anything else | echoes the request as JSON |

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::json;

use super::{Body, Shared, websocket};

/// What one chunk of a long body holds.
const CHUNK: usize = 16 * 1024;

pub(super) async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let number = |name: &str, default: u64| parameter(&query, name).unwrap_or(default);
    match path.rsplit('/').next().unwrap_or_default() {
        "slow" => {
            tokio::time::sleep(Duration::from_millis(number("ms", 1000))).await;
            echo(request, &shared).await
        }
        "bytes" => {
            let length = number("n", 1024);
            let mut response = Response::new(pattern(length));
            response.headers_mut().insert("content-length", HeaderValue::from(length));
            response
        }
        "stream" => Response::new(pattern(number("n", 1024))),
        "endless" => Response::new(pattern(u64::MAX)),
        "drip" => drip(number("n", 3), number("ms", 100), |count| format!("chunk {count}\n")),
        "sse" => {
            let mut response = drip(number("n", 3), number("ms", 100), |count| format!("data: {count}\n\n"));
            response.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
            response
        }
        "trailers" => trailers(),
        "status" => {
            let code = u16::try_from(number("code", 200)).unwrap_or(500);
            let mut response = text(&shared.name);
            *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            response
        }
        "break" => broken(number("n", 1000)),
        "early" => text("early"),
        "hints" => {
            let mut response = text("hints");
            for (name, value) in [
                ("connection", "x-inside, x-request-id"),
                ("x-inside", "for this hop only"),
                ("keep-alive", "timeout=5"),
                ("x-outside", "for everybody"),
                ("server", "stock"),
            ] {
                response.headers_mut().append(name, HeaderValue::from_static(value));
            }
            response
        }
        "websocket" => websocket::accept(request),
        "name" => text(&shared.name),
        _ => echo(request, &shared).await,
    }
}

/// A response with this text.
pub fn text(text: &str) -> Response<Body> {
    Response::new(full(Bytes::from(text.to_owned())))
}

/// A body that is there.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The whole request as JSON: `origin`, `method`, `target`, `version`, `host`, `headers` as a list of pairs, `length` and `sum` of the
/// body, `trailers`.
async fn echo(request: Request<Incoming>, shared: &Shared) -> Response<Body> {
    let (head, mut body) = request.into_parts();
    let (mut length, mut sum, mut trailers) = (0_u64, 0_u64, HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                length += data.len() as u64;
                sum = checksum(sum, &data);
            }
            Ok(Err(frame)) => trailers.extend(frame.into_trailers().unwrap_or_default()),
            Err(error) => {
                // Nobody will read this: the request broke off.
                let mut response = text(&error.to_string());
                *response.status_mut() = StatusCode::BAD_REQUEST;
                return response;
            }
        }
    }
    let value = json!({
        "origin": shared.name,
        "method": head.method.as_str(),
        "target": head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string),
        "version": format!("{:?}", head.version),
        "host": head.uri.authority().map(ToString::to_string).or_else(|| field(&head.headers, "host")),
        "headers": pairs(&head.headers),
        "length": length,
        "sum": sum,
        "trailers": pairs(&trailers),
    });
    let mut response = text(&value.to_string());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

/// A sum that notices bytes lost, doubled or swapped; begins with 0.
pub fn checksum(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

/// `length` bytes, chunk by chunk as they are taken.
pub fn pattern(length: u64) -> Body {
    let chunk: Bytes = (0..CHUNK).map(|at| (at % 251) as u8).collect();
    let chunks = stream::unfold(length, move |left| {
        let chunk = chunk.clone();
        async move {
            let size = left.min(CHUNK as u64);
            (size > 0).then(|| (Ok(Frame::data(chunk.slice(..size as usize))), left - size))
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}

fn drip(count: u64, pause: u64, text: impl Fn(u64) -> String + Send + 'static) -> Response<Body> {
    let chunks = stream::iter(0..count).then(move |at| {
        let chunk = Bytes::from(text(at));
        async move {
            if at > 0 {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            Ok(Frame::data(chunk))
        }
    });
    Response::new(StreamBody::new(chunks).boxed_unsync())
}

fn trailers() -> Response<Body> {
    let sum = HeaderMap::from_iter([("x-sum".parse().expect("a name"), HeaderValue::from_static("5"))]);
    let frames = stream::iter([Ok(Frame::data(Bytes::from_static(b"hello"))), Ok(Frame::trailers(sum))]);
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
    response
}

fn broken(length: u64) -> Response<Body> {
    let beginning = pattern(length).into_data_stream().map(|data| data.map(Frame::data));
    let end = stream::once(async {
        // What was said before must leave first: an error closes the connection at once.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Err(io::Error::other("the script says so"))
    });
    let mut response = Response::new(StreamBody::new(beginning.chain(end)).boxed_unsync());
    response.headers_mut().insert("content-length", HeaderValue::from(length + 1000));
    response
}

fn pairs(headers: &HeaderMap) -> Vec<[String; 2]> {
    headers
        .iter()
        .map(|(name, value)| [name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()])
        .collect()
}

fn field(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn parameter(query: &str, name: &str) -> Option<u64> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}
