//! State in one folder of a disk: 0700, its files 0600, written whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use rustix::fs::FlockOperation;

use super::{Folder, Held, Key, LARGEST, Lease, Pending, Storage, StorageError};

/// State in one folder.
#[derive(Debug, Clone)]
pub struct Disk {
    root: Arc<Path>,
    /// Part of temporary names, so that two writers in this process do not meet.
    counter: Arc<AtomicU64>,
}

impl Disk {
    /// Opens the folder, or makes it (its parents must be there or be makeable), and tries that it can be written to. Temporary files that
    /// a killed process left are removed.
    ///
    /// # Errors
    /// When it cannot be made or written to, or when others may read it.
    pub fn open(root: &Path) -> Result<Self, StorageError> {
        let disk = Self { root: root.into(), counter: Arc::default() };
        disk.make(root)?;
        for folder in Folder::ALL {
            let path = root.join(folder.name());
            disk.make(&path)?;
            disk.sweep(&path)?;
        }
        disk.make(&root.join(LEASES))?;
        // A read-only file system or a full disk is known now, not at the first certificate.
        let probe = Key::new(Folder::Shared, &format!("probe-{}", std::process::id()));
        disk.write_now(&probe, b"")?;
        disk.delete_now(&probe)?;
        Ok(disk)
    }

    fn make(&self, path: &Path) -> Result<(), StorageError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| at(path, source))?;
        let metadata = fs::metadata(path).map_err(|source| at(path, source))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(StorageError::Permissions { path: path.display().to_string(), mode, wanted: 0o700 });
        }
        Ok(())
    }

    /// Removes temporary files older than an hour: of writers that are no more.
    fn sweep(&self, folder: &Path) -> Result<(), StorageError> {
        for entry in fs::read_dir(folder).map_err(|source| at(folder, source))? {
            let entry = entry.map_err(|source| at(folder, source))?;
            if !entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                continue;
            }
            let old = entry
                .metadata()
                .ok()
                .and_then(|metadata| metadata.modified().ok())
                .and_then(|time| time.elapsed().ok());
            if old.is_some_and(|age| age > Duration::from_secs(3600)) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.folder().name()).join(key.name())
    }

    fn read_now(&self, key: &Key) -> Result<Option<Vec<u8>>, StorageError> {
        let path = self.path(key);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(at(&path, source)),
        };
        let mode = file.metadata().map_err(|source| at(&path, source))?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(StorageError::Permissions { path: path.display().to_string(), mode, wanted: 0o600 });
        }
        let mut document = Vec::new();
        file.take(LARGEST as u64 + 1).read_to_end(&mut document).map_err(|source| at(&path, source))?;
        if document.len() > LARGEST {
            return Err(StorageError::Size(path.display().to_string()));
        }
        Ok(Some(document))
    }

    /// Temporary file, fsync, rename, fsync of the folder: what POSIX needs for "as it was, or as it was to be" after a power failure.
    fn write_now(&self, key: &Key, document: &[u8]) -> Result<(), StorageError> {
        if document.len() > LARGEST {
            return Err(StorageError::Size(key.to_string()));
        }
        let path = self.path(key);
        let folder = self.root.join(key.folder().name());
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{TEMPORARY}{}-{number}", std::process::id()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(document)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&folder)?.sync_all()
        })();
        written.map_err(|source| {
            let _ = fs::remove_file(&temporary);
            at(&path, source)
        })
    }

    fn delete_now(&self, key: &Key) -> Result<(), StorageError> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path, error)),
            _ => Ok(()),
        }
    }

    fn list_now(&self, folder: Folder) -> Result<Vec<String>, StorageError> {
        let path = self.root.join(folder.name());
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(|source| at(&path, source))? {
            let entry = entry.map_err(|source| at(&path, source))?;
            // Not temporary files, not what was set aside, not what somebody's editor left.
            if let Ok(name) = entry.file_name().into_string()
                && Key::new(folder, &name).name() == name
                && !name.contains(ASIDE)
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn set_aside_now(&self, key: &Key) -> Result<(), StorageError> {
        let path = self.path(key);
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let aside = self.root.join(key.folder().name()).join(format!("{}{ASIDE}{seconds}-{number}", key.name()));
        match fs::rename(&path, &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path, error)),
            _ => Ok(()),
        }
    }

    /// By flock(2): the kernel gives it back when the process dies, however it dies. Another process that waits is told no, not made to wait.
    fn lease_now(&self, name: &str) -> Result<Option<Lease>, StorageError> {
        let path = self.root.join(LEASES).join(Key::new(Folder::Shared, name).name());
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| at(&path, source))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lease::new(Locked { _file: file }))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(at(&path, error.into())),
        }
    }

    /// File systems wait; the executor must not.
    fn blocking<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Self) -> Result<T, StorageError> + Send + 'static,
    ) -> Pending<'_, T> {
        let disk = self.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || what(&disk))
                .await
                .unwrap_or_else(|error| Err(StorageError::Away(error.to_string())))
        })
    }
}

/// Locked for as long as it is open.
struct Locked {
    /// Closing it is what unlocks.
    _file: File,
}

impl Held for Locked {
    fn stands(&self) -> bool {
        true
    }
}

const LEASES: &str = "leases";
const TEMPORARY: &str = ".new-";
const ASIDE: &str = ".broken-";

fn at(path: &Path, source: io::Error) -> StorageError {
    StorageError::File { path: path.display().to_string(), source }
}

impl Storage for Disk {
    fn read<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Vec<u8>>> {
        let key = key.clone();
        self.blocking(move |disk| disk.read_now(&key))
    }

    fn write<'a>(&'a self, key: &'a Key, document: &'a [u8]) -> Pending<'a, ()> {
        let (key, document) = (key.clone(), document.to_vec());
        self.blocking(move |disk| disk.write_now(&key, &document))
    }

    fn delete<'a>(&'a self, key: &'a Key) -> Pending<'a, ()> {
        let key = key.clone();
        self.blocking(move |disk| disk.delete_now(&key))
    }

    fn list(&self, folder: Folder) -> Pending<'_, Vec<String>> {
        self.blocking(move |disk| disk.list_now(folder))
    }

    fn set_aside<'a>(&'a self, key: &'a Key) -> Pending<'a, ()> {
        let key = key.clone();
        self.blocking(move |disk| disk.set_aside_now(&key))
    }

    fn lease<'a>(&'a self, name: &'a str, _time: Duration) -> Pending<'a, Option<Lease>> {
        let name = name.to_owned();
        self.blocking(move |disk| disk.lease_now(&name))
    }

    fn shared(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> (tempfile::TempDir, Disk) {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(&folder.path().join("state")).unwrap();
        (folder, disk)
    }

    #[tokio::test]
    async fn what_is_written_is_read_listed_and_private() {
        let (_folder, disk) = open();
        let key = Key::new(Folder::Certificates, "*.example.com");
        assert_eq!(disk.read(&key).await.unwrap(), None);
        disk.write(&key, b"first").await.unwrap();
        disk.write(&key, b"second").await.unwrap();
        assert_eq!(disk.read(&key).await.unwrap().as_deref(), Some(&b"second"[..]));
        assert_eq!(disk.list(Folder::Certificates).await.unwrap(), ["_.example.com"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&disk.path(&key)), 0o600);
        assert_eq!(mode(&disk.root), 0o700);
        disk.delete(&key).await.unwrap();
        disk.delete(&key).await.unwrap();
        assert_eq!(disk.read(&key).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_broken_document_is_set_aside_and_not_listed() {
        let (_folder, disk) = open();
        let key = Key::new(Folder::Orders, "a.example.com");
        disk.write(&key, b"{").await.unwrap();
        disk.set_aside(&key).await.unwrap();
        disk.set_aside(&key).await.unwrap();
        assert_eq!(disk.read(&key).await.unwrap(), None);
        assert!(disk.list(Folder::Orders).await.unwrap().is_empty());
        assert_eq!(fs::read_dir(disk.root.join("orders")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn of_two_processes_one_has_the_lease() {
        let (_folder, disk) = open();
        // Another open of the same folder stands for another process: flock is by open file.
        let other = Disk::open(&disk.root).unwrap();
        let lease = disk.lease("a.example.com", Duration::from_secs(1)).await.unwrap().unwrap();
        assert!(lease.stands());
        assert!(other.lease("a.example.com", Duration::from_secs(1)).await.unwrap().is_none());
        assert!(other.lease("b.example.com", Duration::from_secs(1)).await.unwrap().is_some());
        drop(lease);
        assert!(other.lease("a.example.com", Duration::from_secs(1)).await.unwrap().is_some());
    }

    #[test]
    fn a_folder_that_others_can_read_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let error = Disk::open(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 700"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = Disk::open(&folder.path().join("file/state")).unwrap_err().to_string();
        assert!(error.contains("file/state"), "{error}");
    }

    #[tokio::test]
    async fn large_documents_are_refused_both_ways() {
        let (_folder, disk) = open();
        let key = Key::new(Folder::Shared, "x");
        assert!(matches!(disk.write(&key, &vec![0; LARGEST + 1]).await, Err(StorageError::Size(_))));
        fs::write(disk.path(&key), vec![0; LARGEST + 1]).unwrap();
        fs::set_permissions(disk.path(&key), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(disk.read(&key).await, Err(StorageError::Size(_))));
    }
}
