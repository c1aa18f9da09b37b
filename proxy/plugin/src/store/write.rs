//! Writing a file so that a reader sees all of it or none.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Writes beside the file and renames. Two that write at once do not mix: the later rename wins.
pub(super) fn atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}-{:x}", std::process::id(), fastrand::u64(..)));
    let written = File::create_new(&beside)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to tell.
        _ = fs::remove_file(&beside);
    }
    written
}
