//! `[acme]`: certificates that are ordered from authorities (RFC 8555).

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::Location;

/// Where certificates come from for hosts that no `[[certificate]]` is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Acme {
    /// Where the table starts.
    pub at: Location,
    /// Where authorities write to. May be empty.
    pub email: Vec<String>,
    /// Asked in order: the next one where one is away, refuses, or limits us. Never empty; by default Let's Encrypt alone.
    pub authorities: Vec<Authority>,
    /// A certificate of each kind for every host, the one preferred first. Never empty; by default ECDSA alone.
    pub keys: Vec<KeyKind>,
    /// In order of preference. Never empty.
    pub challenges: Vec<Challenge>,
    /// How TXT records come into the DNS, for dns-01.
    pub dns: Option<DnsUpdate>,
    /// Where accounts, orders, certificates and their keys are kept; `None`: the usual folder.
    pub state: Option<PathBuf>,
}

/// A certificate authority.
#[derive(Clone, Debug, PartialEq)]
pub struct Authority {
    /// What logs call it: its word, or its URL's host and port.
    pub name: String,
    /// Its directory.
    pub directory: String,
    /// One that browsers believe: it gives no certificate for a name that is not public.
    pub public: bool,
    /// The roots that its own server is verified with, PEM; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// Binds our account to one that the operator has there (RFC 8555 section 7.3.4).
    pub binding: Option<Binding>,
    /// One of the profiles that its directory names.
    pub profile: Option<String>,
}

/// External account binding.
#[derive(Clone, PartialEq)]
pub struct Binding {
    /// The key's id.
    pub id: String,
    /// The key, base64url.
    pub key: Secret,
}

/// Shows no key: configurations are printed.
impl std::fmt::Debug for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Binding").field(&self.id).finish()
    }
}

/// Something secret, written here or in a file of its own.
#[derive(Clone, PartialEq)]
pub enum Secret {
    /// In the configuration.
    Text(String),
    /// In this file, whose white space at the ends does not count.
    File(PathBuf),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// What kind of key a certificate is ordered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// How a host is proved to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Challenge {
    /// In a TLS handshake on port 443 (RFC 8737).
    TlsAlpn01,
    /// By a request on port 80 (RFC 8555 section 8.3).
    Http01,
    /// By a TXT record (RFC 8555 section 8.4); the only one for wildcards.
    Dns01,
}

/// How TXT records come into the DNS.
#[derive(Clone, Debug, PartialEq)]
pub enum DnsUpdate {
    /// By an external program.
    Program {
        /// Its file.
        path: PathBuf,
        /// Its first arguments.
        arguments: Vec<String>,
        /// For one call. Default 2m.
        time: Duration,
    },
    /// By dynamic update (RFC 2136).
    Rfc2136 {
        /// The primary nameserver, asked over TCP.
        server: SocketAddr,
        /// The zone; `None`: the server is asked.
        zone: Option<String>,
        /// Signs updates (RFC 8945).
        key: Option<TsigKey>,
    },
}

/// A key for signed updates.
#[derive(Clone, Debug, PartialEq)]
pub struct TsigKey {
    /// As the server calls it.
    pub name: String,
    /// `hmac-sha256`, `hmac-sha384` or `hmac-sha512`.
    pub algorithm: TsigAlgorithm,
    /// Base64.
    pub secret: Secret,
}

/// How updates are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// The one that every server has (RFC 8945 section 6).
    HmacSha256,
    /// With SHA-384.
    HmacSha384,
    /// With SHA-512.
    HmacSha512,
}

impl TsigAlgorithm {
    /// As servers call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }
}

impl Challenge {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        }
    }
}
