//! Who may come in.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::hash::Hash;

/// Users by name.
#[derive(Debug)]
pub struct Users {
    known: BTreeMap<String, User>,
    /// The slowest hash of all: what is computed for a name that nobody has, so that the time does not tell which names there are.
    slowest: Hash,
}

/// One of them.
#[derive(Debug)]
pub struct User {
    /// To compare passwords with.
    pub hash: Hash,
    line: String,
}

impl Users {
    /// Reads lines `name:hash`. Empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    ///
    /// A sentence for the operator with the line's place, never with the line itself: it may be a password.
    pub fn parse<'a>(lines: impl Iterator<Item = (String, &'a str)>) -> Result<Self, String> {
        let mut known = BTreeMap::new();
        for (place, line) in lines {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, hash) = line
                .split_once(':')
                .ok_or_else(|| format!("{place}: there is no colon: write \"name:hash\", as htpasswd does"))?;
            if name.is_empty() || name.len() > 255 || name.trim() != name || name.chars().any(char::is_control) {
                return Err(format!(
                    "{place}: the name must have 1 to 255 bytes, no control characters, and no space around it"
                ));
            }
            let hash = Hash::parse(hash).map_err(|reason| format!("{place} ({name}): {reason}"))?;
            if known.insert(name.to_owned(), User { hash, line: line.to_owned() }).is_some() {
                return Err(format!("{place}: {name:?} is there twice"));
            }
        }
        let slowest = known.values().map(|user| &user.hash).max_by_key(|hash| hash.work()).cloned();
        let slowest = slowest.ok_or("there are no users: write `users` or `htpasswd`")?;
        Ok(Self { known, slowest })
    }

    /// The user of that name.
    pub fn find(&self, name: &str) -> Option<&User> {
        self.known.get(name)
    }

    /// Takes as long as a comparison and finds nothing.
    pub fn waste(&self, password: &[u8]) {
        std::hint::black_box(self.slowest.matches(password));
    }
}

impl User {
    /// What a good password is remembered by: SHA-256 of the user's line, with the salt in it, and the password. Another hash in the table
    /// makes another, so that a password that was changed is forgotten.
    pub fn memory(&self, password: &[u8]) -> String {
        let mut digest = Sha256::new();
        digest.update((self.line.len() as u64).to_be_bytes());
        digest.update(&self.line);
        digest.update(password);
        let digest = digest.finalize();
        let mut key = String::from("good/");
        for byte in digest {
            for digit in [byte >> 4, byte & 15] {
                key.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        key
    }
}
