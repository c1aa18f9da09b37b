//! Modules that were fetched from registries, kept by what they are: manifests and code, each a file that is called by its SHA-256 and
//! compared with it whenever it is read. Which manifest a reference means is written in a lock file beside the configuration.

mod lock;
mod manifest;
mod write;

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;

pub use self::{
    lock::{Lock, Locked},
    manifest::{LARGEST_MANIFEST, Layer, MODULE_TYPES, module_of},
};

use crate::{
    BuildError,
    module::{LARGEST_MODULE, digest, hex, read},
};

/// The folder of fetched modules, and the lock file of one configuration.
#[derive(Clone, Debug)]
pub struct Store {
    folder: Option<PathBuf>,
    lock: PathBuf,
    config: PathBuf,
}

impl Store {
    /// A store in `folder`, for the configuration that is read from `config` and has the lock file `lock`. Nothing is read yet. Without a
    /// folder, [`crate::store_folder`] is taken.
    pub fn new(folder: Option<&Path>, config: &Path, lock: &Path) -> Self {
        Self {
            folder: folder.map(Path::to_owned).or_else(crate::store_folder),
            lock: lock.to_owned(),
            config: config.to_owned(),
        }
    }

    /// Where the lock file is.
    pub fn lock_path(&self) -> &Path {
        &self.lock
    }

    /// What the lock file says; nothing when there is none.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn lock(&self) -> Result<Lock, BuildError> {
        Lock::read(&self.lock)
    }

    /// Writes the lock file, at once or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_lock(&self, lock: &Lock) -> Result<(), BuildError> {
        write::atomically(&self.lock, lock.to_string().as_bytes())
            .map_err(|error| BuildError(format!("{} cannot be written: {error}", self.lock.display())))
    }

    /// The code that a reference (as written behind `oci://`) means, everything compared with its digest.
    pub(crate) fn load(&self, reference: &str, digest: Option<&str>) -> Result<Bytes, BuildError> {
        let lock = self.lock()?;
        let locked = lock.modules.get(reference);
        let Some(manifest) = digest.or(locked.map(|locked| locked.manifest.as_str())) else {
            return Err(BuildError(format!("oci://{reference} is not in {}; {}", self.lock.display(), self.advice())));
        };
        let layer = module_of(&self.expect(reference, manifest, LARGEST_MANIFEST)?)
            .map_err(|problem| BuildError(format!("oci://{reference}: {problem}")))?;
        if let Some(locked) = locked.filter(|locked| locked.manifest == manifest && locked.module != layer.digest) {
            return Err(BuildError(format!(
                "{} says that oci://{reference} holds the module {}, and its manifest says {}: the lock file was changed by hand, or is \
                 not for this module; {}",
                self.lock.display(),
                locked.module,
                layer.digest,
                self.advice()
            )));
        }
        self.expect(reference, &layer.digest, LARGEST_MODULE)
    }

    /// A file of the store that has to be there.
    fn expect(&self, reference: &str, digest: &str, largest: u64) -> Result<Bytes, BuildError> {
        self.get(digest, largest)?.ok_or_else(|| {
            let folder = self.folder.as_deref().unwrap_or(Path::new("")).display();
            BuildError(format!("{digest} of oci://{reference} is not in {folder}; {}", self.advice()))
        })
    }

    /// What is stored under a digest, `None` when nothing is.
    ///
    /// # Errors
    /// When it is larger than `largest` bytes, has another digest, or cannot be read.
    pub fn get(&self, digest: &str, largest: u64) -> Result<Option<Bytes>, BuildError> {
        let path = self.path(digest)?;
        let bytes = match read(&path, largest) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BuildError(format!("{} cannot be read: {error}", path.display()))),
        };
        let found = name(&bytes);
        match found == digest {
            true => Ok(Some(bytes.into())),
            false => Err(BuildError(format!(
                "{} was changed: its SHA-256 is {found}, and should be {digest}; {}",
                path.display(),
                self.advice()
            ))),
        }
    }

    /// Keeps bytes under their digest (given back), at once or not at all.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<String, BuildError> {
        let digest = name(bytes);
        let path = self.path(&digest)?;
        let written =
            path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| write::atomically(&path, bytes));
        match written {
            Ok(()) => Ok(digest),
            Err(error) => Err(BuildError(format!(
                "{} cannot be written: {error}. `plugin_store` in [server] names another folder",
                path.display()
            ))),
        }
    }

    fn path(&self, digest: &str) -> Result<PathBuf, BuildError> {
        // It becomes part of a path, and may come from a file that anybody wrote.
        let hex = digest
            .strip_prefix("sha256:")
            .filter(|hex| hex.len() == 64 && hex.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')))
            .ok_or_else(|| {
                BuildError(format!("`{}` is not `sha256:` and 64 hexadecimal digits", digest.escape_debug()))
            })?;
        let Some(folder) = &self.folder else {
            return Err(BuildError(
                "there is no folder for fetched modules: write `plugin_store = \"FOLDER\"` in [server]".to_owned(),
            ));
        };
        Ok(folder.join("sha256").join(hex))
    }

    fn advice(&self) -> String {
        format!("run: portcullis plugin pull --config {}", self.config.display())
    }
}

/// `sha256:HEX` of bytes: what they are called in a store and in a registry.
pub fn name(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&digest(bytes)))
}

#[cfg(test)]
mod tests;
