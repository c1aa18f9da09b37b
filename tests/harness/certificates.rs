//! The certificate authority of this process, and leaves from it.

use std::sync::{Arc, OnceLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize, SignatureAlgorithm,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// Signs leaves.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A leaf with its key, PEM.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The certificate.
    pub cert: String,
    /// Its key, PKCS#8.
    pub key: String,
}

/// What kind of key a leaf has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// NIST P-256.
    Ecdsa,
    /// RSA with 2048 bits.
    Rsa,
}

/// The authority that scenarios share.
pub fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("portcullis tests"))
}

/// A leaf from [`authority`] with an ECDSA key, for these DNS names or addresses.
pub fn leaf(names: &[&str]) -> Leaf {
    authority().issue(names, KeyType::Ecdsa)
}

impl Authority {
    /// A new one, that nobody trusts yet.
    ///
    /// # Panics
    /// When the machine cannot make keys.
    pub fn new(name: &str) -> Self {
        let (params, key) = authority_parts(name);
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("an authority can sign itself") }
    }

    /// Issues a leaf for DNS names or IP addresses.
    ///
    /// # Panics
    /// When a name is neither.
    pub fn issue(&self, names: &[&str], key_type: KeyType) -> Leaf {
        self.issue_with(names, key_type, |_| {})
    }

    /// Issues a leaf whose parameters `change` has changed: another time of validity, for example.
    ///
    /// # Panics
    /// When a name is neither a DNS name nor an address.
    pub fn issue_with(&self, names: &[&str], key_type: KeyType, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("names are DNS names or addresses");
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("nobody", String::as_str));
        change(&mut params);
        let key = match key_type {
            KeyType::Ecdsa => generate(&PKCS_ECDSA_P256_SHA256),
            KeyType::Rsa => {
                KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("RSA keys can be made")
            }
        };
        let cert = params.signed_by(&key, &self.issuer).expect("an authority can sign");
        Leaf { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// An authority below this one, with its certificate, PEM.
    ///
    /// # Panics
    /// When the machine cannot make keys.
    pub fn intermediate(&self, name: &str) -> (String, Self) {
        let (params, key) = authority_parts(name);
        let issuer = CertifiedIssuer::signed_by(params, key, &self.issuer).expect("an authority can sign");
        (issuer.pem(), Self { issuer })
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A store that trusts it and nobody else.
    ///
    /// # Panics
    /// Never: it made the certificate itself.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority's certificate is well-formed");
        roots
    }

    /// A client's TLS configuration that trusts this authority and offers `alpn`.
    pub fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        self.client_with(alpn, rustls::ALL_VERSIONS)
    }

    /// [`client`](Self::client) with the protocol versions given.
    pub fn client_with(&self, alpn: &[&str], versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut config = ClientConfig::builder_with_protocol_versions(versions)
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Leaf {
    /// The certificate, DER.
    ///
    /// # Panics
    /// Never: the certificate is PEM.
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).expect("a leaf's certificate is PEM").to_vec()
    }

    /// A server's TLS configuration with this leaf.
    ///
    /// # Panics
    /// When the two do not belong together.
    pub fn server(&self, alpn: &[&str]) -> Arc<ServerConfig> {
        let chain = CertificateDer::pem_slice_iter(self.cert.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .expect("a leaf's certificate is PEM");
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a leaf's key is PEM");
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("certificate and key belong together");
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

fn generate(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).expect("keys can be made")
}

fn authority_parts(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params, KeyPair::generate().expect("keys can be made"))
}
