//! One instance of a demo backend: a small HTTP server that says which one it is.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

/// Open connections an instance takes; a demo needs no more, and none may grow without bound.
const CONNECTIONS: usize = 256;

/// What an instance answers to a request for a path: a line of text, or `None` for "not found".
pub(super) type Answer = Arc<dyn Fn(&Request<Incoming>) -> Option<String> + Send + Sync>;

/// Binds the port of an instance.
pub(super) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| super::town::busy("TCP", address))
}

/// Serves until dropped; its connections end with it.
pub(super) async fn serve(listener: TcpListener, answer: Answer) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let answer = answer.clone();
        connections.spawn(async move {
            let service = service_fn(|request| {
                let response = respond(&request, &answer);
                async move { Ok::<_, Infallible>(response) }
            });
            // A client that breaks off is no event here.
            _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(60))
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}

fn respond(request: &Request<Incoming>, answer: &Answer) -> Response<Full<Bytes>> {
    let (status, mut text) = match answer(request) {
        Some(text) => (StatusCode::OK, text),
        None => (StatusCode::NOT_FOUND, "not found".into()),
    };
    text.push('\n');
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The sentence that every instance answers with: who, where, and what the proxy told it.
pub(super) fn sentence(name: &str, address: SocketAddr, request: &Request<Incoming>) -> String {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
    format!(
        "{name} at {address}: {} {} for {} over {}, id {}",
        request.method(),
        request.uri(),
        header("x-forwarded-for"),
        header("x-forwarded-proto"),
        header("x-request-id"),
    )
}
