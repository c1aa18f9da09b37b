//! The signature algorithms of RFC 7518 and RFC 8037 that are taken. `none` is not among them, so it is refused as any unknown name.

use std::fmt;

use serde::Deserialize;

/// What `alg` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    /// RFC 9864 calls it `Ed25519`.
    #[serde(alias = "Ed25519")]
    EdDSA,
}

impl Algorithm {
    /// With a shared secret.
    pub const HMAC: [Self; 3] = [Self::HS256, Self::HS384, Self::HS512];
    /// With an RSA key.
    pub const RSA: [Self; 6] = [Self::RS256, Self::RS384, Self::RS512, Self::PS256, Self::PS384, Self::PS512];

    /// Reads a name as tokens and key sets have it.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::HS256,
            "HS384" => Self::HS384,
            "HS512" => Self::HS512,
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "EdDSA" | "Ed25519" => Self::EdDSA,
            _ => return None,
        })
    }

    /// Bytes that a secret must have at least: as many as the hash (RFC 7518 section 3.2).
    pub fn shortest_secret(self) -> usize {
        match self {
            Self::HS384 => 48,
            Self::HS512 => 64,
            _ => 32,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
