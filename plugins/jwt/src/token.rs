//! A token in its compact form (RFC 7515 section 3.1), taken apart. Nothing of it is true before its signature was checked.

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{algorithm::Algorithm, key::Key};

/// Bytes of the longest token taken. Heads of requests are about as long at most.
pub const LONGEST: usize = 16 << 10;

/// A token whose signature was not checked.
#[derive(Debug)]
pub struct Token<'a> {
    /// Which algorithm it says it was signed with.
    pub algorithm: Algorithm,
    /// Which key it says it was signed with.
    pub key_id: Option<String>,
    /// What it says it is.
    pub kind: Option<String>,
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

/// A member that comes twice is an error of this type's deserialisation, as RFC 7515 section 4 allows.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl<'a> Token<'a> {
    /// Takes `text` apart.
    ///
    /// # Errors
    ///
    /// Half a sentence for the client.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("the token is too long");
        }
        let (signed, signature) = text.rsplit_once('.').ok_or("the token is no JWT")?;
        let (header, payload) = signed.split_once('.').ok_or("the token is no JWT")?;
        if payload.contains('.') {
            return Err("the token has more than three parts; encrypted ones are not taken");
        }
        let header = decode(header).ok_or("the token's header is not base64url")?;
        let header: Header =
            serde_json::from_slice(&header).map_err(|_| "the token's header is not what it must be")?;
        // RFC 7515 section 4.1.11: whoever does not understand all of it must refuse. We know of no extension.
        if header.crit.is_some() {
            return Err("the token needs an extension that is not known");
        }
        Ok(Self {
            algorithm: Algorithm::named(&header.alg).ok_or("the token's algorithm is not taken")?,
            key_id: header.kid,
            kind: header.typ,
            signed,
            payload,
            signature: decode(signature).ok_or("the token's signature is not base64url")?,
        })
    }

    /// Whether this key signed it.
    pub fn is_signed_by(&self, key: &Key) -> bool {
        key.fits(self.algorithm, self.key_id.as_deref())
            && key.verify(self.algorithm, self.signed.as_bytes(), &self.signature)
    }

    /// The claims. Ask only when the signature was checked.
    ///
    /// # Errors
    ///
    /// Half a sentence for the client.
    pub fn claims(&self) -> Result<Map<String, Value>, &'static str> {
        let payload = decode(self.payload).ok_or("the token's claims are not base64url")?;
        serde_json::from_slice(&payload).map_err(|_| "the token's claims are no JSON object")
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}
