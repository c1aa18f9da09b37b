//! HTTP/1.1 and HTTP/2 with hyper, one connection at a time.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri, header::HOST};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::task::JoinHandle;

use super::{Duplex, tcp, tls};
use crate::{
    origin::stock,
    scenario::{runtime, soon},
};

/// A request's body.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// One connection. Closed when dropped.
pub struct Connection {
    sender: Sender,
    driver: JoinHandle<()>,
    /// What TLS settled, where there is TLS.
    pub tls: Option<TlsFacts>,
}

/// What a handshake settled.
#[derive(Clone, Debug)]
pub struct TlsFacts {
    /// For example `TLSv1_3`.
    pub version: String,
    /// The protocol agreed on.
    pub alpn: Option<String>,
    /// The key exchange, for example `X25519MLKEM768`.
    pub key_exchange: Option<String>,
    /// Whether a session was resumed.
    pub is_resumed: bool,
    /// The leaf, DER.
    pub leaf: Vec<u8>,
}

#[derive(Clone)]
enum Sender {
    One(Arc<tokio::sync::Mutex<http1::SendRequest<Body>>>),
    Two(http2::SendRequest<Body>),
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The trailer fields.
    pub trailers: HeaderMap,
}

/// Why there is no whole response.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Connection {
    /// HTTP/1.1 without TLS.
    ///
    /// # Panics
    /// When nobody listens there.
    pub async fn h1(address: SocketAddr) -> Self {
        Self::over_h1(tcp(address).await).await
    }

    /// HTTP/2 with prior knowledge.
    ///
    /// # Panics
    /// When nobody listens there, or does not speak it.
    pub async fn h2c(address: SocketAddr) -> Self {
        Self::over_h2(tcp(address).await).await
    }

    /// TLS, and what ALPN agrees on.
    ///
    /// # Panics
    /// When the handshake fails.
    pub async fn tls(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Self {
        let stream = tls(address, name, config).await.expect("the handshake succeeds");
        let facts = TlsFacts::of(stream.get_ref().1);
        let mut connection =
            if facts.alpn.as_deref() == Some("h2") { Self::over_h2(stream).await } else { Self::over_h1(stream).await };
        connection.tls = Some(facts);
        connection
    }

    /// HTTP/1.1 over a connection that is there.
    ///
    /// # Panics
    /// Never: HTTP/1.1 begins with the first request.
    pub async fn over_h1(stream: impl Duplex + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("nothing is sent yet");
        let driver = runtime().spawn(async move { drop(connection.with_upgrades().await) });
        Self { sender: Sender::One(Arc::new(tokio::sync::Mutex::new(sender))), driver, tls: None }
    }

    async fn over_h2(stream: impl Duplex + 'static) -> Self {
        let io = TokioIo::new(stream);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2 begins");
        let driver = runtime().spawn(async move { drop(connection.await) });
        Self { sender: Sender::Two(sender), driver, tls: None }
    }

    /// Sends a request (with an absolute URI, see [`request`]) and gives the response when its head is there.
    ///
    /// # Errors
    /// What broke.
    ///
    /// # Panics
    /// When the head does not come soon.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Failure> {
        soon("the response's head", self.send_patiently(request)).await
    }

    /// [`send`](Self::send) without a limit on time.
    ///
    /// # Errors
    /// What broke.
    pub async fn send_patiently(&self, mut request: Request<Body>) -> Result<Response<Incoming>, Failure> {
        match self.sender.clone() {
            Sender::One(sender) => {
                to_origin_form(&mut request);
                let response = {
                    let mut sender = sender.lock().await;
                    sender.ready().await?;
                    sender.send_request(request)
                };
                Ok(response.await?)
            }
            Sender::Two(mut sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
        }
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// What broke.
    ///
    /// # Panics
    /// When the response does not come soon.
    pub async fn try_fetch(&self, request: Request<Body>) -> Result<Answer, Failure> {
        let response = self.send(request).await?;
        soon("the response's body", Answer::read(response)).await
    }

    /// [`try_fetch`](Self::try_fetch) for what must not break.
    ///
    /// # Panics
    /// When it does.
    pub async fn fetch(&self, request: Request<Body>) -> Answer {
        let line = format!("{} {}", request.method(), request.uri());
        self.try_fetch(request).await.unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// GET.
    ///
    /// # Panics
    /// When there is no whole response.
    pub async fn get(&self, host: &str, target: &str) -> Answer {
        self.fetch(request("GET", host, target)).await
    }

    /// Whether the other side has closed, or is about to.
    pub fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => sender.try_lock().is_ok_and(|sender| sender.is_closed()),
            Sender::Two(sender) => sender.is_closed(),
        }
    }

    /// The task behind it, which ends with the connection.
    pub fn driver(&self) -> &JoinHandle<()> {
        &self.driver
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// One GET on a connection of its own.
///
/// # Panics
/// When there is no whole response.
pub async fn get(address: SocketAddr, host: &str, target: &str) -> Answer {
    Connection::h1(address).await.get(host, target).await
}

/// A request without a body. The scheme of its URI is a formality.
///
/// # Panics
/// When the parts are not those of a request.
pub fn request(method: &str, host: &str, target: &str) -> Request<Body> {
    request_with_body(method, host, target, stock::full(Bytes::new()))
}

/// A request with a body.
///
/// # Panics
/// When the parts are not those of a request.
pub fn request_with_body(method: &str, host: &str, target: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("https://{host}{target}"))
        .body(body)
        .expect("method, host and target are those of a request")
}

fn to_origin_form(request: &mut Request<Body>) {
    if let Some(host) = request.uri().authority().and_then(|authority| authority.as_str().parse().ok()) {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    let target = request.uri().path_and_query().cloned();
    *request.uri_mut() = target.map_or_else(|| Uri::from_static("/"), Uri::from);
}

impl Answer {
    /// Reads the whole body.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn read(response: Response<Incoming>) -> Result<Self, Failure> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        Ok(Self { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes(), trailers })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, as the stock origin echoes.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// A header field's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The values of a field of the request, as the stock origin saw it.
    pub fn seen(&self, name: &str) -> Vec<String> {
        let value = self.json();
        let fields = value["headers"].as_array().cloned().unwrap_or_default();
        fields.iter().filter(|field| field[0] == name).filter_map(|field| field[1].as_str().map(Into::into)).collect()
    }
}

impl TlsFacts {
    /// Of a connection whose handshake is complete.
    pub fn of(connection: &rustls::ClientConnection) -> Self {
        Self {
            version: connection.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default(),
            alpn: connection.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned()),
            key_exchange: connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name())),
            is_resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            leaf: connection
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(|leaf| leaf.to_vec())
                .unwrap_or_default(),
        }
    }
}
