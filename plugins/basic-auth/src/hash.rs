//! Password hashes as `htpasswd -B`, `htpasswd -2`, `htpasswd -5` and `mkpasswd` make them.

use base64ct::{Base64Bcrypt, Encoding};
use sha_crypt::{Sha256Params, Sha512Params};
use subtle::ConstantTimeEq;

/// The most work taken: bcrypt with cost 12, four thousand rounds of key set-up, takes about a quarter of a second of a processor
/// natively. Whoever sends wrong passwords makes the proxy do that.
const HIGHEST_COST: u32 = 12;
/// Of SHA-crypt: twenty times its default, about as long.
const MOST_ROUNDS: usize = 100_000;

/// A password's hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hash {
    /// `$2y$`, and `$2a$` and `$2b$`, which mean the same to every implementation of this century.
    Bcrypt {
        /// The logarithm of the work.
        cost: u32,
        /// Of this hash.
        salt: [u8; 16],
        /// 184 bits of what came out.
        expected: [u8; 23],
    },
    /// `$5$`
    Sha256 {
        /// Of the work.
        rounds: usize,
        /// Of this hash.
        salt: String,
        /// In its own base64.
        expected: String,
    },
    /// `$6$`
    Sha512 {
        /// Of the work.
        rounds: usize,
        /// Of this hash.
        salt: String,
        /// In its own base64.
        expected: String,
    },
}

impl Hash {
    /// Reads a hash.
    ///
    /// # Errors
    ///
    /// Half a sentence for the operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.strip_prefix('$').and_then(|text| text.split_once('$')).ok_or_else(|| unknown(text))?;
        match kind {
            "2y" | "2b" | "2a" => bcrypt(rest),
            "5" | "6" => sha(kind == "5", rest),
            _ => Err(unknown(text)),
        }
    }

    /// Whether it is of this password. Takes the time that the hash says, whatever comes out.
    pub fn matches(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt { cost, salt, expected } => {
                // A C string to bcrypt: it ends with NUL, and what is over 72 bytes does not count.
                let mut input = password.to_vec();
                input.push(0);
                input.truncate(72);
                bcrypt::bcrypt(*cost, *salt, &input)[..23].ct_eq(expected).into()
            }
            Self::Sha256 { rounds, salt, expected } => {
                let found = Sha256Params::new(*rounds)
                    .and_then(|params| sha_crypt::sha256_crypt_b64(password, salt.as_bytes(), &params));
                found.is_ok_and(|found| found.as_bytes().ct_eq(expected.as_bytes()).into())
            }
            Self::Sha512 { rounds, salt, expected } => {
                let found = Sha512Params::new(*rounds)
                    .and_then(|params| sha_crypt::sha512_crypt_b64(password, salt.as_bytes(), &params));
                found.is_ok_and(|found| found.as_bytes().ct_eq(expected.as_bytes()).into())
            }
        }
    }

    /// How long it takes, to compare with others: of bcrypt about 60 µs for each of its rounds, of SHA-crypt about half of one.
    pub fn work(&self) -> u64 {
        match self {
            Self::Bcrypt { cost, .. } => 120 << cost,
            Self::Sha256 { rounds, .. } | Self::Sha512 { rounds, .. } => *rounds as u64,
        }
    }
}

fn bcrypt(rest: &str) -> Result<Hash, String> {
    let broken = || "the bcrypt hash is broken: it must have 60 characters as htpasswd wrote it".to_owned();
    let (cost, data) = rest.split_once('$').ok_or_else(broken)?;
    let cost = cost.parse().ok().filter(|_| cost.len() == 2).ok_or_else(broken)?;
    if !(4..=HIGHEST_COST).contains(&cost) {
        return Err(format!(
            "bcrypt with cost {cost} is not taken, 4 to {HIGHEST_COST} is: make another with: htpasswd -B -C 8"
        ));
    }
    let (salt, expected) = data.split_at_checked(22).filter(|_| data.len() == 53).ok_or_else(broken)?;
    let decode = |text: &str, bytes: &mut [u8]| Base64Bcrypt::decode(text, bytes).map(<[u8]>::len).ok();
    let (mut hash_salt, mut hash) = ([0; 16], [0; 23]);
    match (decode(salt, &mut hash_salt), decode(expected, &mut hash)) {
        (Some(16), Some(23)) => Ok(Hash::Bcrypt { cost, salt: hash_salt, expected: hash }),
        _ => Err(broken()),
    }
}

fn sha(short: bool, rest: &str) -> Result<Hash, String> {
    let broken = || "the hash is broken: write it as htpasswd or mkpasswd wrote it".to_owned();
    let (rounds, rest) = match rest.strip_prefix("rounds=") {
        Some(rest) => {
            let (rounds, rest) = rest.split_once('$').ok_or_else(broken)?;
            (rounds.parse().map_err(|_| broken())?, rest)
        }
        None => (sha_crypt::ROUNDS_DEFAULT, rest),
    };
    if !(1000..=MOST_ROUNDS).contains(&rounds) {
        return Err(format!("{rounds} rounds are not taken, 1000 to {MOST_ROUNDS} are"));
    }
    let (salt, expected) = rest.split_once('$').ok_or_else(broken)?;
    let ours = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    if salt.len() > 16 || expected.len() != if short { 43 } else { 86 } || !expected.bytes().all(ours) {
        return Err(broken());
    }
    let (salt, expected) = (salt.to_owned(), expected.to_owned());
    Ok(if short { Hash::Sha256 { rounds, salt, expected } } else { Hash::Sha512 { rounds, salt, expected } })
}

fn unknown(text: &str) -> String {
    let what = if text.starts_with("$apr1$") {
        "an MD5 hash, which is too quick to guess"
    } else if text.starts_with("{SHA}") {
        "a bare SHA-1 hash, which is too quick to guess"
    } else if text.starts_with("$argon2") || text.starts_with("$y$") || text.starts_with("$7$") {
        "of a kind that takes more memory than a plugin should"
    } else {
        // It may be a password.
        "no hash that is known"
    };
    format!("it is {what}: make one with: htpasswd -B -C 8")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tests of jBCrypt, from Drepper's text on SHA-crypt, from OpenSSL 3 and from Python's bcrypt.
    #[test]
    fn hashes_of_others_match() {
        for (hash, password) in VECTORS {
            let parsed = Hash::parse(hash).unwrap_or_else(|error| panic!("{hash}: {error}"));
            assert!(parsed.matches(password.as_bytes()), "{hash}");
            assert!(!parsed.matches(format!("{password}x").as_bytes()), "{hash}");
            assert!(!parsed.matches(b""), "{hash}");
        }
    }

    const VECTORS: [(&str, &str); 6] = [
        ("$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", "a"),
        ("$2y$05$k2hbQ8IRTzKOG25jHOyUQO9kkGyKV2RHghxlaWwyMh0KssHNvw4TG", "open sesame"),
        ("$2y$04$2wS65Znd9DZozPRL1nF0d.Pwc7OccLbhYgNsrie6UuqbUGqHaUXa6", "pässword"),
        ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"),
        ("$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA", "Hello world!"),
        ("$6$abc$We/zNc8oYCOt9Gy7wjQNaIZrsfcArOZgXUJBix2o20WroMAFqNTB8UqGL792.xnxbJDEdGcXwRAMK/zy7svCJ/", "pässword"),
    ];

    #[test]
    fn of_long_passwords_bcrypt_reads_72_bytes_as_others_do() {
        let hash = Hash::parse("$2b$04$0SczFhijMmtSHA88G1fLE.b4tYJfISnKKk6CkFYcUT7itDqQKoWje").unwrap();
        assert!(hash.matches(&[b'a'; 72]));
        assert!(hash.matches(&[b'a'; 80]));
        assert!(!hash.matches(&[b'a'; 71]));
    }

    #[test]
    fn what_is_no_hash_is_refused_with_what_to_do() {
        for (text, part) in [
            ("secret", "no hash that is known"),
            ("", "no hash that is known"),
            ("$apr1$x$y", "MD5"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"),
            ("$argon2id$v=19$m=65536", "memory"),
            ("$2y$13$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzabcde", "cost 13"),
            ("$2y$31$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzabcde", "cost 31"),
            ("$2y$05$short", "broken"),
            ("$2y$05$äbcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzabcd", "broken"),
            ("$2y$5$abc", "broken"),
            ("$6$rounds=999999999$salt$x", "999999999 rounds"),
            ("$6$rounds=x$salt$x", "broken"),
            ("$6$salt$short", "broken"),
            ("$5$seventeen-letters$x", "broken"),
        ] {
            let error = Hash::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
