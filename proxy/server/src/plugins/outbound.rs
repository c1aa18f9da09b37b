//! Requests that plugins make to backends: through the same pools, with the same health and balance as those of clients.

use std::{
    future::poll_fn,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Response, header, uri::PathAndQuery};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use portcullis_plugin::{Outbound, OutboundError};
use smallvec::SmallVec;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use crate::{
    backend::{
        Endpoint,
        connect::Client,
        pool::{self, Leased, Wanted},
    },
    error::{Error, Retry},
    forward,
    http::hop::{self, Hop},
    upload::{RequestBody, Upload},
    worker::Worker,
};

/// Requests of one worker's plugins that may be under way. Others wait in the channel, and when that is full are told so.
const OPEN_MAX: usize = 256;

/// Requests that may wait for one worker to take them.
pub const QUEUE: usize = 256;

/// Serves the requests of a worker's plugins until nobody can make one any more. Dropping the future ends those under way.
pub async fn serve(worker: Rc<Worker>, mut inbox: mpsc::Receiver<Outbound>) {
    let places = Arc::new(Semaphore::new(OPEN_MAX));
    let mut open = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let asked = loop {
            tokio::select! {
                biased;
                Some(_) = open.join_next() => {}
                asked = inbox.recv() => break asked,
            }
        };
        let Some(asked) = asked else { return };
        let worker = worker.clone();
        open.spawn_local(async move {
            answer(&worker, asked).await;
            drop(place);
        });
    }
}

async fn answer(worker: &Worker, asked: Outbound) {
    let Outbound { plugin, backend, request, deadline, body_max, mut reply } = asked;
    let response = {
        let sending = send(worker, &plugin, &backend, request, deadline, body_max);
        let mut sending = pin!(tokio::time::timeout_at(deadline.into(), sending));
        // Nobody waits for the answer once the guest is gone.
        poll_fn(|cx| match reply.poll_closed(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => sending.as_mut().poll(cx).map(Some),
        })
        .await
    };
    if let Some(response) = response {
        let _ = reply.send(response.unwrap_or(Err(OutboundError::Timeout)));
    }
}

async fn send(
    worker: &Worker,
    plugin: &str,
    name: &str,
    request: http::Request<Bytes>,
    deadline: Instant,
    body_max: usize,
) -> Result<Response<Bytes>, OutboundError> {
    let view = worker.snapshot();
    let Some(backend) = view.backends.get(name).cloned() else {
        return Err(OutboundError::Denied(format!("there is no backend {name}")));
    };
    drop(view);
    let (mut parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    hop::strip(&mut parts.headers);
    let names_host = parts.headers.contains_key(header::HOST);
    if !body.is_empty() {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let body = if body.is_empty() { RequestBody::Empty } else { RequestBody::Whole(Some(body)) };
    let mut outbound = forward::Outbound::new(parts, target, Hop::default(), false, body);
    // There is no client whose silence would have to be told from the backend's.
    let upload = Upload::new(0, Duration::MAX, true);
    // The connection is the proxy's own.
    let own = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let total = Some(deadline);
    let mut tried: SmallVec<[u64; 4]> = SmallVec::new();
    let mut left = backend.config.retries;
    let (mut fresh, mut looked_again) = (false, false);
    loop {
        let now = Instant::now();
        let chosen = match backend.choose(worker.index, &tried, now) {
            Ok(chosen) => chosen,
            Err(none) => {
                if !looked_again && outbound.is_whole() {
                    looked_again = true;
                    if backend.look_again(&tried, total).await {
                        continue;
                    }
                }
                return Err(unavailable(plugin, &none));
            }
        };
        let _open = Open::at(worker, &chosen.endpoint);
        let mut reached = chosen.endpoint.clone();
        let (mut reused, mut connecting) = (false, true);
        let result = async {
            let wanted = Wanted { client: Client { address: own, local: own }, http1: false, fresh };
            let Leased { mut lease, endpoint, .. } = pool::lease(&worker.pools, &backend, &chosen, wanted).await?;
            (connecting, reused, reached) = (false, lease.reused, endpoint);
            if !names_host {
                outbound.name(&reached);
            }
            let request = outbound.take(lease.is_h2(), reached.scheme);
            let response =
                forward::send(&mut lease, request, &mut outbound, &upload, &backend, &reached, total).await?;
            Ok((response, lease))
        }
        .await;
        let error: Error = match result {
            Ok((response, lease)) => {
                backend.succeeded(&reached);
                let response = collect(response, body_max, &reached).await?;
                lease.give_back();
                return Ok(response);
            }
            Err(error) => error,
        };
        let stale = reused && error.retry != Retry::Never;
        if !stale {
            backend.failed(&chosen, &reached, &error, connecting);
        }
        let again = match error.retry {
            Retry::Unsent => outbound.is_whole(),
            Retry::Idempotent => outbound.restore(),
            Retry::Never => false,
        };
        if !again {
            return Err(unavailable(plugin, &error));
        }
        fresh = stale;
        if !stale {
            tried.push(chosen.endpoint.id);
            if left == 0 && backend.has_other(&tried, Instant::now()) {
                return Err(unavailable(plugin, &error));
            }
            left = left.saturating_sub(1);
        }
    }
}

async fn collect(
    response: Response<hyper::body::Incoming>,
    body_max: usize,
    endpoint: &Endpoint,
) -> Result<Response<Bytes>, OutboundError> {
    let (mut head, body) = response.into_parts();
    hop::strip(&mut head.headers);
    let body = Limited::new(body, body_max).collect().await.map_err(|error| match error.downcast_ref() {
        Some(LengthLimitError { .. }) => OutboundError::Size,
        None => OutboundError::Unavailable(format!("the response of {} ended before its end", endpoint.address)),
    })?;
    let mut response = Response::new(body.to_bytes());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    Ok(response)
}

/// What a plugin is told is what the log would say: its author is the operator's, or was let in by them.
fn unavailable(plugin: &str, error: &Error) -> OutboundError {
    tracing::debug!(plugin, %error, "a plugin's request failed");
    OutboundError::Unavailable(error.detail.to_string())
}

/// An exchange counted in at an endpoint.
struct Open<'a>(&'a Worker, Arc<Endpoint>);

impl<'a> Open<'a> {
    fn at(worker: &'a Worker, endpoint: &Arc<Endpoint>) -> Self {
        endpoint.opened(worker.index);
        Self(worker, endpoint.clone())
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.1.closed(self.0.index);
    }
}
