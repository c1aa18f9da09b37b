//! TLS towards endpoints.

use std::{
    io,
    path::Path,
    sync::{Arc, LazyLock},
};

use portcullis_config::backend::BackendTls;
use rustls::{
    CertificateError, ClientConfig, Error as TlsError, InvalidMessage, RootCertStore,
    client::{Resumption, WebPkiServerVerifier},
    pki_types::ServerName,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    certificates::{parse_chain, read_file},
    handshake::describe,
    provider::{Digest, digest, provider},
    verify::TakeAny,
};
use crate::error::{Error, Kind, Retry};

/// How a backend's endpoints are spoken to over TLS.
#[derive(Clone, Debug)]
pub struct ClientTls {
    http: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    bytes: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
    authorities: Digest,
    warnings: Vec<String>,
}

/// What is offered by ALPN (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// `h2`, then `http/1.1`.
    Http,
    /// `http/1.1` alone (upgrades need it).
    Http1,
    /// Nothing: the bytes inside are the client's.
    Bytes,
}

impl ClientTls {
    /// Reads the authority file, if one is configured (blocks). The error is one sentence that names the file.
    pub fn new(backend: &BackendTls) -> Result<Self, String> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites of both versions");
        let mut warnings = Vec::new();
        let mut authorities = Digest::default();
        let builder = if backend.verify {
            let roots = match &backend.ca {
                Some(path) => {
                    let (roots, contents) = read_authorities(path)?;
                    authorities = contents;
                    roots
                }
                None => {
                    warnings.clone_from(&SYSTEM.problems);
                    system_roots()?
                }
            };
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
                .build()
                .map_err(|error| format!("no certificate can be verified: {error}"))?;
            builder.with_webpki_verifier(verifier)
        } else {
            builder.dangerous().with_custom_certificate_verifier(TakeAny::new(provider()))
        };
        let mut config = builder.with_no_client_auth();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        let name = match &backend.sni {
            None => None,
            Some(name) => {
                Some(server_name(name).ok_or_else(|| format!("`{name}` is no host name that TLS can verify"))?)
            }
        };
        Ok(Self {
            http: offering(&[b"h2", b"http/1.1"]),
            http1: offering(&[b"http/1.1"]),
            bytes: offering(&[]),
            name,
            authorities,
            warnings,
        })
    }

    /// Sentences for the log: authorities of the system that could not be read.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// SHA-256 over the authority file, zeros without one: a reload that finds it changed must not keep connections.
    pub fn authorities(&self) -> &[u8; 32] {
        &self.authorities
    }

    /// Handshakes over `stream` with an endpoint known as `host` (name or address), which is sent as SNI and verified unless
    /// the configuration says another name. Waits until `deadline` at most; dropped midway, nothing is left behind.
    /// Every error may be retried: no request was sent.
    pub async fn connect<IO>(
        &self,
        stream: IO,
        host: &str,
        offer: Offer,
        deadline: Instant,
    ) -> Result<TlsStream<IO>, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => server_name(host).ok_or_else(|| {
                Error::proxy(
                    Kind::ProxyConfigurationError,
                    format!("`{host}` is no name that TLS can verify; set `tls.sni`"),
                )
            })?,
        };
        let config = match offer {
            Offer::Http => &self.http,
            Offer::Http1 => &self.http1,
            Offer::Bytes => &self.bytes,
        };
        match timeout_at(deadline, TlsConnector::from(config.clone()).connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(explain(&error, host)),
            Err(_) => {
                Err(failed(Kind::ConnectionTimeout, format!("the TLS handshake with `{host}` was not over in time")))
            }
        }
    }
}

/// Whether `h2` was agreed on.
pub fn is_h2<IO>(stream: &TlsStream<IO>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.trim_end_matches('.').to_owned()).ok()
}

struct SystemRoots {
    roots: Arc<RootCertStore>,
    problems: Vec<String>,
}

/// Read once per process: some 150 certificates, a few milliseconds.
static SYSTEM: LazyLock<SystemRoots> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Stores of real systems hold a few that no longer parse; those are not worth a line in every log.
    roots.add_parsable_certificates(found.certs);
    let problems = found.errors.iter().map(|error| format!("reading the system's authorities: {error}")).collect();
    SystemRoots { roots: Arc::new(roots), problems }
});

pub(crate) fn system_roots() -> Result<Arc<RootCertStore>, String> {
    if SYSTEM.roots.is_empty() {
        return Err(
            "this system has no certificate authorities; install `ca-certificates`, or name a file in `tls.ca`".into(),
        );
    }
    Ok(SYSTEM.roots.clone())
}

/// The roots in a PEM file, and its digest.
pub(crate) fn read_authorities(path: &Path) -> Result<(Arc<RootCertStore>, Digest), String> {
    let file = path.display();
    let bytes = read_file(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in parse_chain(path, &bytes)? {
        roots.add(certificate).map_err(|error| format!("{file}: a certificate in it is no authority: {error}"))?;
    }
    Ok((Arc::new(roots), digest([&bytes[..]])))
}

fn failed(kind: Kind, detail: String) -> Error {
    Error::backend(kind, Retry::Unsent, detail)
}

fn explain(error: &io::Error, host: &str) -> Error {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => failed(
                Kind::ConnectionTerminated,
                format!("`{host}` closed during the TLS handshake; does it speak TLS on this port?"),
            ),
            _ => failed(Kind::ConnectionTerminated, format!("during the TLS handshake with `{host}`: {error}")),
        };
    };
    match error {
        TlsError::InvalidCertificate(problem) => {
            failed(Kind::TlsCertificateError, format!("the certificate of `{host}` {}", explain_certificate(problem)))
        }
        TlsError::AlertReceived(alert) => {
            failed(Kind::TlsAlertReceived, format!("`{host}` refused: {}", describe(*alert)))
        }
        // What an HTTP server answers to a ClientHello, `HTTP/1.1 400`, is a record of type 0x48 to TLS.
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => failed(
            Kind::TlsProtocolError,
            format!("`{host}` answered something that is not TLS, probably plain HTTP; try `http://` or another port"),
        ),
        TlsError::NoApplicationProtocol => {
            failed(Kind::TlsProtocolError, format!("`{host}` chose a protocol (ALPN) that was not offered"))
        }
        other => failed(Kind::TlsProtocolError, format!("the TLS handshake with `{host}` failed: {other}")),
    }
}

fn explain_certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::Expired => "has expired".into(),
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / (24 * 3600);
            format!("has expired, {days} days ago")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; is the clock right?".into()
        }
        CertificateError::UnknownIssuer => {
            "is signed by an authority that is not known here; name that authority's file in `tls.ca`".into()
        }
        CertificateError::BadSignature => {
            "is signed by an authority that has a known one's name but another key; is the file in `tls.ca` out of date?".into()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented = presented.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
            let presented = if presented.is_empty() { "nobody".to_owned() } else { presented };
            format!("is not for `{}` but for {presented}; set `tls.sni`", expected.to_str())
        }
        CertificateError::NotValidForName => "is for another name; set `tls.sni`".into(),
        other => format!("is not accepted: {other}"),
    }
}

/// Sessions kept for resumption per backend, by name.
const SESSIONS: usize = 256;
/// A certificate may name a hundred hosts; the log needs a few to recognise it.
const NAMES_SHOWN: usize = 5;

#[cfg(test)]
mod tests;
