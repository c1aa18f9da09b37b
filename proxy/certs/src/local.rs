//! An authority of this machine's own, for development: browsers believe it once its root is installed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::{CertifiedKey, SigningKey},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    clock::Instant,
    documents,
    storage::{Folder, Key, Storage},
    subject::Subject,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long the root is valid: as long as a machine lasts.
const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long a leaf is: they are made anew whenever one is needed.
const LEAF_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Leaves that are kept; a client that asks for more names gets them made again.
const KEPT: usize = 1024;

/// As it is kept.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Document {
    /// Its name: what is in the root as subject.
    name: String,
    /// PEM.
    certificate: String,
    /// PKCS#8, PEM.
    key: String,
}

/// Signs for any name.
pub struct LocalAuthority {
    root: String,
    chain: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    leaf_key: KeyPair,
    signing: Arc<dyn SigningKey>,
    made: Mutex<HashMap<Box<str>, Made>>,
}

/// A leaf, and when it was made.
type Made = (Instant, Arc<CertifiedKey>);

impl LocalAuthority {
    /// The one that is kept, or a new one, kept.
    ///
    /// # Errors
    /// A sentence, when it can be neither read nor made.
    pub async fn open(storage: &dyn Storage, provider: &CryptoProvider) -> Result<Self, String> {
        let place = Key::new(Folder::Shared, "local-authority.json");
        for _ in 0..30 {
            if let Some(document) =
                documents::read::<Document>(storage, &place).await.map_err(|error| error.to_string())?
            {
                return Self::of(&document, provider);
            }
            // Of two processes that begin together, one makes it.
            let lease = storage.lease("local-authority", DAY).await.map_err(|error| error.to_string())?;
            if lease.is_some() && documents::read::<Document>(storage, &place).await.is_ok_and(|there| there.is_none())
            {
                let document = make().map_err(|error| format!("no local authority could be made: {error}"))?;
                documents::write(storage, &place, &document).await.map_err(|error| error.to_string())?;
                tracing::info!(
                    "made a local authority; `portcullis certs root` prints its root, for clients to believe"
                );
            }
            drop(lease);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err("another process has been making the local authority for too long".to_owned())
    }

    fn of(document: &Document, provider: &CryptoProvider) -> Result<Self, String> {
        let unusable = |error: &dyn std::fmt::Display| {
            format!(
                "the local authority that is kept cannot be used ({error}); move shared/local-authority.json away to have a new one made"
            )
        };
        let key = KeyPair::from_pem(&document.key).map_err(|error| unusable(&error))?;
        let chain =
            CertificateDer::from_pem_slice(document.certificate.as_bytes()).map_err(|error| unusable(&error))?;
        let leaf_key = KeyPair::generate().map_err(|error| unusable(&error))?;
        let der = PrivateKeyDer::try_from(leaf_key.serialize_der()).map_err(|error| unusable(&error))?;
        let signing = provider.key_provider.load_private_key(der).map_err(|error| unusable(&error))?;
        Ok(Self {
            root: document.certificate.clone(),
            chain,
            issuer: Issuer::new(root_parameters(&document.name), key),
            leaf_key,
            signing,
            made: Mutex::default(),
        })
    }

    /// Its root, PEM: what clients must believe.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// A certificate for `host` (lower case), or for this machine's loopback names where a client names none. `None` for what is no name.
    pub fn certificate(&self, host: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let now = Instant::now();
        let name = host.unwrap_or_default();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, certified)) = made.get(name)
            && now.after(DAY) < *until
        {
            return Some(certified.clone());
        }
        let until = now.after(LEAF_LIFE);
        let leaf = self.sign(host, now, until)?;
        let certified = Arc::new(CertifiedKey::new(vec![leaf, self.chain.clone()], self.signing.clone()));
        if made.len() >= KEPT {
            made.clear();
        }
        made.insert(name.into(), (until, certified.clone()));
        Some(certified)
    }

    fn sign(&self, host: Option<&str>, now: Instant, until: Instant) -> Option<CertificateDer<'static>> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = match host {
            Some(host) => vec![match Subject::parse(host).ok()? {
                Subject::Address(address) => SanType::IpAddress(address),
                subject => SanType::DnsName(subject.to_string().try_into().ok()?),
            }],
            None => vec![
                SanType::DnsName("localhost".try_into().ok()?),
                SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
                SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()),
            ],
        };
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        // Clocks of clients on the same desk are not all right.
        params.not_before = moment(Instant(now.0 - 3600))?;
        params.not_after = moment(until)?;
        Some(params.signed_by(&self.leaf_key, &self.issuer).ok()?.der().clone())
    }
}

impl std::fmt::Debug for LocalAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalAuthority")
    }
}

fn moment(at: Instant) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(at.0).ok()
}

fn make() -> Result<Document, Box<dyn std::error::Error + Send + Sync>> {
    // Two machines' authorities in one browser's list are told apart.
    let name = format!("portcullis local authority {:08x}", fastrand::u32(..));
    let key = KeyPair::generate()?;
    let mut params = root_parameters(&name);
    let now = Instant::now();
    params.not_before = moment(Instant(now.0 - 3600)).ok_or("the clock is wrong")?;
    params.not_after = moment(now.after(ROOT_LIFE)).ok_or("the clock is wrong")?;
    let certificate = params.self_signed(&key)?;
    Ok(Document { name, certificate: certificate.pem(), key: key.serialize_pem() })
}

fn root_parameters(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

#[cfg(test)]
mod tests {
    use rustls::{
        RootCertStore, client::WebPkiServerVerifier, client::danger::ServerCertVerifier as _, pki_types::UnixTime,
    };

    use super::*;
    use crate::storage::disk::Disk;

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    }

    fn believed(root: &str, shown: &CertifiedKey, name: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
        let name = name.to_owned().try_into().unwrap();
        verifier.verify_server_cert(&shown.cert[0], &shown.cert[1..], &name, &[], UnixTime::now()).is_ok()
    }

    #[tokio::test]
    async fn who_believes_the_root_believes_every_host_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(&folder.path().join("state")).unwrap();
        let first = LocalAuthority::open(&disk, &provider()).await.unwrap();
        let root = first.root().to_owned();
        let shown = first.certificate(Some("shop.localhost")).unwrap();
        assert!(believed(&root, &shown, "shop.localhost") && !believed(&root, &shown, "other.localhost"));
        assert!(Arc::ptr_eq(&shown, &first.certificate(Some("shop.localhost")).unwrap()));
        let plain = first.certificate(None).unwrap();
        assert!(believed(&root, &plain, "localhost") && believed(&root, &plain, "127.0.0.1"));
        let second = LocalAuthority::open(&disk, &provider()).await.unwrap();
        assert_eq!(second.root(), root);
        assert!(believed(&root, &second.certificate(Some("192.0.2.7")).unwrap(), "192.0.2.7"));
        assert!(second.certificate(Some("no name")).is_none());
    }

    #[tokio::test]
    async fn as_many_names_as_a_client_likes_take_bounded_memory() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(&folder.path().join("state")).unwrap();
        let authority = LocalAuthority::open(&disk, &provider()).await.unwrap();
        for number in 0..=KEPT + 10 {
            authority.certificate(Some(&format!("h{number}.example"))).unwrap();
        }
        assert!(authority.made.lock().unwrap().len() <= KEPT);
    }
}
