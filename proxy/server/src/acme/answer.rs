//! What is said to those who come to check a challenge, before anybody else is asked about them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Response, header};
use portcullis_certs::answers::{ACME_TLS, HTTP_PATH};
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsAcceptor;

use super::Acme;
use crate::{
    net::{hello::Hello, rewind::Rewind},
    tls::provider::provider,
};

/// The answer to http-01 (RFC 8555 section 8.3), where `path` asks for a token that is being proved now. Anything else is somebody else's.
pub fn http01(acme: &Acme, method: &Method, path: &str) -> Option<Response<Bytes>> {
    let token = path.strip_prefix(HTTP_PATH)?;
    if !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let authorization = acme.manager.load().as_ref()?.manager.answers().token(token)?;
    let mut response = Response::new(Bytes::from(authorization.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

/// The certificate for a handshake that comes to check tls-alpn-01 (RFC 8737 section 4: it offers nothing but `acme-tls/1`) for a name that is
/// being proved now. Anything else is somebody else's.
pub fn tls_alpn01(acme: &Acme, hello: &Hello) -> Option<Challenge> {
    let mut offered = hello.alpn();
    if offered.next() != Some(ACME_TLS) || offered.next().is_some() {
        return None;
    }
    let key = acme.manager.load().as_ref()?.manager.answers().certificate(hello.sni.as_deref()?)?;
    Some(Challenge(key))
}

/// A handshake to be answered.
#[derive(Debug)]
pub struct Challenge(Arc<CertifiedKey>);

impl Challenge {
    /// Shakes hands over `stream`, of which `received` was read, and closes: nothing is said inside (RFC 8737 section 3).
    ///
    /// # Errors
    /// What went wrong with the handshake, as a sentence.
    pub async fn answer<IO>(self, stream: IO, received: BytesMut, deadline: Instant) -> Result<(), String>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Only(self.0)));
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
        config.send_tls13_tickets = 0;
        let stream = Rewind::new(received.freeze(), stream);
        let work = async {
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
            stream.shutdown().await
        };
        match timeout_at(deadline, work).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the handshake was not over in time".to_owned()),
        }
    }
}

/// Shows one certificate, whatever is asked for.
#[derive(Debug)]
pub struct Only(pub Arc<CertifiedKey>);

impl ResolvesServerCert for Only {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
