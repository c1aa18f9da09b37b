//! Keys as JSON (RFC 7517, RFC 7518 section 6, RFC 8037) and as PEM.

use base64ct::{Base64UrlUnpadded, Encoding};
use p256::ecdsa::VerifyingKey as P256Key;
use p384::ecdsa::VerifyingKey as P384Key;
use rsa::{BigUint, RsaPublicKey, pkcs1::DecodeRsaPublicKey};
use serde::Deserialize;
use serde_json::Value;
use spki::{DecodePublicKey, Document, ObjectIdentifier, SubjectPublicKeyInfoRef};

use crate::{
    algorithm::Algorithm,
    key::{Key, Material},
};

/// Members of a key that mean something here. Others are ignored, as the RFC wants.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

/// One key of a set.
///
/// # Errors
///
/// Half a sentence about why it cannot be used.
pub fn key(value: &Value) -> Result<Key, String> {
    let jwk = Jwk::deserialize(value).map_err(|error| format!("it is no JWK: {error}"))?;
    if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return Err("its `use` is not \"sig\"".to_owned());
    }
    if jwk.key_ops.as_ref().is_some_and(|operations| !operations.iter().any(|operation| operation == "verify")) {
        return Err("its `key_ops` lack \"verify\"".to_owned());
    }
    let algorithms = match &jwk.alg {
        Some(name) => Some(vec![Algorithm::named(name).ok_or_else(|| format!("its `alg` {name:?} is not known"))?]),
        None => None,
    };
    let material = material(&jwk)?;
    Key::new(jwk.kid, material, algorithms)
}

/// A set, read.
pub struct Set<'a> {
    /// The keys that can be used, with their JSON.
    pub usable: Vec<(Key, &'a Value)>,
    /// Why the others cannot.
    pub refused: Vec<String>,
}

/// Reads a set (`{"keys": [...]}`).
///
/// # Errors
///
/// Half a sentence: it is no set, or one of more than a hundred keys.
pub fn set(value: &Value) -> Result<Set<'_>, String> {
    let keys = value.get("keys").and_then(Value::as_array).ok_or("it is no key set: there is no array `keys`")?;
    if keys.len() > 100 {
        return Err(format!("it has {} keys, more than 100", keys.len()));
    }
    let (mut usable, mut refused) = (Vec::new(), Vec::new());
    for (at, value) in keys.iter().enumerate() {
        match key(value) {
            Ok(key) => usable.push((key, value)),
            Err(reason) => refused.push(format!("keys[{at}]: {reason}")),
        }
    }
    Ok(Set { usable, refused })
}

/// A public key as PEM: `PUBLIC KEY` of any kind, or `RSA PUBLIC KEY`.
///
/// # Errors
///
/// Half a sentence about what is wrong with it.
pub fn pem(text: &str) -> Result<Material, String> {
    let (label, document) = Document::from_pem(text.trim()).map_err(|error| format!("it is no PEM: {error}"))?;
    match label {
        "PUBLIC KEY" => public_key(document.as_bytes()),
        "RSA PUBLIC KEY" => {
            RsaPublicKey::from_pkcs1_der(document.as_bytes()).map(Material::Rsa).map_err(|error| error.to_string())
        }
        "CERTIFICATE" => Err("it is a certificate: take its key with: openssl x509 -in FILE -noout -pubkey".to_owned()),
        label if label.ends_with("PRIVATE KEY") => Err(
            "it is a private key, which does not belong here: take the public one with: openssl pkey -in FILE -pubout"
                .to_owned(),
        ),
        label => Err(format!("it is a {label:?}, not a PUBLIC KEY")),
    }
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

fn public_key(der: &[u8]) -> Result<Material, String> {
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|error| error.to_string())?;
    let wrong = |error: spki::Error| error.to_string();
    match info.algorithm.oid {
        RSA => RsaPublicKey::from_public_key_der(der).map(Material::Rsa).map_err(wrong),
        // The curve is a parameter: one of the two reads it.
        EC => P256Key::from_public_key_der(der)
            .map(Material::P256)
            .or_else(|_| P384Key::from_public_key_der(der).map(Material::P384))
            .map_err(|_| "it is an elliptic curve key, but neither of P-256 nor of P-384".to_owned()),
        ED25519 => ed25519_dalek::VerifyingKey::from_public_key_der(der).map(Material::Ed25519).map_err(wrong),
        other => Err(format!("its algorithm {other} is not known: RSA, P-256, P-384 and Ed25519 are")),
    }
}

fn material(jwk: &Jwk) -> Result<Material, String> {
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let (n, e) = (bytes("n", jwk.n.as_ref())?, bytes("e", jwk.e.as_ref())?);
            RsaPublicKey::new(BigUint::from_bytes_be(&n), BigUint::from_bytes_be(&e))
                .map(Material::Rsa)
                .map_err(|error| error.to_string())
        }
        ("EC", Some("P-256")) => P256Key::from_sec1_bytes(&point(jwk, 32)?)
            .map(Material::P256)
            .map_err(|_| "it is no point of P-256".to_owned()),
        ("EC", Some("P-384")) => P384Key::from_sec1_bytes(&point(jwk, 48)?)
            .map(Material::P384)
            .map_err(|_| "it is no point of P-384".to_owned()),
        ("OKP", Some("Ed25519")) => {
            let x: [u8; 32] = bytes("x", jwk.x.as_ref())?.try_into().map_err(|_| "`x` has not 32 bytes".to_owned())?;
            ed25519_dalek::VerifyingKey::from_bytes(&x)
                .map(Material::Ed25519)
                .map_err(|_| "it is no point of Ed25519".to_owned())
        }
        ("oct", _) => bytes("k", jwk.k.as_ref()).map(Material::Secret),
        (kind, Some(curve)) => Err(format!("`kty` {kind:?} with `crv` {curve:?} is not known")),
        (kind, None) => Err(format!("`kty` {kind:?} without `crv` is not known")),
    }
}

/// An uncompressed point (SEC 1): 4, x, y. Coordinates have the curve's full length (RFC 7518 section 6.2.1.2).
fn point(jwk: &Jwk, size: usize) -> Result<Vec<u8>, String> {
    let mut point = vec![4];
    for (name, value) in [("x", &jwk.x), ("y", &jwk.y)] {
        let coordinate = bytes(name, value.as_ref())?;
        if coordinate.len() != size {
            return Err(format!("`{name}` has {} bytes, not {size}", coordinate.len()));
        }
        point.extend_from_slice(&coordinate);
    }
    Ok(point)
}

fn bytes(name: &str, value: Option<&String>) -> Result<Vec<u8>, String> {
    let value = value.ok_or_else(|| format!("`{name}` is missing"))?;
    Base64UrlUnpadded::decode_vec(value).map_err(|_| format!("`{name}` is not base64url"))
}
