//! Documents that others may see but not read: AES-256-GCM (NIST SP 800-38D) under a key of the operator's.
//!
//! `pcs1` | key id (4 bytes) | nonce (12 bytes) | ciphertext and tag. The document's key is the associated data: a sealed document moved to
//! another place does not open there.

use std::{fmt, path::Path, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
    rand,
};

use crate::storage::{Folder, Key, Lease, Pending, Storage, StorageError};

const MAGIC: &[u8; 4] = b"pcs1";
const HEAD: usize = 4 + 4 + NONCE_LEN;

/// A key, and those it replaced, which still open what they sealed.
pub struct SealKeys {
    keys: Vec<(u32, LessSafeKey)>,
}

impl SealKeys {
    /// Reads keys from text: one a line, 32 bytes in base64 or hex; the first one seals. Empty lines and those that begin with `#` do not count.
    ///
    /// # Errors
    /// A sentence that names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bytes = decode(line).ok_or_else(|| {
                format!("line {} is no key: 32 random bytes are expected, in base64 (44 characters) or hex (64). Make one with: openssl rand -base64 32", index + 1)
            })?;
            let id = digest(&SHA256, &bytes);
            let id = u32::from_be_bytes([id.as_ref()[0], id.as_ref()[1], id.as_ref()[2], id.as_ref()[3]]);
            let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| format!("line {} is no key", index + 1))?;
            keys.push((id, LessSafeKey::new(key)));
        }
        if keys.is_empty() {
            return Err("there is no key. Make one with: openssl rand -base64 32".into());
        }
        Ok(Self { keys })
    }

    /// Reads a file of keys.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn file(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn seal(&self, place: &Key, document: &[u8]) -> Result<Vec<u8>, StorageError> {
        let (id, key) = &self.keys[0];
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| failed(place, "the system has no randomness to give"))?;
        let mut sealed = Vec::with_capacity(HEAD + document.len() + 16);
        sealed.extend_from_slice(MAGIC);
        sealed.extend_from_slice(&id.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        let mut body = document.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.to_string()), &mut body)
            .map_err(|_| failed(place, "it is too long"))?;
        sealed.append(&mut body);
        Ok(sealed)
    }

    fn open(&self, place: &Key, mut sealed: Vec<u8>) -> Result<Vec<u8>, StorageError> {
        if sealed.len() < HEAD || &sealed[..4] != MAGIC {
            return Err(failed(place, "it is not sealed; it was not written by portcullis with a seal key"));
        }
        let id = u32::from_be_bytes([sealed[4], sealed[5], sealed[6], sealed[7]]);
        let (_, key) = self.keys.iter().find(|(known, _)| *known == id).ok_or_else(|| {
            failed(place, "it was sealed with a key that is not here. Add that key as a further line of the key file")
        })?;
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&sealed[8..HEAD]);
        let body = key
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(place.to_string()), &mut sealed[HEAD..])
            .map_err(|_| failed(place, "it was changed after it was sealed"))?;
        Ok(body.to_vec())
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKeys({})", self.keys.len())
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let bytes = if text.len() == 64 && text.is_ascii() {
        (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect::<Option<Vec<_>>>()?
    } else {
        base64::engine::general_purpose::STANDARD.decode(text).ok()?
    };
    (bytes.len() == 32).then_some(bytes)
}

fn failed(place: &Key, reason: &str) -> StorageError {
    StorageError::Sealed { key: place.to_string(), reason: reason.into() }
}

/// A storage whose documents are sealed before they leave the process.
#[derive(Debug)]
pub struct Sealed<S> {
    inner: S,
    keys: Arc<SealKeys>,
}

impl<S: Storage> Sealed<S> {
    /// Seals what goes into `inner`.
    pub fn new(inner: S, keys: SealKeys) -> Self {
        Self { inner, keys: Arc::new(keys) }
    }
}

impl<S: Storage> Storage for Sealed<S> {
    fn read<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(async move { self.inner.read(key).await?.map(|sealed| self.keys.open(key, sealed)).transpose() })
    }

    fn write<'a>(&'a self, key: &'a Key, document: &'a [u8]) -> Pending<'a, ()> {
        Box::pin(async move { self.inner.write(key, &self.keys.seal(key, document)?).await })
    }

    fn delete<'a>(&'a self, key: &'a Key) -> Pending<'a, ()> {
        self.inner.delete(key)
    }

    fn list(&self, folder: Folder) -> Pending<'_, Vec<String>> {
        self.inner.list(folder)
    }

    fn set_aside<'a>(&'a self, key: &'a Key) -> Pending<'a, ()> {
        self.inner.set_aside(key)
    }

    fn lease<'a>(&'a self, name: &'a str, time: std::time::Duration) -> Pending<'a, Option<Lease>> {
        self.inner.lease(name, time)
    }

    fn shared(&self) -> bool {
        self.inner.shared()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const SECOND: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

    #[test]
    fn what_was_sealed_opens_at_its_place_only() {
        let keys = SealKeys::parse(FIRST).unwrap();
        let here = Key::new(Folder::Certificates, "a");
        let there = Key::new(Folder::Certificates, "b");
        let sealed = keys.seal(&here, b"secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(keys.open(&here, sealed.clone()).unwrap(), b"secret");
        assert!(keys.open(&there, sealed.clone()).is_err());
        for at in [0, 5, 10, HEAD, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys.open(&here, changed).is_err(), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(keys.open(&here, sealed[..length].to_vec()).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_key_that_was_replaced_still_opens() {
        let old = SealKeys::parse(FIRST).unwrap();
        let both = SealKeys::parse(&format!("# new first\n{SECOND}\n\n{FIRST}\n")).unwrap();
        let place = Key::new(Folder::Shared, "x");
        let sealed = old.seal(&place, b"x").unwrap();
        assert_eq!(both.open(&place, sealed).unwrap(), b"x");
        let error = old.open(&place, both.seal(&place, b"y").unwrap()).unwrap_err().to_string();
        assert!(error.contains("further line"), "{error}");
    }

    #[test]
    fn what_is_no_key_is_named_by_its_line() {
        assert!(SealKeys::parse("").unwrap_err().contains("openssl rand"));
        assert!(SealKeys::parse("# x\nshort").unwrap_err().contains("line 2"));
        assert!(SealKeys::parse(&"é".repeat(32)).is_err());
    }
}
