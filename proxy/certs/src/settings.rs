//! What the operator asks for, checked elsewhere.

use std::{sync::Arc, time::Duration};

use rustls::RootCertStore;

/// Everything about ordering.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Asked in order: the next one when one is away or limits us. At least one.
    pub authorities: Vec<Authority>,
    /// `mailto:` is added.
    pub email: Vec<String>,
    /// A certificate of each kind for every name; the first is the one clients get that can take any.
    pub keys: Vec<KeyKind>,
    /// In order of preference, of those that a name and its authority allow.
    pub challenges: Vec<ChallengeKind>,
    /// Orders under way at once.
    pub parallel: usize,
    /// First orders for new names are spread over this, so that a thousand new names do not arrive in one second.
    pub spread: Duration,
}

/// A certificate authority that speaks ACME (RFC 8555).
#[derive(Debug, Clone)]
pub struct Authority {
    /// What logs call it.
    pub name: Arc<str>,
    /// Its directory's URL.
    pub directory: Arc<str>,
    /// One of those that browsers believe, which give no certificates for private names.
    pub public: bool,
    /// Who may speak for it.
    pub roots: Arc<RootCertStore>,
    /// External account binding (RFC 8555 section 7.3.4).
    pub binding: Option<Binding>,
    /// A profile that its directory names.
    pub profile: Option<Arc<str>>,
}

/// What binds an account to one that the operator has with the authority.
#[derive(Clone)]
pub struct Binding {
    /// `kid`.
    pub id: String,
    /// The HMAC key's bytes.
    pub key: Vec<u8>,
}

impl Binding {
    /// From the key as authorities give it: base64url, with or without padding.
    ///
    /// # Errors
    /// A sentence, when it is none.
    pub fn new(id: &str, key: &str) -> Result<Self, String> {
        use base64::Engine as _;
        let plain: String = key.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
        match base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(plain) {
            Ok(key) if !key.is_empty() => Ok(Self { id: id.to_owned(), key }),
            _ => Err("the key of the external account binding is not base64url".to_owned()),
        }
    }
}

impl std::fmt::Debug for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Binding({})", self.id)
    }
}

/// What kind of key a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA with 2048 bits.
    Rsa2048,
    /// RSA with 4096 bits.
    Rsa4096,
}

impl KeyKind {
    /// As documents and commands call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa4096 => "rsa4096",
        }
    }
}

/// How a name is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum ChallengeKind {
    /// RFC 8737.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// RFC 8555 section 8.3.
    #[serde(rename = "http-01")]
    Http01,
    /// RFC 8555 section 8.4.
    #[serde(rename = "dns-01")]
    Dns01,
}

impl ChallengeKind {
    /// As in ACME.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        }
    }
}

/// A key for signed updates.
#[derive(Clone)]
pub struct TsigKey {
    /// As the server calls it.
    pub name: String,
    /// `hmac-sha256`, `hmac-sha384` or `hmac-sha512`.
    pub algorithm: String,
    /// Its bytes.
    pub secret: Vec<u8>,
}

impl TsigKey {
    /// From the secret as servers' tools print it: base64.
    ///
    /// # Errors
    /// A sentence, when it is none.
    pub fn new(name: &str, algorithm: &str, secret: &str) -> Result<Self, String> {
        use base64::Engine as _;
        match base64::engine::general_purpose::STANDARD.decode(secret.trim()) {
            Ok(secret) if !secret.is_empty() => {
                Ok(Self { name: name.to_owned(), algorithm: algorithm.to_owned(), secret })
            }
            _ => Err(format!("the secret of the key `{name}` is not base64")),
        }
    }
}

impl std::fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TsigKey({} {})", self.name, self.algorithm)
    }
}
