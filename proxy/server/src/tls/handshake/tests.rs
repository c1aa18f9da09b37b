use std::time::Duration;

use portcullis_config::{listener::UnknownSni, names::CertificateName};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio_rustls::TlsConnector;

use super::{
    super::{
        server::Resumption,
        store::Store,
        testing::{Files, client, listener_tls},
    },
    *,
};
use crate::net::hello;

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn server(files: &Files, names: &[&str]) -> ServerTls {
    ServerTls::new(&listener_tls(), Arc::new(Store::new(files.load(names))), &Resumption::new().unwrap())
}

async fn serve(mut stream: DuplexStream, tls: &ServerTls) -> Result<(TlsStream<DuplexStream>, record::Tls), Error> {
    let mut received = BytesMut::new();
    let hello = hello::read(&mut stream, &mut received, soon()).await?;
    accept(stream, &hello, received, tls, LOCAL, soon()).await
}

/// One connection: what the client got, and what the server knows.
async fn connect(
    config: &Arc<ClientConfig>,
    name: &str,
    tls: &ServerTls,
) -> (io::Result<()>, Result<record::Tls, Error>) {
    let (near, far) = duplex(16 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = async {
        let mut stream = TlsConnector::from(config.clone()).connect(name, near).await?;
        // Reading takes the session ticket in.
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await?;
        assert_eq!(got, b"hi");
        stream.shutdown().await
    };
    let server = async {
        let (mut stream, facts) = serve(far, tls).await?;
        let _ = stream.write_all(b"hi").await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
        Ok(facts)
    };
    tokio::join!(client, server)
}

fn alert_of(result: &io::Result<()>) -> Option<AlertDescription> {
    match result.as_ref().err()?.get_ref()?.downcast_ref::<TlsError>()? {
        TlsError::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

#[tokio::test]
async fn settles_version_cipher_protocol_and_certificate() {
    let files = Files::new();
    files.ecdsa("shop", &["shop.example.com"]);
    let tls = server(&files, &["shop"]);
    let mut config = client(&files);
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let (client, facts) = connect(&Arc::new(config), "shop.example.com", &tls).await;
    client.unwrap();
    let facts = facts.unwrap();
    assert_eq!((facts.version, facts.alpn, facts.resumed), ("TLSv1.3", Some("h2"), false));
    assert!(facts.cipher.starts_with("TLS_"), "{}", facts.cipher);
    assert_eq!(facts.sni.as_deref(), Some("shop.example.com"));
    assert_eq!(facts.certificate.as_deref(), Some("shop"));
}

#[tokio::test]
async fn sessions_survive_a_reload() {
    let files = Files::new();
    files.ecdsa("shop", &["shop.example.com"]);
    let resumption = Resumption::new().unwrap();
    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12]] {
        let store = Arc::new(Store::new(files.load(&["shop"])));
        let config = Arc::new(with_versions(&files, versions));
        let before = ServerTls::new(&listener_tls(), store.clone(), &resumption);
        let (_, facts) = connect(&config, "shop.example.com", &before).await;
        assert!(!facts.unwrap().resumed);
        let after = ServerTls::new(&listener_tls(), store, &resumption);
        let (result, facts) = connect(&config, "shop.example.com", &after).await;
        result.unwrap();
        let facts = facts.unwrap();
        assert!(facts.resumed, "{versions:?}");
        assert_eq!(facts.certificate.as_deref(), Some("shop"));
    }
}

#[tokio::test]
async fn a_session_does_not_outlive_its_certificate() {
    let files = Files::new();
    files.ecdsa("shop", &["shop.example.com"]);
    let store = Arc::new(Store::new(files.load(&["shop"])));
    let tls = ServerTls::new(&listener_tls(), store.clone(), &Resumption::new().unwrap());
    let config = Arc::new(client(&files));
    connect(&config, "shop.example.com", &tls).await.0.unwrap();
    store.replace(files.load(&[]));
    let (client, facts) = connect(&config, "shop.example.com", &tls).await;
    assert_eq!(alert_of(&client), Some(AlertDescription::UnrecognisedName));
    assert!(facts.is_err());
}

#[tokio::test]
async fn an_unknown_name_is_refused_or_gets_the_default() {
    let files = Files::new();
    files.ecdsa("shop", &["shop.example.com"]);
    let store = Arc::new(Store::new(files.load(&["shop"])));
    let resumption = Resumption::new().unwrap();
    let config = Arc::new(client(&files));
    let tls = ServerTls::new(&listener_tls(), store.clone(), &resumption);
    let (client, facts) = connect(&config, "other.example", &tls).await;
    assert_eq!(alert_of(&client), Some(AlertDescription::UnrecognisedName));
    assert_eq!(&*facts.unwrap_err().detail, "no certificate covers `other.example`, and the listener has no default");

    let mut listener = listener_tls();
    listener.unknown_sni = UnknownSni::Certificate(CertificateName::new("shop"));
    let tls = ServerTls::new(&listener, store, &resumption);
    let (client, facts) = connect(&config, "other.example", &tls).await;
    // The client does not take it for another name, and says so.
    assert!(client.is_err());
    let error = facts.unwrap_err();
    assert_eq!(error.kind, Kind::TlsAlertReceived, "{error}");
    assert!(error.detail.contains("certificate shown: `shop`"), "{error}");
}

#[tokio::test]
async fn says_which_version_was_missing() {
    let files = Files::new();
    files.ecdsa("shop", &["shop.example.com"]);
    let mut listener = listener_tls();
    listener.min_version = TlsVersion::Tls13;
    let tls = ServerTls::new(&listener, Arc::new(Store::new(files.load(&["shop"]))), &Resumption::new().unwrap());
    let config = Arc::new(with_versions(&files, &[&rustls::version::TLS12]));
    let (client, facts) = connect(&config, "shop.example.com", &tls).await;
    assert_eq!(alert_of(&client), Some(AlertDescription::ProtocolVersion));
    assert_eq!(&*facts.unwrap_err().detail, "the client speaks only TLS 1.2; the listener needs TLS 1.3");
}

#[tokio::test]
async fn a_hello_that_the_engine_refuses_gets_its_alert() {
    let files = Files::new();
    files.ecdsa("shop", &["old.example"]);
    let tls = server(&files, &["shop"]);
    // TLS 1.0, one suite, a name, no signature algorithms.
    let mut hello = vec![22, 3, 1, 0, 67, 1, 0, 0, 63, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 47, 1, 0, 0, 20, 0, 0, 0, 16, 0, 14, 0, 0, 11]);
    hello.extend(b"old.example");
    hello[4] = (hello.len() - 5) as u8;
    hello[8] = (hello.len() - 9) as u8;
    let (mut near, far) = duplex(1024);
    near.write_all(&hello).await.unwrap();
    let error = serve(far, &tls).await.unwrap_err();
    assert_eq!(&*error.detail, "the client speaks only TLS 1.0; the listener needs TLS 1.2");
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer[..2], [21, 3], "{answer:?}");
}

#[tokio::test]
async fn a_client_that_stalls_ends_at_the_deadline_and_one_that_goes_at_once() {
    let files = Files::new();
    files.ecdsa("shop", &["shop.example.com"]);
    let tls = server(&files, &["shop"]);
    for stalls in [true, false] {
        let name = ServerName::try_from("shop.example.com").unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(client(&files)), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        let (mut near, mut far) = duplex(16 * 1024);
        near.write_all(&bytes).await.unwrap();
        let mut received = BytesMut::new();
        let hello = hello::read(&mut far, &mut received, soon()).await.unwrap();
        let deadline = Instant::now() + Duration::from_millis(30);
        let mut near = Some(near);
        if !stalls {
            near.as_mut().unwrap().shutdown().await.unwrap();
        }
        let error = accept(far, &hello, received, &tls, LOCAL, deadline).await.unwrap_err();
        let expected = if stalls { Kind::ConnectionReadTimeout } else { Kind::ConnectionTerminated };
        assert_eq!(error.kind, expected, "{error}");
    }
}

#[tokio::test]
async fn bytes_behind_the_hello_are_not_lost() {
    let files = Files::new();
    files.ecdsa("shop", &["shop.example.com"]);
    let tls = server(&files, &["shop"]);
    let name = ServerName::try_from("shop.example.com").unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(client(&files)), name).unwrap();
    let (mut near, mut far) = duplex(64 * 1024);
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    // A change_cipher_spec may come at any time (RFC 8446 section 5) and here comes with the hello, cut in two.
    bytes.extend([20, 3, 3, 0]);
    near.write_all(&bytes).await.unwrap();
    let mut received = BytesMut::new();
    let hello = hello::read(&mut far, &mut received, soon()).await.unwrap();
    assert_eq!(received.len(), bytes.len());
    let client = async {
        near.write_all(&[1, 1]).await.unwrap();
        while connection.is_handshaking() || connection.wants_write() {
            let mut out = Vec::new();
            while connection.wants_write() {
                connection.write_tls(&mut out).unwrap();
            }
            near.write_all(&out).await.unwrap();
            if connection.is_handshaking() {
                let mut chunk = vec![0; 4096];
                let read = near.read(&mut chunk).await.unwrap();
                let mut chunk = &chunk[..read];
                while !chunk.is_empty() {
                    connection.read_tls(&mut chunk).unwrap();
                    connection.process_new_packets().unwrap();
                }
            }
        }
    };
    let (result, ()) = tokio::join!(accept(far, &hello, received, &tls, LOCAL, soon()), client);
    assert_eq!(result.unwrap().1.version, "TLSv1.3");
}

#[tokio::test]
async fn old_clients_are_shown_rsa_in_a_real_handshake() {
    let files = Files::new();
    files.ecdsa("ecdsa", &["shop.example.com"]);
    files.rsa("rsa", &["shop.example.com"]);
    let tls = server(&files, &["ecdsa", "rsa"]);
    let (_, facts) = connect(&Arc::new(client(&files)), "shop.example.com", &tls).await;
    assert_eq!(facts.unwrap().certificate.as_deref(), Some("ecdsa"));

    // A client whose suites are all for RSA keys, though its signature algorithms are not.
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| suite.suite() == rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256);
    let mut roots = rustls::RootCertStore::empty();
    let authority = rustls::pki_types::pem::PemObject::from_pem_file(files.path("ca.pem")).unwrap();
    roots.add(authority).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (client, facts) = connect(&Arc::new(config), "shop.example.com", &tls).await;
    client.unwrap();
    let facts = facts.unwrap();
    assert_eq!(facts.certificate.as_deref(), Some("rsa"));
    assert_eq!((facts.version, facts.cipher), ("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"));
}

fn with_versions(files: &Files, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let authority = rustls::pki_types::pem::PemObject::from_pem_file(files.path("ca.pem")).unwrap();
    roots.add(authority).unwrap();
    ClientConfig::builder_with_provider(super::super::provider::provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
