//! Keys, and what signatures they can check.
//!
//! The key says which algorithms it is for, never the token: a token that says `HS256` is not checked with an RSA key's bytes as a secret.

use ed25519_dalek::VerifyingKey as Ed25519Key;
use hmac::{Hmac, Mac};
use p256::ecdsa::VerifyingKey as P256Key;
use p384::ecdsa::VerifyingKey as P384Key;
use rsa::{RsaPublicKey, pkcs1v15, pss, signature::Verifier, traits::PublicKeyParts};
use sha2::{Sha256, Sha384, Sha512};

use crate::algorithm::Algorithm;

/// A key that signatures are checked with.
#[derive(Clone, Debug)]
pub struct Key {
    /// `kid`, when it has one.
    pub id: Option<String>,
    /// What it is used with: at least one, and only such as its material is for.
    algorithms: Vec<Algorithm>,
    material: Material,
}

/// What a key is made of.
#[derive(Clone)]
pub enum Material {
    /// A shared secret.
    Secret(Vec<u8>),
    /// An RSA key.
    Rsa(RsaPublicKey),
    /// A point on P-256.
    P256(P256Key),
    /// A point on P-384.
    P384(P384Key),
    /// A point on edwards25519.
    Ed25519(Ed25519Key),
}

impl std::fmt::Debug for Material {
    /// Never the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind())
    }
}

impl Key {
    /// A key of `material`, for `algorithms` or, without, for all that it can be used with.
    ///
    /// # Errors
    ///
    /// Half a sentence: an algorithm is not for this kind of key, or the key is too weak or too large.
    pub fn new(id: Option<String>, material: Material, algorithms: Option<Vec<Algorithm>>) -> Result<Self, String> {
        let possible = material.algorithms();
        let algorithms = algorithms.unwrap_or_else(|| material.usual().to_vec());
        if algorithms.is_empty() {
            return Err("no algorithm is named".to_owned());
        }
        if let Some(wrong) = algorithms.iter().find(|algorithm| !possible.contains(algorithm)) {
            return Err(format!("{wrong} is not for {}", material.kind()));
        }
        material.check(&algorithms)?;
        Ok(Self { id, algorithms, material })
    }

    /// Whether it is a shared secret.
    pub fn is_secret(&self) -> bool {
        matches!(self.material, Material::Secret(_))
    }

    /// Whether it may be tried for a token with this `alg` and `kid`. A key without a name is for every name.
    pub fn fits(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        let named = match (&self.id, id) {
            (Some(own), Some(id)) => own == id,
            _ => true,
        };
        named && self.algorithms.contains(&algorithm)
    }

    /// Whether `signature` is of `message`. False as well for an algorithm that the key is not for.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.algorithms.contains(&algorithm) {
            return false;
        }
        match (&self.material, algorithm) {
            (Material::Secret(secret), Algorithm::HS256) => hmac::<Hmac<Sha256>>(secret, message, signature),
            (Material::Secret(secret), Algorithm::HS384) => hmac::<Hmac<Sha384>>(secret, message, signature),
            (Material::Secret(secret), Algorithm::HS512) => hmac::<Hmac<Sha512>>(secret, message, signature),
            (Material::Rsa(key), Algorithm::RS256) => pkcs1::<Sha256>(key, message, signature),
            (Material::Rsa(key), Algorithm::RS384) => pkcs1::<Sha384>(key, message, signature),
            (Material::Rsa(key), Algorithm::RS512) => pkcs1::<Sha512>(key, message, signature),
            (Material::Rsa(key), Algorithm::PS256) => pss::<Sha256>(key, message, signature),
            (Material::Rsa(key), Algorithm::PS384) => pss::<Sha384>(key, message, signature),
            (Material::Rsa(key), Algorithm::PS512) => pss::<Sha512>(key, message, signature),
            (Material::P256(key), Algorithm::ES256) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            (Material::P384(key), Algorithm::ES384) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            (Material::Ed25519(key), Algorithm::EdDSA) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            _ => false,
        }
    }
}

impl Material {
    fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "a shared secret",
            Self::Rsa(_) => "an RSA key",
            Self::P256(_) => "a P-256 key",
            Self::P384(_) => "a P-384 key",
            Self::Ed25519(_) => "an Ed25519 key",
        }
    }

    fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Secret(_) => &Algorithm::HMAC,
            Self::Rsa(_) => &Algorithm::RSA,
            Self::P256(_) => &[Algorithm::ES256],
            Self::P384(_) => &[Algorithm::ES384],
            Self::Ed25519(_) => &[Algorithm::EdDSA],
        }
    }

    /// Without a word of the operator: of secrets the longest hash that they are long enough for is not guessed, it is HS256.
    fn usual(&self) -> &'static [Algorithm] {
        match self {
            Self::Secret(_) => &[Algorithm::HS256],
            _ => self.algorithms(),
        }
    }

    fn check(&self, algorithms: &[Algorithm]) -> Result<(), String> {
        match self {
            Self::Secret(secret) => {
                match algorithms.iter().find(|algorithm| secret.len() < algorithm.shortest_secret()) {
                    Some(algorithm) => Err(format!(
                        "the secret has {} bytes, {algorithm} needs at least {} (RFC 7518); make one with: openssl rand -base64 {}",
                        secret.len(),
                        algorithm.shortest_secret(),
                        algorithm.shortest_secret(),
                    )),
                    None => Ok(()),
                }
            }
            // The upper end is the `rsa` crate's own, RsaPublicKey::MAX_SIZE: a check must not take the time of many others.
            Self::Rsa(key) if key.n().bits() < 2048 => {
                Err(format!("the RSA key has {} bits, and at least 2048 are needed (RFC 7518)", key.n().bits()))
            }
            Self::Ed25519(key) if key.is_weak() => {
                Err("the Ed25519 key is one of the few that sign anything".to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn hmac<M: Mac + hmac::digest::KeyInit>(secret: &[u8], message: &[u8], signature: &[u8]) -> bool {
    // Compares in constant time.
    <M as Mac>::new_from_slice(secret).is_ok_and(|mac| mac.chain_update(message).verify_slice(signature).is_ok())
}

fn pkcs1<D: rsa::signature::digest::Digest + sha2::digest::const_oid::AssociatedOid>(
    key: &RsaPublicKey,
    message: &[u8],
    signature: &[u8],
) -> bool {
    pkcs1v15::Signature::try_from(signature)
        .is_ok_and(|signature| pkcs1v15::VerifyingKey::<D>::new(key.clone()).verify(message, &signature).is_ok())
}

fn pss<D: rsa::signature::digest::Digest + rsa::signature::digest::FixedOutputReset>(
    key: &RsaPublicKey,
    message: &[u8],
    signature: &[u8],
) -> bool {
    pss::Signature::try_from(signature)
        .is_ok_and(|signature| pss::VerifyingKey::<D>::new(key.clone()).verify(message, &signature).is_ok())
}
