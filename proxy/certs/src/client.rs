//! HTTPS to an authority: one connection a request, everything bounded.
//!
//! instant-acme's own client keeps connections and has no deadlines; orders are rare, and one that hangs must not hold up others.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For a whole request. Authorities answer in a second or two; their finalization may take longer, and is polled for.
const TIME: Duration = Duration::from_secs(30);
/// A chain with its certificates is some 10 KiB.
const LARGEST: usize = 1 << 20;

/// A client for one order: what it was told about waiting is about that order.
#[derive(Debug, Clone)]
pub struct Client {
    tls: TlsConnectorDebug,
    told: Arc<Mutex<Option<SystemTime>>>,
}

#[derive(Clone)]
struct TlsConnectorDebug(TlsConnector);

impl std::fmt::Debug for TlsConnectorDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl Client {
    /// A client that believes certificates under `roots`.
    pub fn new(roots: Arc<RootCertStore>) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites of both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: TlsConnectorDebug(TlsConnector::from(Arc::new(config))), told: Arc::default() }
    }

    /// How long the authority last said to wait (`Retry-After` of an answer that was an error), from now.
    pub fn told_to_wait(&self) -> Option<Duration> {
        let until = (*self.told.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(until.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Asks for a directory, and looks whether it is one.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub async fn directory(self, url: &str) -> Result<(), String> {
        let request = Request::get(url).body(BodyWrapper::default()).map_err(|error| error.to_string())?;
        let response = self.send(request).await.map_err(|error| error.to_string())?;
        let (status, body) = (response.status(), response.into_body().collect().await);
        let Ok(body) = body;
        let known = serde_json::from_slice::<serde_json::Value>(&body.to_bytes());
        match known {
            Ok(directory) if directory["newOrder"].is_string() => Ok(()),
            _ => Err(format!("it answers {status} with something that is no directory")),
        }
    }

    async fn send(self, request: Request<BodyWrapper<Bytes>>) -> Result<Response<Full<Bytes>>, Error> {
        let other = |text: String| Error::Other(text.into());
        let uri = request.uri().clone();
        if uri.scheme_str() != Some("https") {
            return Err(other(format!("{uri}: an authority must be asked over https")));
        }
        let host = uri.host().ok_or_else(|| other(format!("{uri} names no host")))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(443);
        let name = ServerName::try_from(bare.clone()).map_err(|_| other(format!("{host} is no name for TLS")))?;
        let stream = TcpStream::connect((bare.as_str(), port))
            .await
            .map_err(|error| other(format!("{host}:{port}: {error}")))?;
        let stream =
            self.tls.0.connect(name, stream).await.map_err(|error| other(format!("{host}:{port}: {error}")))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let (mut head, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let body = body.to_bytes();
        if let Some(authority) = uri.authority() {
            head.headers.insert(header::HOST, HeaderValue::from_str(authority.as_str()).map_err(http::Error::from)?);
        }
        head.uri = uri.path_and_query().map_or("/", |path| path.as_str()).parse().map_err(http::Error::from)?;
        // The connection's task ends with the connection: `sender` is dropped below, and the deadline around this drops both.
        let exchange = async {
            let response = sender.send_request(Request::from_parts(head, Full::new(body))).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LARGEST).collect().await.map_err(Error::Other)?.to_bytes();
            Ok::<_, Error>(Response::from_parts(head, Full::new(body)))
        };
        let connection = async {
            let _ = connection.await;
            std::future::pending::<()>().await;
        };
        let response = tokio::select! {
            response = exchange => response?,
            () = connection => return Err(other(format!("{host}:{port} closed the connection"))),
        };
        if response.status().is_client_error() || response.status().is_server_error() {
            self.note_wait(response.status(), response.headers().get(header::RETRY_AFTER));
        }
        Ok(response)
    }

    fn note_wait(&self, _status: StatusCode, value: Option<&HeaderValue>) {
        let Some(text) = value.and_then(|value| value.to_str().ok()) else { return };
        // RFC 9110 section 10.2.3: seconds, or a date.
        let until = match text.trim().parse::<u32>() {
            Ok(seconds) => Some(SystemTime::now() + Duration::from_secs(seconds.into())),
            Err(_) => {
                time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc2822).ok().map(Into::into)
            }
        };
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        let host = request.uri().host().unwrap_or("the authority").to_owned();
        Box::pin(async move {
            match tokio::time::timeout(TIME, client.send(request)).await {
                Ok(response) => response.map(BytesResponse::from),
                Err(_) => Err(Error::Other(format!("{host} did not answer within {} s", TIME.as_secs()).into())),
            }
        })
    }
}
