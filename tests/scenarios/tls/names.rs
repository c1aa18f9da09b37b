use std::sync::Arc;

use portcullis_tests::{
    certificates::{KeyType, authority, leaf},
    client::{http::Connection, tls},
    origin::Origin,
    proxy::{Plan, Proxy},
    scenario::scenario,
    tool::Tool,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::ground::TLS;

const TWO: &str = r#"
[[listener]]
name = "https"
address = "127.0.0.1:@https@"
tls = {}

[[certificate]]
name = "wild"
cert = "wild.pem"
key = "wild.key"

[[certificate]]
name = "exact"
cert = "exact.pem"
key = "exact.key"

[[route]]
respond = { status = 204 }
"#;

async fn shown(proxy: &Proxy, name: &str) -> Vec<u8> {
    let client = Connection::tls(proxy.address("https"), name, &authority().client(&["http/1.1"])).await;
    assert_eq!(client.get(name, "/").await.status, 204);
    client.tls.clone().unwrap().leaf
}

#[test]
fn an_exact_name_is_shown_before_a_wildcard() {
    scenario(async {
        let (wild, exact) = (leaf(&["*.shop.example"]), leaf(&["one.shop.example", "other.example"]));
        let proxy = Plan::new(TWO).leaf("wild", &wild).leaf("exact", &exact).start().await;
        assert_eq!(shown(&proxy, "one.shop.example").await, exact.der());
        assert_eq!(shown(&proxy, "OTHER.example").await, exact.der());
        assert_eq!(shown(&proxy, "two.shop.example").await, wild.der());
        // A wildcard stands for one label (RFC 9525 section 6.3), and not for none.
        for name in ["a.two.shop.example", "shop.example"] {
            assert!(tls(proxy.address("https"), name, &authority().client(&[])).await.is_err(), "{name}");
        }
    });
}

#[test]
fn a_host_with_two_kinds_of_key_shows_the_one_that_the_client_understands() {
    scenario(async {
        let rsa = authority().issue(&["shop.example"], KeyType::Rsa);
        let ecdsa = authority().issue(&["shop.example"], KeyType::Ecdsa);
        let proxy = Plan::new(TWO).leaf("wild", &rsa).leaf("exact", &ecdsa).start().await;
        assert_eq!(shown(&proxy, "shop.example").await, ecdsa.der());
        // An old client that knows RSA alone.
        let address = proxy.address("https").to_string();
        let old = Tool::new("openssl")
            .args(["s_client", "-connect", &address, "-servername", "shop.example"])
            .args(["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", "-sigalgs", "RSA+SHA256"])
            .run()
            .await;
        assert!(old.stdout.contains("Peer signature type: RSA"), "{old:?}");
        let new = Tool::new("openssl")
            .args(["s_client", "-connect", &address, "-servername", "shop.example", "-tls1_3"])
            .run()
            .await;
        assert!(new.stdout.contains("Peer signature type: ECDSA"), "{new:?}");
    });
}

#[test]
fn an_unknown_name_is_refused_with_the_alert_that_says_so() {
    scenario(async {
        let proxy =
            Plan::new(TWO).leaf("wild", &leaf(&["*.a.example"])).leaf("exact", &leaf(&["b.example"])).start().await;
        let finished = Tool::new("openssl")
            .args(["s_client", "-connect", &proxy.address("https").to_string(), "-servername", "unknown.example"])
            .run()
            .await;
        // Alert 112: unrecognized_name (RFC 6066 section 3).
        assert!(finished.stderr.contains("unrecognized name"), "{finished:?}");
        let line = proxy.log_line(|line| line["kind"] == "refused").await;
        assert_eq!(line["sni"], "unknown.example");
        assert!(line["detail"].as_str().unwrap().contains("unknown.example"), "{line}");
    });
}

#[test]
fn no_name_at_all_is_refused_too() {
    scenario(async {
        let proxy =
            Plan::new(TWO).leaf("wild", &leaf(&["*.a.example"])).leaf("exact", &leaf(&["b.example"])).start().await;
        let finished = Tool::new("openssl")
            .args(["s_client", "-connect", &proxy.address("https").to_string(), "-noservername"])
            .run()
            .await;
        assert_ne!(finished.code, Some(0), "{finished:?}");
        let line = proxy.log_line(|line| line["kind"] == "refused").await;
        assert!(line.get("sni").is_none());
    });
}

#[test]
fn the_declared_default_is_shown_for_unknown_names_and_for_none() {
    scenario(async {
        let text = TWO.replace("tls = {}", "tls = { unknown_sni = { certificate = \"exact\" } }");
        let exact = leaf(&["b.example", "127.0.0.1"]);
        let proxy = Plan::new(text).leaf("wild", &leaf(&["*.a.example"])).leaf("exact", &exact).start().await;
        let config = Arc::new(
            ClientConfig::builder()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody))
                .with_no_client_auth(),
        );
        // rustls sends no name where the server is an address.
        for (name, host) in [("unknown.example", "unknown.example"), ("127.0.0.1", "b.example")] {
            let client = Connection::tls(proxy.address("https"), name, &config).await;
            assert_eq!(client.tls.as_ref().unwrap().leaf, exact.der());
            assert_eq!(client.get(host, "/").await.status, 204);
        }
    });
}

#[test]
fn a_host_that_disagrees_with_the_handshake_gets_421() {
    scenario(async {
        let origin = Origin::start().await;
        let leaf = leaf(&["a.example", "b.example"]);
        let proxy = Plan::new(TLS).leaf("leaf", &leaf).set("origin", origin.address()).start().await;
        for alpn in ["h2", "http/1.1"] {
            let client = Connection::tls(proxy.address("https"), "a.example", &authority().client(&[alpn])).await;
            assert_eq!(client.get("a.example", "/").await.status, 200);
            assert_eq!(client.get("A.Example", "/").await.status, 200, "names have no case");
            // RFC 9110 section 7.4: another certificate's rules may hold for the other host, also where this one covers it.
            let answer = client.get("b.example", &format!("/{}", alpn.len())).await;
            assert_eq!(answer.status, 421);
            let line = proxy.log_of(&format!("/{}", alpn.len())).await;
            assert_eq!((&line["sni"], &line["host"]), (&"a.example".into(), &"b.example".into()));
        }
        assert_eq!(proxy.counter("misdirected").await, 2);
        assert_eq!(origin.count(), 4);
    });
}

/// Believes everybody: what is looked at is which certificate came.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256]
    }
}

#[test]
fn a_chain_is_sent_whole() {
    scenario(async {
        let (middle, issuer) = authority().intermediate("in the middle");
        let mut leaf = issuer.issue(&["b.example"], KeyType::Ecdsa);
        leaf.cert.push_str(&middle);
        let proxy = Plan::new(TWO)
            .leaf("wild", &portcullis_tests::certificates::leaf(&["*.a.example"]))
            .leaf("exact", &leaf)
            .start()
            .await;
        // Whoever trusts only the root can follow it.
        assert_eq!(shown(&proxy, "b.example").await, leaf.der());
    });
}
