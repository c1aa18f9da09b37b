//! Taking any certificate: of an endpoint with `verify = false`, and where only what is shown matters.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// Takes any certificate for any name at any time. The endpoint must still hold the certificate's key: that keeps a broken one
/// apart from a wrong one, and costs nothing. Anybody in between can read and change everything.
#[derive(Debug)]
pub(crate) struct TakeAny {
    provider: Arc<CryptoProvider>,
    schemes: Vec<SignatureScheme>,
}

impl TakeAny {
    /// With every kind of key that the provider knows.
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Arc<Self> {
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        Self::signed_with(provider, schemes)
    }

    /// Asks for these kinds of signature only: which of its certificates a server shows depends on that.
    pub(crate) fn signed_with(provider: Arc<CryptoProvider>, schemes: Vec<SignatureScheme>) -> Arc<Self> {
        Arc::new(Self { provider, schemes })
    }
}

impl ServerCertVerifier for TakeAny {
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
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
