//! From where a plugin's code is said to be to its bytes. Reads files, and asks no network.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::OnceLock,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{BuildError, store::Store};

/// Bytes of a module. The largest that tools make of a whole language's runtime have a tenth of this.
pub const LARGEST_MODULE: u64 = 256 << 20;

/// Where a plugin's code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// A file.
    File(&'a Path),
    /// One that is part of the executable, by its name.
    Builtin(&'a str),
    /// One of a registry, in the store.
    Oci {
        /// As written behind `oci://`.
        reference: &'a str,
        /// The digest in the reference, where it has one.
        digest: Option<&'a str>,
    },
}

/// A plugin that is part of the executable: its name, and its code where it was built before the executable.
pub type Builtin = (&'static str, Option<&'static [u8]>);

static BUILTINS: OnceLock<&'static [Builtin]> = OnceLock::new();

/// Makes the plugins known that are part of the executable. For its main function; only the first call counts.
pub fn register_builtins(builtins: &'static [Builtin]) {
    // A second registration can only be the same table again.
    _ = BUILTINS.set(builtins);
}

/// The code of a plugin. Waits for the file system, for nothing else.
///
/// # Errors
/// When it is not there, larger than [`LARGEST_MODULE`], or not what the digests say.
pub fn load(source: Source<'_>, sha256: Option<&[u8; 32]>, store: &Store) -> Result<Bytes, BuildError> {
    let bytes = match source {
        Source::File(path) => file(path),
        Source::Builtin(name) => builtin(name, BUILTINS.get().copied().unwrap_or_default()),
        Source::Oci { reference, digest } => store.load(reference, digest),
    }?;
    let found = digest(&bytes);
    match sha256 {
        Some(expected) if *expected != found => Err(BuildError(format!(
            "the module's SHA-256 is {}, and `sha256` says {}: it is not the code that was meant; when it is, write the first",
            hex(&found),
            hex(expected)
        ))),
        _ => Ok(bytes),
    }
}

/// The SHA-256 of bytes.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// As `sha256sum` prints it.
pub fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(path: &Path) -> Result<Bytes, BuildError> {
    match read(path, LARGEST_MODULE) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(BuildError(format!("{} cannot be read: {error}", path.display()))),
    }
}

/// A file of at most `largest` bytes.
pub(crate) fn read(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    // What is no file may never end, or never begin.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(largest + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > largest {
        true => Err(io::Error::other(format!("it is larger than {} MiB", largest >> 20))),
        false => Ok(bytes),
    }
}

fn builtin(name: &str, builtins: &'static [Builtin]) -> Result<Bytes, BuildError> {
    match builtins.iter().find(|(known, _)| *known == name) {
        Some((_, Some(code))) => Ok(Bytes::from_static(code)),
        Some((_, None)) => Err(BuildError(format!(
            "`builtin:{name}` is not in this executable, which was built before its plugins: run `make plugins`, and build it again"
        ))),
        None => {
            let names: Vec<_> = builtins.iter().map(|(name, _)| format!("`builtin:{name}`")).collect();
            Err(BuildError(match names.as_slice() {
                [] => format!("there is no `builtin:{name}`: this executable has no plugins in it"),
                names => format!("there is no `builtin:{name}`; there are {}", names.join(", ")),
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T>(result: Result<T, BuildError>) -> String {
        result.err().expect("an error").0
    }

    #[test]
    fn a_file_is_read_and_its_digest_compared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        std::fs::write(&path, "abc").unwrap();
        let store = Store::new(None, folder.path(), folder.path());
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&digest(b"abc")), abc);
        assert_eq!(load(Source::File(&path), Some(&digest(b"abc")), &store).unwrap(), "abc");
        let wrong = message(load(Source::File(&path), Some(&[0; 32]), &store));
        assert!(wrong.contains(abc) && wrong.contains(&"00".repeat(32)), "{wrong}");
    }

    #[test]
    fn what_is_no_file_and_what_is_too_large_ends_in_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(message(file(folder.path())).contains("no file"));
        assert!(message(file(&folder.path().join("none"))).contains("cannot be read"));
        let large = folder.path().join("large");
        std::fs::write(&large, [0; 5]).unwrap();
        assert_eq!(read(&large, 5).unwrap().len(), 5);
        assert!(read(&large, 4).unwrap_err().to_string().contains("larger than"));
    }

    #[test]
    fn a_builtin_is_there_or_said_why_not() {
        static TABLE: [Builtin; 2] = [("headers", Some(b"code")), ("jwt", None)];
        assert_eq!(builtin("headers", &TABLE).unwrap(), "code");
        assert!(message(builtin("jwt", &TABLE)).contains("make plugins"));
        assert!(message(builtin("jwd", &TABLE)).contains("there are `builtin:headers`, `builtin:jwt`"));
        assert!(message(builtin("jwd", &[])).contains("no plugins in it"));
    }
}
