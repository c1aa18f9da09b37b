//! The handshake with a client, from its ClientHello on.

use std::{
    future::{Future, poll_fn},
    io,
    net::IpAddr,
    pin::pin,
    sync::Arc,
};

use bytes::BytesMut;
use portcullis_config::listener::TlsVersion;
use rustls::{
    AlertDescription, Error as TlsError, HandshakeKind, PeerIncompatible, ProtocolVersion, ServerConfig,
    ServerConnection,
    server::{Accepted, Acceptor},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout_at},
};
use tokio_rustls::{StartHandshake, server::TlsStream};

use super::{server::ServerTls, store::take_chosen};
use crate::{
    acme::Only,
    error::{Error, Kind},
    net::hello::Hello,
    record,
};

/// Completes the handshake that `hello` began. `received` is what was read of `stream` so far: the ClientHello and what
/// came behind it. `local`: the address that the client came to. Waits until `deadline` at most. The client is told by an alert what is wrong; dropped midway, it is not.
pub async fn accept<IO>(
    mut stream: IO,
    hello: &Hello,
    received: BytesMut,
    tls: &ServerTls,
    local: IpAddr,
    deadline: Instant,
) -> Result<(TlsStream<IO>, record::Tls), Error>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    // A client that was told an address names no host (RFC 6066 section 3).
    let of_address = if hello.sni.is_none() { tls.resolver.for_address(local) } else { None };
    if of_address.is_none() && !tls.resolver.covers(hello.sni.as_deref()) {
        // rustls would say access_denied, which tells nobody what to do.
        send(&mut stream, &alert(AlertDescription::UnrecognisedName), deadline).await;
        let detail = match &hello.sni {
            Some(name) => match tls.resolver.why_none(name) {
                Some(reason) => format!("there is no certificate for `{name}` yet: {reason}"),
                None => format!("no certificate covers `{name}`, and the listener has no default"),
            },
            None => "the client names no host, and the listener has no default certificate".to_owned(),
        };
        return Err(Error::client(Kind::TlsProtocolError, 421, detail));
    }
    let mut rest = &received[..];
    let accepted = match engine(&mut rest) {
        Ok(accepted) => accepted,
        Err((error, alert)) => {
            send(&mut stream, &alert, deadline).await;
            return Err(explain(&error, hello, tls, None));
        }
    };
    // Whatever was chosen before is another connection's.
    take_chosen();
    let config = match &of_address {
        None => tls.config.clone(),
        Some(issued) => {
            let mut config = ServerConfig::clone(&tls.config);
            config.cert_resolver = Arc::new(Only(issued.certified.clone()));
            Arc::new(config)
        }
    };
    let start = StartHandshake::from_parts(accepted, stream);
    let handshake = start.into_stream_with(config, |connection| {
        // What came behind the ClientHello (a rejected attempt at early data) is the engine's too. It cannot refuse: its buffer takes
        // more than was read here; if it did, the handshake would fail over the missing bytes.
        while !rest.is_empty() && matches!(connection.read_tls(&mut rest), Ok(1..)) {}
    });
    drop(received);
    let mut certificate = take_chosen().or_else(|| of_address.map(|issued| issued.name.clone()));
    let mut handshake = pin!(handshake);
    let result = timeout_at(
        deadline,
        poll_fn(|context| {
            let result = handshake.as_mut().poll(context);
            // After a HelloRetryRequest the resolver is asked again.
            if let Some(name) = take_chosen() {
                certificate = Some(name);
            }
            result
        }),
    )
    .await;
    match result {
        Ok(Ok(stream)) => {
            let facts = facts(stream.get_ref().1, hello, certificate);
            Ok((stream, facts))
        }
        Ok(Err(error)) => Err(explain_io(&error, hello, tls, certificate.as_deref())),
        Err(_) => Err(Error::client(Kind::ConnectionReadTimeout, 408, "the TLS handshake was not over in time")),
    }
}

/// Shows the ClientHello at the front of `bytes` to the engine, and takes what it has read away.
fn engine(bytes: &mut &[u8]) -> Result<Accepted, (TlsError, Vec<u8>)> {
    let mut acceptor = Acceptor::default();
    loop {
        match acceptor.read_tls(bytes) {
            Ok(1..) => {}
            // The caller's parser has seen a whole ClientHello; the engine sees less in it.
            Ok(0) | Err(_) => {
                return Err((
                    TlsError::General("incomplete ClientHello".into()),
                    alert(AlertDescription::DecodeError).into(),
                ));
            }
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                alert.write_all(&mut bytes).expect("a Vec takes every write");
                return Err((error, bytes));
            }
        }
    }
}

fn facts(connection: &ServerConnection, hello: &Hello, certificate: Option<Arc<str>>) -> record::Tls {
    record::Tls {
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "",
        },
        cipher: connection.negotiated_cipher_suite().map_or("", |suite| registered_name(suite.suite())),
        // The engine's word counts, not our own parser's; the shared text is taken where they agree.
        sni: match (connection.server_name(), &hello.sni) {
            (Some(theirs), Some(ours)) if theirs == &**ours => Some(ours.clone()),
            (theirs, _) => theirs.map(|name| name.trim_end_matches('.').into()),
        },
        alpn: match connection.alpn_protocol() {
            Some(b"h2") => Some("h2"),
            Some(b"http/1.1") => Some("http/1.1"),
            _ => None,
        },
        certificate,
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        ja4: None,
    }
}

/// rustls puts the version into its names of TLS 1.3 suites; the registry does not.
fn registered_name(suite: rustls::CipherSuite) -> &'static str {
    match suite {
        rustls::CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        rustls::CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or(""),
    }
}

fn explain_io(error: &io::Error, hello: &Hello, tls: &ServerTls, certificate: Option<&str>) -> Error {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        return explain(error, hello, tls, certificate);
    }
    let detail = match error.kind() {
        // Python's and Java's clients, among others, close without an alert when they do not trust a certificate.
        io::ErrorKind::UnexpectedEof => {
            "the client closed during the TLS handshake; it may not trust the certificate".into()
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the client reset the connection during the TLS handshake".into()
        }
        _ => format!("during the TLS handshake: {error}").into(),
    };
    Error { detail, ..Error::client(Kind::ConnectionTerminated, 400, "") }
}

fn explain(error: &TlsError, hello: &Hello, tls: &ServerTls, certificate: Option<&str>) -> Error {
    let (needed, code) = match tls.min_version {
        TlsVersion::Tls12 => ("TLS 1.2", 0x0303),
        TlsVersion::Tls13 => ("TLS 1.3", 0x0304),
    };
    if hello.newest < code {
        let detail = format!("the client speaks only {}; the listener needs {needed}", hello.newest_name());
        return Error::client(Kind::TlsProtocolError, 400, detail);
    }
    let named = certificate.unwrap_or("none");
    match error {
        TlsError::AlertReceived(alert) => {
            let detail = format!("the client refused: {} (certificate shown: `{named}`)", describe(*alert));
            Error::client(Kind::TlsAlertReceived, 400, detail)
        }
        TlsError::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon) => {
            let detail = format!("the client can check no signature of certificate `{named}`; add one with an RSA key");
            Error::client(Kind::TlsProtocolError, 400, detail)
        }
        TlsError::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            let detail = format!("no cipher suite in common with the client (certificate: `{named}`)");
            Error::client(Kind::TlsProtocolError, 400, detail)
        }
        other => Error::client(Kind::TlsProtocolError, 400, format!("the TLS handshake failed: {other}")),
    }
}

/// An alert in words that say what to do, for those that have a usual cause.
pub(super) fn describe(alert: AlertDescription) -> String {
    let meaning = match alert {
        AlertDescription::UnknownCA => "it does not know the authority that signed the certificate",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => "it does not accept the certificate",
        AlertDescription::CertificateExpired => "to it the certificate has expired",
        AlertDescription::UnrecognisedName => "it does not serve that name",
        AlertDescription::ProtocolVersion => "no TLS version in common",
        AlertDescription::HandshakeFailure => "no cipher, key exchange or signature in common",
        AlertDescription::CertificateRequired => "it wants a client certificate",
        AlertDescription::NoApplicationProtocol => "no application protocol (ALPN) in common",
        _ => return format!("alert {}", alert.as_str().unwrap_or("of an unknown kind")),
    };
    format!("{meaning} (alert {})", alert.as_str().unwrap_or(""))
}

/// A fatal alert in a record of its own (RFC 8446 section 6; in the clear, as before any key is agreed on).
fn alert(description: AlertDescription) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description.into()]
}

/// As far as the client takes it: it may be gone already, and that is not worth an error of its own.
async fn send<IO: AsyncWrite + Unpin>(stream: &mut IO, bytes: &[u8], deadline: Instant) {
    let sending = async {
        stream.write_all(bytes).await?;
        stream.shutdown().await
    };
    let _ = timeout_at(deadline, sending).await;
}

#[cfg(test)]
mod tests;
