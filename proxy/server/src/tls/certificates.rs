//! Certificates as they are loaded from files: checked, parsed, and compared with those in force.
//!
//! Which one a client is shown is decided in `store`. Watching the files is the reload's business; it calls [`load_all`] again.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use portcullis_config::{Location, listener::Certificate};
use rustls::{
    Error as TlsError, SignatureScheme,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use super::provider::{Digest, digest, provider};

/// A certificate that can be shown: its chain, its key, and for whom.
#[derive(Debug)]
pub struct Certified {
    /// As configured.
    pub name: Arc<str>,
    /// DNS names that it covers, lower case: exact ones, and wildcards (`*.example.com`).
    pub hosts: Vec<Box<str>>,
    /// IP addresses that it covers. Clients cannot ask for one (RFC 6066 section 3).
    pub addresses: Vec<IpAddr>,
    /// What kind of key it has.
    pub key_kind: KeyKind,
    /// Valid from.
    pub not_before: SystemTime,
    /// Valid until.
    pub not_after: SystemTime,
    /// SHA-256 over the chain. The leaf holds the public key, so it stands for the key as well.
    pub fingerprint: Digest,
    /// What the TLS engine uses.
    pub(super) key: Arc<CertifiedKey>,
    /// SHA-256 over both files, to see that nothing was written.
    contents: Digest,
    /// What is odd about it at any time.
    remarks: Vec<String>,
    /// For messages.
    file: PathBuf,
}

/// What kind of key a certificate has, the one preferred first: less work for us, and a smaller handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// ECDSA on P-256.
    EcdsaP256,
    /// Ed25519. Browsers do not take it; those that do say so in their handshake.
    Ed25519,
    /// ECDSA on a larger curve.
    EcdsaLarge,
    /// RSA.
    Rsa,
}

impl KeyKind {
    /// The word in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::Ed25519 => "Ed25519",
            Self::EcdsaLarge => "ECDSA",
            Self::Rsa => "RSA",
        }
    }
}

impl Certified {
    /// Sentences for the log: expired, not valid yet, nearly expired, and what is odd about the chain.
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        let mut warnings = Vec::new();
        let file = self.file.display();
        if now > self.not_after {
            warnings.push(format!("certificate `{}` ({file}) expired {} ago", self.name, days(now, self.not_after)));
        } else if now < self.not_before {
            warnings.push(format!(
                "certificate `{}` ({file}) is valid only in {}; is the clock right?",
                self.name,
                days(self.not_before, now)
            ));
        } else if self.not_after.duration_since(now).unwrap_or_default() < EXPIRES_SOON {
            warnings.push(format!("certificate `{}` ({file}) expires in {}", self.name, days(self.not_after, now)));
        }
        warnings.extend(self.remarks.iter().map(|remark| format!("certificate `{}` ({file}) {remark}", self.name)));
        warnings
    }

    /// Whether a client that takes these signatures can check ours.
    pub(super) fn suits(&self, schemes: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(schemes).is_some()
    }
}

/// The certificates of one configuration.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// In the order of the configuration.
    pub certificates: Vec<Arc<Certified>>,
}

/// What differs between two loads, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Only in the newer.
    pub added: Vec<Arc<str>>,
    /// Only in the older.
    pub removed: Vec<Arc<str>>,
    /// In both, with another chain.
    pub changed: Vec<Arc<str>>,
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl Loaded {
    /// What differs from `previous`.
    pub fn changes(&self, previous: &Self) -> Changes {
        let index = |loaded: &Self| -> hashbrown::HashMap<Arc<str>, Digest> {
            loaded.certificates.iter().map(|c| (c.name.clone(), c.fingerprint)).collect()
        };
        let (before, after) = (index(previous), index(self));
        let mut changes = Changes::default();
        for certified in &self.certificates {
            match before.get(&certified.name) {
                None => changes.added.push(certified.name.clone()),
                Some(fingerprint) if *fingerprint != certified.fingerprint => {
                    changes.changed.push(certified.name.clone())
                }
                Some(_) => {}
            }
        }
        let gone = previous.certificates.iter().filter(|c| !after.contains_key(&c.name));
        changes.removed.extend(gone.map(|c| c.name.clone()));
        changes
    }
}

/// Why a certificate cannot be used.
#[derive(Debug)]
pub struct CertificateError {
    /// Where it is configured.
    pub at: Location,
    /// One sentence that names the file or files.
    pub message: String,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

impl std::error::Error for CertificateError {}

/// Loads every certificate, or says what is wrong with each that cannot be. Those whose files hold the same bytes as
/// in `previous` are taken from there. Blocks on files; an expired certificate is no error (see [`Certified::warnings`]).
pub fn load_all(certificates: &[Certificate], previous: &Loaded) -> Result<Loaded, Vec<CertificateError>> {
    let known: hashbrown::HashMap<&str, &Arc<Certified>> =
        previous.certificates.iter().map(|certified| (&*certified.name, certified)).collect();
    let mut loaded = Vec::with_capacity(certificates.len());
    let mut errors = Vec::new();
    for certificate in certificates {
        match load(certificate, known.get(certificate.name.as_str()).copied()) {
            Ok(certified) => loaded.push(certified),
            Err(message) => errors.push(CertificateError { at: certificate.at.clone(), message }),
        }
    }
    if errors.is_empty() { Ok(Loaded { certificates: loaded }) } else { Err(errors) }
}

fn load(certificate: &Certificate, previous: Option<&Arc<Certified>>) -> Result<Arc<Certified>, String> {
    let chain_pem = read_file(&certificate.cert)?;
    let key_pem = read_file(&certificate.key)?;
    let contents = digest([&chain_pem[..], &key_pem[..]]);
    if let Some(previous) = previous
        && previous.contents == contents
        && previous.file == certificate.cert
    {
        return Ok(previous.clone());
    }
    let chain = parse_chain(&certificate.cert, &chain_pem)?;
    let signing_key = parse_key(&certificate.key, &key_pem)?;
    let key = CertifiedKey::new(chain, signing_key);
    check_pair(certificate, &key)?;

    let file = certificate.cert.display();
    let (_, leaf) =
        X509Certificate::from_der(&key.cert[0]).map_err(|error| format!("{file}: the first certificate: {error}"))?;
    let mut remarks = Vec::new();
    let (hosts, addresses) = names(&leaf, &mut remarks);
    if let Some(next) = key.cert.get(1)
        && let Ok((_, issuer)) = X509Certificate::from_der(next)
        && issuer.subject() != leaf.issuer()
    {
        remarks.push("has a chain out of order: the second certificate is not the issuer of the first".to_owned());
    }
    Ok(Arc::new(Certified {
        name: certificate.name.shared(),
        hosts,
        addresses,
        key_kind: key_kind(&key),
        not_before: time(leaf.validity().not_before.timestamp()),
        not_after: time(leaf.validity().not_after.timestamp()),
        fingerprint: digest(key.cert.iter().map(|der| der.as_ref())),
        key: Arc::new(key),
        contents,
        remarks,
        file: certificate.cert.clone(),
    }))
}

/// The bytes of a PEM file; neither nothing nor too much.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(format!("{} is larger than {} KiB: not a PEM file for TLS", path.display(), FILE_MAX / 1024));
    }
    if bytes.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(bytes)
}

/// All certificates of a PEM file; at least one.
pub(super) fn parse_chain(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let file = path.display();
    let chain = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    match chain {
        Err(error) => Err(format!("{file}: {}", pem_problem(&error))),
        Ok(chain) if chain.is_empty() => Err(match bytes.first() {
            // An ASN.1 SEQUENCE: how DER begins.
            Some(0x30) => format!("{file} is DER; convert it with `openssl x509 -inform der -in {file} -out cert.pem`"),
            _ => format!("{file} has no certificate (a `-----BEGIN CERTIFICATE-----` section)"),
        }),
        Ok(chain) => Ok(chain),
    }
}

fn parse_key(path: &Path, bytes: &[u8]) -> Result<Arc<dyn rustls::sign::SigningKey>, String> {
    let file = path.display();
    let key = match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(key) => key,
        Err(pem::Error::NoItemsFound) if memchr::memmem::find(bytes, b"BEGIN ENCRYPTED PRIVATE KEY").is_some() => {
            return Err(format!(
                "{file}: the key is encrypted; decrypt it with `openssl pkey -in {file} -out key.pem`"
            ));
        }
        Err(pem::Error::NoItemsFound) => {
            return Err(format!("{file} has no private key (PKCS#8, PKCS#1 or SEC1 in PEM)"));
        }
        Err(error) => return Err(format!("{file}: {}", pem_problem(&error))),
    };
    provider().key_provider.load_private_key(key).map_err(|error| format!("{file}: the key cannot be used: {error}"))
}

/// The pem crate's own words quote the offending line, which may be a piece of a key.
fn pem_problem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line; is the file cut off?",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "a section is not valid base64",
        pem::Error::NoItemsFound => "nothing usable in it",
        _ => "not valid PEM",
    }
}

fn check_pair(certificate: &Certificate, key: &CertifiedKey) -> Result<(), String> {
    let (cert_file, key_file) = (certificate.cert.display(), certificate.key.display());
    match key.keys_match() {
        Ok(()) | Err(TlsError::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(()),
        Err(TlsError::InconsistentKeys(_)) => {
            let elsewhere = key
                .cert
                .iter()
                .skip(1)
                .any(|other| CertifiedKey::new(vec![other.clone()], key.key.clone()).keys_match().is_ok());
            Err(if elsewhere {
                format!(
                    "{cert_file}: the certificate of the key in {key_file} is not the first; the chain must begin with it"
                )
            } else {
                format!("the key in {key_file} does not belong to the certificate in {cert_file}")
            })
        }
        Err(error) => Err(format!("{cert_file}: the first certificate cannot be used: {error}")),
    }
}

fn names(leaf: &X509Certificate<'_>, remarks: &mut Vec<String>) -> (Vec<Box<str>>, Vec<IpAddr>) {
    let (mut hosts, mut addresses) = (Vec::new(), Vec::new());
    let alternatives = leaf.subject_alternative_name().ok().flatten();
    for name in alternatives.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                // RFC 9525 section 6.3: a wildcard is the whole leftmost label.
                if name.strip_prefix("*.").unwrap_or(&name).contains('*') {
                    remarks.push(format!("has the name `{name}`, whose wildcard no client accepts; it is ignored"));
                } else {
                    hosts.push(name.into());
                }
            }
            GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
                (Ok(v4), _) => addresses.push(v4.into()),
                (_, Ok(v6)) => addresses.push(v6.into()),
                _ => {}
            },
            _ => {}
        }
    }
    if hosts.is_empty() {
        // RFC 9525 section 2: the common name does not count.
        remarks
            .push("names no host in its subjectAltName; it is shown only where it is a listener's default".to_owned());
    }
    (hosts, addresses)
}

fn key_kind(key: &CertifiedKey) -> KeyKind {
    match key.key.algorithm() {
        rustls::SignatureAlgorithm::ED25519 | rustls::SignatureAlgorithm::ED448 => KeyKind::Ed25519,
        rustls::SignatureAlgorithm::ECDSA => {
            if key.key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).is_some() {
                KeyKind::EcdsaP256
            } else {
                KeyKind::EcdsaLarge
            }
        }
        _ => KeyKind::Rsa,
    }
}

fn time(seconds: i64) -> SystemTime {
    match u64::try_from(seconds) {
        // What is later than a clock can say (GeneralizedTime goes to the year 9999) is far enough.
        Ok(after) => UNIX_EPOCH.checked_add(Duration::from_secs(after)).unwrap_or(UNIX_EPOCH),
        Err(_) => UNIX_EPOCH,
    }
}

fn days(later: SystemTime, earlier: SystemTime) -> String {
    let hours = later.duration_since(earlier).unwrap_or_default().as_secs() / 3600;
    match hours {
        0..48 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    }
}

/// Long chains with RSA keys take some 20 KiB, the usual bundle of all public authorities some 220.
const FILE_MAX: u64 = 1024 * 1024;
/// Automatic renewal acts a third of a certificate's life before its end: for 90 days, 30 days. A week is late.
const EXPIRES_SOON: Duration = Duration::from_secs(7 * 24 * 3600);

#[cfg(test)]
mod tests;
