//! Certificates for the tests of this module, in files as operators have them.

use std::{cell::RefCell, fs, path::PathBuf, sync::Arc};

use portcullis_config::{
    Location,
    listener::{Certificate, ListenerTls, TlsVersion, UnknownSni},
    names::CertificateName,
};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256,
    SignatureAlgorithm,
};
use tempfile::TempDir;

use super::certificates::{Loaded, load_all};

/// A folder of certificates, all signed by its own authority.
pub(super) struct Files {
    folder: TempDir,
    authority: Issuer<'static, KeyPair>,
    previous: RefCell<Loaded>,
}

impl Files {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities of one name would be told apart by their signatures only.
        let name = folder.path().display().to_string();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, authority: Issuer::new(params, key), previous: RefCell::default() }
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(super) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(file), content).unwrap();
    }

    pub(super) fn ecdsa(&self, name: &str, hosts: &[&str]) {
        self.issue(name, hosts, &PKCS_ECDSA_P256_SHA256, |_| {});
    }

    pub(super) fn ed25519(&self, name: &str, hosts: &[&str]) {
        self.issue(name, hosts, &PKCS_ED25519, |_| {});
    }

    pub(super) fn rsa(&self, name: &str, hosts: &[&str]) {
        self.issue(name, hosts, &PKCS_RSA_SHA256, |_| {});
    }

    /// `NAME.pem` and `NAME.key`.
    pub(super) fn issue(
        &self,
        name: &str,
        hosts: &[&str],
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let mut params = CertificateParams::new(hosts.iter().map(|host| host.to_string()).collect::<Vec<_>>()).unwrap();
        change(&mut params);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        self.write(&format!("{name}.pem"), certificate.pem());
        self.write(&format!("{name}.key"), key.serialize_pem());
    }

    pub(super) fn configured(&self, name: &str) -> Certificate {
        Certificate {
            name: CertificateName::new(name),
            at: Location { file: "portcullis.toml".into(), line: 1, column: 1 },
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        }
    }

    /// Loads these, with what the last call loaded as the previous state.
    pub(super) fn load(&self, names: &[&str]) -> Loaded {
        let certificates: Vec<_> = names.iter().map(|name| self.configured(name)).collect();
        let loaded = load_all(&certificates, &self.previous.borrow()).unwrap();
        self.previous.replace(loaded.clone());
        loaded
    }

    /// The message for one that does not load.
    pub(super) fn problem(&self, name: &str) -> String {
        let errors = load_all(&[self.configured(name)], &Loaded::default()).unwrap_err();
        assert_eq!(errors.len(), 1);
        errors[0].message.replace(&self.folder.path().display().to_string(), "")
    }
}

/// A listener's TLS table with its defaults.
pub(super) fn listener_tls() -> ListenerTls {
    ListenerTls {
        min_version: TlsVersion::Tls12,
        unknown_sni: UnknownSni::Refuse,
        handshake_time: std::time::Duration::from_secs(10),
        h2: true,
        local: false,
    }
}

/// A rustls client configuration that believes this folder's authority.
pub(super) fn client(files: &Files) -> rustls::ClientConfig {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(files.path("ca.pem")).unwrap()).unwrap();
    rustls::ClientConfig::builder_with_provider(super::provider::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(Arc::new(roots))
        .with_no_client_auth()
}
