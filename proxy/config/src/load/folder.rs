//! Reading the files: which ones, and how much of them.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Bytes of one file.
const LARGEST: u64 = 16 << 20;
/// Bytes of all files of a folder.
const LARGEST_FOLDER: u64 = 64 << 20;
/// Files of a folder.
const MOST: usize = 1024;

/// What was found at a path.
pub(super) struct Found {
    pub(super) files: Vec<(PathBuf, Result<String, Unreadable>)>,
    pub(super) folder: bool,
}

/// Why a file could not be read.
pub(super) struct Unreadable {
    pub(super) message: String,
    /// As much of the text as can be shown.
    pub(super) text: String,
    /// The byte that is wrong.
    pub(super) at: Option<u32>,
}

pub(super) fn read(path: &Path) -> Found {
    match path.is_dir() {
        false => Found { files: vec![(path.to_owned(), read_file(path, LARGEST))], folder: false },
        true => Found { files: read_folder(path), folder: true },
    }
}

fn read_folder(path: &Path) -> Vec<(PathBuf, Result<String, Unreadable>)> {
    let listed = match list(path) {
        Ok(listed) => listed,
        Err(error) => return vec![(path.to_owned(), Err(Unreadable::new(reason(&error))))],
    };
    if listed.is_empty() {
        return vec![(path.to_owned(), Err(Unreadable::new("this folder has no `*.toml` file")))];
    }
    if listed.len() > MOST {
        let message = format!("this folder has more than {MOST} `*.toml` files");
        return vec![(path.to_owned(), Err(Unreadable::new(message)))];
    }
    let mut left = LARGEST_FOLDER;
    let files = listed.into_iter().map(|file| {
        let text = read_file(&file, LARGEST.min(left));
        left = left.saturating_sub(text.as_ref().map_or(0, |text| text.len() as u64));
        (file, text)
    });
    files.collect()
}

/// The files that count: `*.toml`, not hidden. Editors' leftovers end in something else (`.toml~`, `.toml.swp`), or are
/// hidden (`.#a.toml`), or begin with `#`; so do the folders behind Kubernetes' volumes (`..data`).
fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".toml") && !name.starts_with(['.', '#']) && !entry.path().is_dir() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path, largest: u64) -> Result<String, Unreadable> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(largest + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Err(Unreadable::new(reason(&error)));
    }
    if bytes.len() as u64 > largest {
        return Err(Unreadable::new(match largest {
            LARGEST => format!("this file is larger than {} MiB", LARGEST >> 20),
            _ => format!("the files of this folder are larger than {} MiB together", LARGEST_FOLDER >> 20),
        }));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Unreadable {
            message: format!("byte 0x{:02x} is not UTF-8 here", error.as_bytes().get(at).copied().unwrap_or_default()),
            text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
            at: u32::try_from(at).ok(),
        }
    })
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "this may not be read by the user that portcullis runs as".to_owned(),
        _ => format!("this cannot be read: {error}"),
    }
}

impl Unreadable {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), text: String::new(), at: None }
    }
}
