//! What is kept in a [`Storage`], as JSON.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    clock::Instant,
    failure::Kind,
    settings::{ChallengeKind, KeyKind},
    storage::{Folder, Key, Storage, StorageError},
    subject::Subject,
};

/// An order under way. Written before each step that the authority remembers, so that a process that dies goes on with the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDocument {
    /// The authority's directory.
    pub directory: String,
    /// What the authority calls the order; none before it has one.
    pub url: Option<String>,
    /// The private key that it will be finalized with: PKCS#8, PEM.
    pub key: String,
    /// When it was begun.
    pub begun: Instant,
}

/// A certificate with its key: in one document, so that they never part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateDocument {
    /// The authority's directory; none when it was imported.
    pub directory: Option<String>,
    /// PEM, leaf first.
    pub chain: String,
    /// PKCS#8, PEM.
    pub key: String,
    /// When it was stored.
    pub stored: Instant,
    /// When it is to be renewed, and who says so.
    pub renewal: Option<Renewal>,
}

/// When a certificate is to be renewed (RFC 9773).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The authority's window.
    pub start: Instant,
    /// Its end.
    pub end: Instant,
    /// The moment in it that this certificate's keeper chose.
    pub at: Instant,
    /// Not to be asked again before.
    pub ask_again: Instant,
    /// Why the window is where it is, in the authority's words.
    pub explanation: Option<String>,
}

/// How ordering for a name has gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AttemptsDocument {
    /// In a row; 0 after a success.
    pub failures: u32,
    /// No attempt before.
    pub not_before: Instant,
    /// Oldest first, at most [`KEPT`].
    pub log: Vec<Attempt>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it ended.
    pub at: Instant,
    /// With which authority, by name.
    pub authority: String,
    /// `None`: it went well.
    pub failure: Option<Kind>,
    /// What happened.
    pub detail: String,
}

/// Attempts that are remembered of a name.
pub const KEPT: usize = 20;

impl AttemptsDocument {
    /// Adds one.
    pub fn add(&mut self, attempt: Attempt) {
        if self.log.len() >= KEPT {
            self.log.drain(..=self.log.len() - KEPT);
        }
        self.log.push(attempt);
    }

    /// The latest.
    pub fn last(&self) -> Option<&Attempt> {
        self.log.last()
    }
}

/// The answer to a challenge, for whichever node is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeDocument {
    /// Which challenge.
    pub kind: ChallengeKind,
    /// The name that is proved.
    pub subject: String,
    /// RFC 8555 section 8.1.
    pub key_authorization: String,
    /// Nobody asks after this.
    pub until: Instant,
}

/// Where the certificate (or the order) of a name and kind of key is kept.
pub fn place(folder: Folder, subject: &Subject, kind: KeyKind) -> Key {
    Key::new(folder, &format!("{subject}.{}.json", kind.name()))
}

/// Reads a document. One that cannot be understood (a half-written file of a broken disk, another program's) is set aside with a warning,
/// and counts as absent.
///
/// # Errors
/// When it cannot be known what is there.
pub async fn read<T: DeserializeOwned>(storage: &dyn Storage, key: &Key) -> Result<Option<T>, StorageError> {
    let Some(bytes) = storage.read(key).await? else { return Ok(None) };
    match serde_json::from_slice(&bytes) {
        Ok(document) => Ok(Some(document)),
        Err(error) => {
            tracing::warn!(document = %key, %error, "a document of the certificate store cannot be read and is set aside");
            storage.set_aside(key).await?;
            Ok(None)
        }
    }
}

/// Writes a document.
///
/// # Errors
/// When it is not certain that it is kept.
pub async fn write<T: Serialize + Sync>(storage: &dyn Storage, key: &Key, document: &T) -> Result<(), StorageError> {
    let bytes = serde_json::to_vec_pretty(document).expect("documents are maps with text keys");
    storage.write(key, &bytes).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::Disk;

    #[test]
    fn the_log_of_attempts_is_bounded() {
        let mut attempts = AttemptsDocument::default();
        for at in 0..100 {
            attempts.add(Attempt { at: Instant(at), authority: String::new(), failure: None, detail: String::new() });
        }
        assert_eq!(attempts.log.len(), KEPT);
        assert_eq!(attempts.last().unwrap().at, Instant(99));
    }

    #[tokio::test]
    async fn half_a_document_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(&folder.path().join("state")).unwrap();
        let key = place(Folder::Orders, &Subject::parse("*.example.com").unwrap(), KeyKind::P256);
        let order = OrderDocument { directory: "https://ca".into(), url: None, key: "k".into(), begun: Instant(1) };
        write(&disk, &key, &order).await.unwrap();
        assert_eq!(read(&disk, &key).await.unwrap(), Some(order));
        disk.write(&key, b"{\"directory\": \"htt").await.unwrap();
        assert_eq!(read::<OrderDocument>(&disk, &key).await.unwrap(), None);
        assert!(disk.list(Folder::Orders).await.unwrap().is_empty());
    }
}
