//! Where state is kept: small documents by key, and leases, so that of several processes one does a thing.

use std::{fmt, future::Future, pin::Pin, time::Duration};

pub mod disk;

/// What storages return: a future that may move between threads.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>>;

/// Where state is kept.
///
/// Every operation is atomic, and safe to be cancelled: a document is there as it was or as it was to be. Bytes that cannot be read as a
/// document are the reader's to judge; it then says [`set_aside`](Storage::set_aside).
pub trait Storage: Send + Sync + fmt::Debug {
    /// The document, or `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be known.
    fn read<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Vec<u8>>>;

    /// Puts a document in place of what was there. When this returns it survives a power failure (disk) or the death of this process (a server).
    ///
    /// # Errors
    /// When it is not certain that it is kept.
    fn write<'a>(&'a self, key: &'a Key, document: &'a [u8]) -> Pending<'a, ()>;

    /// Removes a document; one that is not there is no error.
    ///
    /// # Errors
    /// When it may still be there.
    fn delete<'a>(&'a self, key: &'a Key) -> Pending<'a, ()>;

    /// The names of the documents in a folder, sorted.
    ///
    /// # Errors
    /// When they cannot be known.
    fn list(&self, folder: Folder) -> Pending<'_, Vec<String>>;

    /// Takes a document that cannot be understood out of the way without losing it.
    ///
    /// # Errors
    /// When it is still in the way.
    fn set_aside<'a>(&'a self, key: &'a Key) -> Pending<'a, ()>;

    /// The right to do `name` alone, or `None` when somebody else has it. It ends when the lease is dropped, when its process dies, or, where
    /// that cannot be seen, `time` after the process was last heard of.
    ///
    /// # Errors
    /// When it cannot be known who has it.
    fn lease<'a>(&'a self, name: &'a str, time: Duration) -> Pending<'a, Option<Lease>>;

    /// Whether other machines read and write here too.
    fn shared(&self) -> bool;
}

/// What kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// One for each authority.
    Accounts,
    /// One for each subject and kind of key: the certificate in use.
    Certificates,
    /// Orders under way, one for each subject and kind of key.
    Orders,
    /// What was tried and how it went, one for each subject.
    Attempts,
    /// Answers to challenges, by token, for as long as they are asked.
    Challenges,
    /// What the fleet shares beside: session ticket keys, the local authority.
    Shared,
}

impl Folder {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Accounts, Self::Certificates, Self::Orders, Self::Attempts, Self::Challenges, Self::Shared];

    /// As it is called on disk and in keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Certificates => "certificates",
            Self::Orders => "orders",
            Self::Attempts => "attempts",
            Self::Challenges => "challenges",
            Self::Shared => "shared",
        }
    }
}

/// A document's place. Its name is a file name on every system: letters, digits, `.`, `-`, `_`, at most 200 bytes, no leading dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    folder: Folder,
    name: String,
}

impl Key {
    /// A key. Names that are no file names are hashed into one, so that no name (a token of an authority, a host of a client) leads
    /// anywhere else; `*` and `:` are written `_` and `-`, for people who look at the folder.
    pub fn new(folder: Folder, name: &str) -> Self {
        let plain = name.replace('*', "_").replace(':', "-");
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let name = if !plain.is_empty() && plain.len() <= 200 && !plain.starts_with('.') && plain.bytes().all(fits) {
            plain
        } else {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
            digest.as_ref().iter().fold(String::from("h-"), |mut text, byte| {
                use fmt::Write as _;
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        Self { folder, name }
    }

    /// Its folder.
    pub fn folder(&self) -> Folder {
        self.folder
    }

    /// Its name in the folder.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.folder.name(), self.name)
    }
}

/// The right to do something alone. Dropping it gives it back.
pub struct Lease {
    held: Box<dyn Held>,
}

/// What a storage keeps in a [`Lease`].
pub trait Held: Send + Sync {
    /// Whether the right still stands, as far as is known.
    fn stands(&self) -> bool;
}

impl Lease {
    /// Wraps what is given back on drop.
    pub fn new(held: impl Held + 'static) -> Self {
        Self { held: Box::new(held) }
    }

    /// Whether it still stands. A storage that was away for longer than the lease's time may have given it to somebody else: ask before each
    /// step that must not be taken twice.
    pub fn stands(&self) -> bool {
        self.held.stands()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("stands", &self.stands()).finish()
    }
}

/// Why state cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("{path} can be read by others (mode {mode:o}); it holds private keys. Run: chmod {wanted:o} {path}")]
    Permissions {
        /// Which.
        path: String,
        /// Permission bits.
        mode: u32,
        /// What they must be.
        wanted: u32,
    },
    /// A server that keeps state does not answer.
    #[error("the store is away: {0}")]
    Away(String),
    /// A document over 1 MiB.
    #[error("{0} is larger than 1 MiB")]
    Size(String),
    /// A sealed document that this key does not open.
    #[error("{key} cannot be opened: {reason}")]
    Sealed {
        /// Which document.
        key: String,
        /// Why.
        reason: String,
    },
}

/// No document is larger.
pub const LARGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_its_folder() {
        for name in ["../x", "a/b", "", ".", "..", ".hidden", "a\0b", "ü", &"x".repeat(300)] {
            let key = Key::new(Folder::Challenges, name);
            assert!(key.name().starts_with("h-") && key.name().len() == 66, "{name:?}: {key}");
        }
        assert_eq!(Key::new(Folder::Certificates, "*.example.com").name(), "_.example.com");
        assert_eq!(Key::new(Folder::Certificates, "2001:db8::1").name(), "2001-db8--1");
    }
}
