use std::{path::PathBuf, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::TlsAcceptor;

use super::{
    super::{
        server::{Resumption as ServerResumption, ServerTls},
        store::Store,
        testing::{Files, listener_tls},
    },
    *,
};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn backend(ca: Option<PathBuf>) -> BackendTls {
    BackendTls { ca, sni: None, verify: true }
}

/// An endpoint that shows `name` to everybody.
fn endpoint(files: &Files, name: &str) -> ServerTls {
    let mut listener = listener_tls();
    listener.unknown_sni =
        portcullis_config::listener::UnknownSni::Certificate(portcullis_config::names::CertificateName::new(name));
    ServerTls::new(&listener, Arc::new(Store::new(files.load(&[name]))), &ServerResumption::new().unwrap())
}

/// Connects once; the endpoint answers "hi".
async fn connect(tls: &ClientTls, endpoint: &ServerTls, host: &str, offer: Offer) -> Result<(bool, bool), Error> {
    let (near, far) = duplex(16 * 1024);
    let acceptor = TlsAcceptor::from(endpoint.config().clone());
    let serving = async {
        if let Ok(mut stream) = acceptor.accept(far).await {
            let _ = stream.write_all(b"hi").await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    };
    let connecting = async {
        let mut stream = tls.connect(near, host, offer, soon()).await?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"hi");
        let _ = stream.shutdown().await;
        let resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        Ok((is_h2(&stream), resumed))
    };
    tokio::join!(connecting, serving).0
}

#[tokio::test]
async fn verifies_against_a_file_offers_what_is_asked_and_resumes() {
    let files = Files::new();
    files.ecdsa("api", &["api.internal", "192.0.2.9"]);
    let endpoint = endpoint(&files, "api");
    let tls = ClientTls::new(&backend(Some(files.path("ca.pem")))).unwrap();
    assert_eq!(connect(&tls, &endpoint, "api.internal", Offer::Http).await.unwrap(), (true, false));
    assert_eq!(connect(&tls, &endpoint, "api.internal.", Offer::Http1).await.unwrap(), (false, true));
    assert_eq!(connect(&tls, &endpoint, "192.0.2.9", Offer::Bytes).await.unwrap(), (false, false));
}

#[tokio::test]
async fn a_certificate_that_is_not_accepted_says_why() {
    let files = Files::new();
    let others = Files::new();
    files.ecdsa("api", &["api.internal", "*.api.internal"]);
    let shown = endpoint(&files, "api");
    let tls = ClientTls::new(&backend(Some(files.path("ca.pem")))).unwrap();
    let error = connect(&tls, &shown, "other.internal", Offer::Http).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (Kind::TlsCertificateError, Retry::Unsent));
    assert!(error.detail.contains("is not for `other.internal` but for "), "{error}");
    assert!(error.detail.contains("api.internal"), "{error}");

    let stranger = ClientTls::new(&backend(Some(others.path("ca.pem")))).unwrap();
    let error = connect(&stranger, &shown, "api.internal", Offer::Http).await.unwrap_err();
    assert!(error.detail.contains("an authority that is not known here"), "{error}");

    files.issue("old", &["old.internal"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let error = connect(&tls, &endpoint(&files, "old"), "old.internal", Offer::Http).await.unwrap_err();
    assert!(error.detail.contains("has expired, "), "{error}");
}

#[tokio::test]
async fn the_configured_name_is_the_one_verified() {
    let files = Files::new();
    files.ecdsa("api", &["api.internal"]);
    let endpoint = endpoint(&files, "api");
    let named = BackendTls { sni: Some("api.internal".into()), ..backend(Some(files.path("ca.pem"))) };
    let tls = ClientTls::new(&named).unwrap();
    connect(&tls, &endpoint, "10.0.0.1", Offer::Http).await.unwrap();
    let wrong = BackendTls { sni: Some("no name".into()), ..named };
    assert_eq!(ClientTls::new(&wrong).unwrap_err(), "`no name` is no host name that TLS can verify");
}

#[tokio::test]
async fn without_verification_any_certificate_will_do() {
    let files = Files::new();
    files.ecdsa("api", &["api.internal"]);
    let endpoint = endpoint(&files, "api");
    let tls = ClientTls::new(&BackendTls { verify: false, ..backend(None) }).unwrap();
    connect(&tls, &endpoint, "anything.example", Offer::Http).await.unwrap();
}

#[tokio::test]
async fn plain_http_silence_and_hanging_up_are_told_apart() {
    let files = Files::new();
    let tls = ClientTls::new(&backend(Some(files.path("ca.pem")))).unwrap();

    let (near, mut far) = duplex(16 * 1024);
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let error = tls.connect(near, "api", Offer::Http, soon()).await.unwrap_err();
    assert_eq!(error.kind, Kind::TlsProtocolError);
    assert!(error.detail.contains("probably plain HTTP"), "{error}");

    let (near, _far) = duplex(16 * 1024);
    let error = tls.connect(near, "api", Offer::Http, Instant::now() + Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(error.kind, Kind::ConnectionTimeout);

    let (near, mut far) = duplex(16 * 1024);
    let hanging_up = async {
        far.read_exact(&mut [0; 64]).await.unwrap();
        far.shutdown().await.unwrap();
    };
    let (result, ()) = tokio::join!(tls.connect(near, "api", Offer::Http, soon()), hanging_up);
    let error = result.unwrap_err();
    assert_eq!(error.kind, Kind::ConnectionTerminated);
    assert!(error.detail.contains("does it speak TLS on this port?"), "{error}");

    let (near, mut far) = duplex(16 * 1024);
    far.write_all(&[21, 3, 3, 0, 2, 2, 112]).await.unwrap();
    let error = tls.connect(near, "api", Offer::Http, soon()).await.unwrap_err();
    assert_eq!(error.kind, Kind::TlsAlertReceived);
    assert!(error.detail.contains("it does not serve that name"), "{error}");
}

#[test]
fn a_bad_authority_file_is_named() {
    let files = Files::new();
    let error = ClientTls::new(&backend(Some(files.path("gone.pem")))).unwrap_err();
    assert!(error.starts_with("cannot read ") && error.contains("gone.pem"), "{error}");
    files.write("bad.pem", "nothing");
    let error = ClientTls::new(&backend(Some(files.path("bad.pem")))).unwrap_err();
    assert!(error.contains("bad.pem has no certificate"), "{error}");
}

#[test]
fn changed_authorities_are_noticed() {
    let files = Files::new();
    let one = ClientTls::new(&backend(Some(files.path("ca.pem")))).unwrap();
    let same = ClientTls::new(&backend(Some(files.path("ca.pem")))).unwrap();
    assert_eq!(one.authorities(), same.authorities());
    let other = Files::new();
    let two = ClientTls::new(&backend(Some(other.path("ca.pem")))).unwrap();
    assert_ne!(one.authorities(), two.authorities());
}
