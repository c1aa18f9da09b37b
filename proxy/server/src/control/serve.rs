//! Answering on the control socket.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{CertsRequest, ExplainRequest, Failure, RecordRequest, Reply, Request, Socket, protocol::REQUEST_BYTES};

/// Clients at a time; more wait in the socket's backlog. Each is bounded in time, so none waits for ever.
const CLIENTS: usize = 16;

/// How long a client may take to send its line, and to take the reply.
const TRANSFER: Duration = Duration::from_secs(10);

/// How long an answer may take: a reload loads certificates, and look-ups wait for nameservers.
const ANSWER: Duration = Duration::from_secs(120);

/// What the running process can be asked. Answers are JSON; the commands render them.
///
/// Futures may be dropped midway: a client that goes away, or the process's end, does that.
pub trait Control: Send + Sync + 'static {
    /// How the process is doing.
    fn status(&self) -> BoxFuture<'_, Value>;

    /// Reads the configuration again. What changed, or why the old one serves on.
    fn reload(&self) -> BoxFuture<'_, Result<Value, Failure>>;

    /// The record of a finished exchange, where one of the workers still remembers it.
    fn recall<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Option<Value>>;

    /// What would become of a request.
    fn explain<'a>(&'a self, request: &'a ExplainRequest) -> BoxFuture<'a, Result<Value, Failure>>;

    /// A name as the proxy sees it; with `service`, its SRV records.
    fn dns<'a>(&'a self, name: &'a str, service: bool) -> BoxFuture<'a, Result<Value, Failure>>;

    /// Something about ordered certificates.
    fn certs<'a>(&'a self, request: &'a CertsRequest) -> BoxFuture<'a, Result<Value, Failure>>;

    /// The next exchanges, with their bodies.
    fn record<'a>(&'a self, request: &'a RecordRequest) -> BoxFuture<'a, Result<Value, Failure>>;
}

/// Answers until dropped; then every client's task ends with it.
///
/// # Errors
/// Where the socket cannot be given to the runtime this is called in.
pub async fn serve(socket: &Socket, control: Arc<impl Control>) -> std::io::Result<()> {
    let listener = UnixListener::from_std(socket.listener.try_clone()?)?;
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if clients.len() < CLIENTS => match accepted {
                Ok((stream, _)) => {
                    let control = control.clone();
                    clients.spawn(async move { answer(stream, &*control).await });
                }
                Err(error) => {
                    // Out of descriptors, most likely; accepting again at once would spin.
                    tracing::warn!(%error, "control socket: cannot accept");
                    sleep(Duration::from_millis(100)).await;
                }
            },
            Some(ended) = clients.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "control socket: client gone"),
                Err(error) => tracing::error!(%error, "control socket: a request ended in a panic"),
            },
        }
    }
}

async fn answer(mut stream: UnixStream, control: &impl Control) -> std::io::Result<()> {
    let reply = match timeout(TRANSFER, read_line(&mut stream)).await {
        Err(_) => refuse("the request did not arrive in time".into()),
        Ok(Err(error)) => return Err(error),
        Ok(Ok(None)) => refuse(format!("a request is one line of at most {REQUEST_BYTES} bytes")),
        Ok(Ok(Some(line))) => match serde_json::from_slice(&line) {
            Err(error) => refuse(format!("not a request this version knows: {error}")),
            Ok(request) => match timeout(ANSWER, carry_out(control, request)).await {
                Ok(reply) => reply,
                Err(_) => refuse(format!("no answer within {} seconds", ANSWER.as_secs())),
            },
        },
    };
    let mut line = serde_json::to_vec(&reply)?;
    line.push(b'\n');
    timeout(TRANSFER, async {
        stream.write_all(&line).await?;
        stream.shutdown().await
    })
    .await?
}

/// The bytes before the first line feed; `None` where there are too many, or the client ended before it.
async fn read_line(stream: &mut UnixStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let searched = line.len();
        if stream.read_buf(&mut line).await? == 0 {
            return Ok(None);
        }
        if let Some(at) = memchr::memchr(b'\n', &line[searched..]) {
            line.truncate(searched + at);
            return Ok(Some(line));
        }
        if line.len() >= REQUEST_BYTES {
            return Ok(None);
        }
    }
}

async fn carry_out(control: &impl Control, request: Request) -> Reply {
    let answer = match &request {
        Request::Status {} => Ok(control.status().await),
        Request::Reload {} => control.reload().await,
        Request::Recall { id } => control.recall(id).await.ok_or_else(|| {
            Failure::from(format!(
                "no exchange `{id}` among those remembered; `recent` in [server] says how many each worker keeps"
            ))
        }),
        Request::Explain(request) => control.explain(request).await,
        Request::Dns { name, service } => control.dns(name, *service).await,
        Request::Record(request) => control.record(request).await,
        Request::Certs(request) => control.certs(request).await,
    };
    answer.map_or_else(Reply::Error, Reply::Ok)
}

fn refuse(message: String) -> Reply {
    Reply::Error(message.into())
}
