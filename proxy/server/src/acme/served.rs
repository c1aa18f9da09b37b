//! Looking at what is served: a handshake with ourselves, as a client from outside would make it.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use portcullis_certs::{issued::Issued, manager::Served, settings::KeyKind, subject::Subject};
use rustls::{
    ClientConfig, SignatureScheme,
    pki_types::{CertificateDer, ServerName},
};
use smallvec::SmallVec;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::TlsConnector;

use super::in_force;
use crate::{
    shared::Shared,
    snapshot::{Listener, Snapshot},
    tls::{provider::provider, verify::TakeAny},
};

/// For one handshake with ourselves. Generous: the machine may be busy, and nobody waits for it.
const TIME: Duration = Duration::from_secs(10);

/// Shakes hands with this process.
#[derive(Debug)]
pub(super) struct Handshake {
    shared: Arc<OnceLock<Weak<Shared>>>,
}

impl Handshake {
    pub(super) fn new(shared: Arc<OnceLock<Weak<Shared>>>) -> Self {
        Self { shared }
    }
}

impl Served for Handshake {
    fn check<'a>(&'a self, issued: &'a Issued) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            let Some(snapshot) = in_force(&self.shared) else { return Err("the proxy is stopping".to_owned()) };
            for place in places(&snapshot, &issued.subject) {
                let shown = tokio::time::timeout(TIME, shown(&place, issued))
                    .await
                    .unwrap_or_else(|_| Err(format!("no handshake within {} s", TIME.as_secs())))
                    .map_err(|error| format!("listener `{}` ({}): {error}", place.listener.name, place.address))?;
                if shown != issued.certified.cert {
                    return Err(format!(
                        "listener `{}` ({}) shows another certificate; does a [[certificate]] cover this host?",
                        place.listener.name, place.address
                    ));
                }
            }
            Ok(())
        })
    }
}

/// An address of ours where `subject` is served.
struct Place {
    listener: Arc<Listener>,
    address: SocketAddr,
    /// What is asked for by SNI.
    name: ServerName<'static>,
}

/// One address of each listener that would show a client from this machine the certificate.
fn places(snapshot: &Snapshot, subject: &Subject) -> Vec<Place> {
    let mut places = Vec::new();
    for (index, listener) in snapshot.listeners.iter().enumerate() {
        let config = &listener.config;
        if listener.tls.is_none() {
            continue;
        }
        for &bound in &config.addresses {
            let address = SocketAddr::new(reachable(bound.ip()), bound.port());
            // The client's address would be this one, and the listener may not want it.
            let client = address.ip();
            if config.deny.contains(client) || !(config.allow.is_empty() || config.allow.contains(client)) {
                continue;
            }
            let (host, name) = match subject {
                Subject::Name(host) => (host.to_string(), None),
                // Any name below will do; this one says in a log whose doing it was.
                Subject::Wildcard(parent) => (format!("portcullis-check.{parent}"), None),
                // Without a name, what is shown depends on the address that a client came to.
                Subject::Address(subject) if *subject == bound.ip() || bound.ip().is_unspecified() => {
                    (String::new(), Some(ServerName::from(*subject)))
                }
                Subject::Address(_) => continue,
            };
            let passed = snapshot.passthrough.find(index, Some(&host), client, &mut SmallVec::new()).is_some();
            let name = name.or_else(|| ServerName::try_from(host).ok());
            if let (Some(name), false) = (name, passed) {
                places.push(Place { listener: listener.clone(), address, name });
                break;
            }
        }
    }
    places
}

/// Where a socket bound to `address` is reached from this machine.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// The chain that a client is shown there.
async fn shown(place: &Place, issued: &Issued) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut stream = TcpStream::connect(place.address).await.map_err(|error| error.to_string())?;
    let peer = stream.local_addr().map_err(|error| error.to_string())?.ip();
    if place.listener.config.proxy_protocol.contains(peer) {
        // Version 1 for a connection that is nobody's (the specification's section 2.1).
        stream.write_all(b"PROXY UNKNOWN\r\n").await.map_err(|error| error.to_string())?;
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(TakeAny::signed_with(provider(), schemes(issued.kind)))
        .with_no_client_auth();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(place.name.clone(), stream)
        .await
        .map_err(|error| error.to_string())?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().iter().map(|one| one.clone().into_owned());
    let chain = chain.collect();
    // A goodbye; whether it arrives is of no consequence.
    let _ = stream.shutdown().await;
    Ok(chain)
}

/// The signatures that a key of that kind makes: asking for no others, one is shown its certificate.
fn schemes(kind: KeyKind) -> Vec<SignatureScheme> {
    match kind {
        KeyKind::P256 => vec![SignatureScheme::ECDSA_NISTP256_SHA256],
        KeyKind::P384 => vec![SignatureScheme::ECDSA_NISTP384_SHA384],
        KeyKind::Rsa2048 | KeyKind::Rsa4096 => vec![
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
        ],
    }
}
