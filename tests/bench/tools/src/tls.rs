//! rustls set-up: a client that does as little work as it can, and a plain server.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use aws_lc_rs::agreement;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, NamedGroup, ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup, aws_lc_rs as provider},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    version::TLS13,
};

/// Accepts every certificate: verifying is the client's work, and the client is not what is measured.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// X25519 with one key for the whole run: a load generator needs no forward secrecy, and this halves what a handshake
/// costs it. The server cannot tell.
#[derive(Clone, Debug)]
struct FixedX25519(Arc<Key>);

#[derive(Debug)]
struct Key {
    private: agreement::PrivateKey,
    public: Vec<u8>,
}

impl FixedX25519 {
    fn generate() -> Result<Self> {
        let private = agreement::PrivateKey::generate(&agreement::X25519).map_err(|_| anyhow!("no X25519 key"))?;
        let public = private.compute_public_key().map_err(|_| anyhow!("no X25519 key"))?.as_ref().to_vec();
        Ok(Self(Arc::new(Key { private, public })))
    }
}

impl SupportedKxGroup for FixedX25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(self.clone()))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl ActiveKeyExchange for FixedX25519 {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, peer);
        let failed = Error::General("X25519 agreement failed".into());
        agreement::agree(&self.0.private, peer, failed, |secret| Ok(SharedSecret::from(secret)))
    }

    fn pub_key(&self) -> &[u8] {
        &self.0.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// TLS 1.3, X25519, AES-128-GCM, HTTP/1.1, never resumed: every proxy is asked for the same.
pub(crate) fn client() -> Result<Arc<ClientConfig>> {
    // A provider wants its groups for ever; there is one a process.
    let group: &'static FixedX25519 = Box::leak(Box::new(FixedX25519::generate()?));
    let provider = CryptoProvider {
        kx_groups: vec![group],
        cipher_suites: vec![provider::cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..provider::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// TLS 1.3 with stateless tickets, HTTP/1.1.
pub(crate) fn server(certificate: &str, key: &str) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.ticketer = provider::Ticketer::new()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
