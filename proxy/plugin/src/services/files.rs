//! Files of the operator's, for a plugin that is being configured: what it may read, what it has read, and whether that is still so.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use serde_json::Value;

use crate::module::{digest, read};

/// Bytes of one file, and of all that one plugin reads.
const FILE_MAX: u64 = 16 << 20;
const ALL_MAX: u64 = 64 << 20;

/// Different questions that one plugin asks, and paths in one answer.
const QUESTIONS_MAX: usize = 4096;
const PATHS_MAX: usize = 4096;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not granted, with what to write.
    Denied(String),
    /// There is no such file.
    Missing,
    /// Too large.
    Size,
    /// The system says no, or it was asked too much.
    Unreadable(String),
}

/// What a plugin may read: files, and folders with all that is below.
#[derive(Clone, Debug, Default)]
pub struct Granted {
    /// Where relative paths begin.
    folder: PathBuf,
    /// As they are written, absolute.
    written: Vec<PathBuf>,
}

impl Granted {
    /// `written` are paths that the operator granted; those that are relative begin at `folder`.
    pub fn new<'p>(folder: &Path, written: impl IntoIterator<Item = &'p Path>) -> Self {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let mut granted = Self { folder, written: Vec::new() };
        granted.written = written.into_iter().map(|path| granted.absolute(path)).collect();
        granted
    }

    /// Absolute and without `.` and `..`. What is checked so is opened so: `..` behind a link means nothing else here.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        let mut plain = PathBuf::new();
        for component in self.folder.join(path).components() {
            match component {
                Component::CurDir => {}
                Component::ParentDir => drop(plain.pop()),
                other => plain.push(other),
            }
        }
        plain
    }

    fn check(&self, path: &Path) -> Result<(), Refused> {
        match self.written.iter().any(|granted| path.starts_with(granted)) {
            true => Ok(()),
            false => Err(Refused::Denied(format!("{} is not granted; {}", path.display(), advice(path)))),
        }
    }

    /// Where links end must be granted as well, so that no link leads out.
    fn check_end(&self, path: &Path, end: &Path) -> Result<(), Refused> {
        let ends = self.written.iter().filter_map(|granted| fs::canonicalize(granted).ok());
        if ends.into_iter().any(|granted| end.starts_with(granted)) {
            return Ok(());
        }
        let (path, shown) = (path.display(), end.display());
        Err(Refused::Denied(format!("{path} is a link to {shown}, which is not granted; {}", advice(end))))
    }

    /// A whole file.
    fn read(&self, path: &str) -> Result<Vec<u8>, Refused> {
        let path = self.absolute(Path::new(path));
        self.check(&path)?;
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Refused::Missing,
            _ => Refused::Unreadable(error.to_string()),
        };
        let end = fs::canonicalize(&path).map_err(refused)?;
        self.check_end(&path, &end)?;
        if fs::metadata(&end).is_ok_and(|meta| meta.is_file() && meta.len() > FILE_MAX) {
            return Err(Refused::Size);
        }
        read(&end, FILE_MAX).map_err(refused)
    }

    /// Paths that match, sorted by bytes.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, Refused> {
        let invalid = |why: &str| Refused::Unreadable(format!("the pattern {pattern:?} {why}"));
        if pattern.split('/').any(|name| name.contains("**")) {
            return Err(invalid("has `**`; write `*` for each folder"));
        }
        let absolute = self.absolute(Path::new(pattern));
        let (before, _) = literal(&absolute);
        self.check(&before)?;
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let text = absolute.to_str().ok_or_else(|| invalid("is not UTF-8"))?;
        let found = glob::glob_with(text, options).map_err(|error| invalid(&format!("is none: {error}")))?;
        let mut paths = Vec::new();
        for path in found {
            let path = path.map_err(|error| Refused::Unreadable(error.to_string()))?;
            // A plugin has text for paths; one that is no text could not be asked for.
            let Some(path) = path.to_str() else { continue };
            if paths.len() == PATHS_MAX {
                return Err(invalid(&format!("matches more than {PATHS_MAX} files")));
            }
            paths.push(path.to_owned());
        }
        paths.sort_unstable();
        Ok(paths)
    }
}

fn advice(path: &Path) -> String {
    let folder = path.parent().unwrap_or(path).display();
    format!("if the plugin may read it, write grants = {{ files = [\"{folder}/\"] }} or add that folder to those there")
}

/// The part of a pattern before the first name that has something to match, and whether there is such a name.
fn literal(pattern: &Path) -> (PathBuf, bool) {
    let is_pattern = |component: &Component<'_>| component.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let before: PathBuf = pattern.components().take_while(|component| !is_pattern(component)).collect();
    let has = pattern.components().any(|component| is_pattern(&component));
    (before, has)
}

/// What a path or pattern in a plugin's own table lets it read: the folder that it lies in. Nothing, where that would be everything.
fn folder_of(written: &str) -> Option<PathBuf> {
    // Not a file, but something of the plugin's own.
    if written.is_empty() || written.starts_with("builtin:") {
        return None;
    }
    let path = Path::new(written);
    let (before, is_pattern) = literal(path);
    let folder = match (is_pattern, written.ends_with('/')) {
        (true, _) | (_, true) => before,
        (false, false) => path.parent().unwrap_or(path).to_owned(),
    };
    match folder == Path::new("/") {
        true => (!is_pattern && path != Path::new("/")).then(|| path.to_owned()),
        false => Some(folder),
    }
}

/// What the plugin's table `config` lets it read by the keys that its manifest declares.
pub fn from_table(config: &Value, keys: &[String]) -> Vec<PathBuf> {
    keys.iter().flat_map(|key| texts(config, key)).filter_map(folder_of).collect()
}

/// The text, or the texts of the list, at a dotted key.
pub fn texts<'v>(config: &'v Value, key: &str) -> Vec<&'v str> {
    let value = key.split('.').try_fold(config, |value, name| value.get(name));
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// What a plugin asked for, and what the answers were.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    granted: Granted,
    reads: BTreeMap<String, (Answer, Option<Bytes>)>,
    globs: BTreeMap<String, (Answer, Option<Vec<String>>)>,
    bytes: u64,
}

/// The digest of what was there, or why there was nothing.
type Answer = Result<[u8; 32], Refused>;

fn answer<T: AsRef<[u8]>>(found: &Result<T, Refused>) -> Answer {
    found.as_ref().map(|bytes| digest(bytes.as_ref())).map_err(Clone::clone)
}

fn joined(paths: &Result<Vec<String>, Refused>) -> Result<String, Refused> {
    paths.as_ref().map(|paths| paths.join("\n")).map_err(Clone::clone)
}

impl Seen {
    /// Nothing yet, by a plugin that may read this much.
    pub fn new(granted: Granted) -> Self {
        Self { granted, ..Self::default() }
    }

    /// A whole file.
    ///
    /// # Errors
    /// Why there is none.
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>, Refused> {
        if let Some((answer, kept)) = self.reads.get(path) {
            return match (answer, kept) {
                (Ok(_), Some(bytes)) => Ok(bytes.to_vec()),
                (Ok(_), None) => Err(Refused::Unreadable("it is not kept".into())),
                (Err(refused), _) => Err(refused.clone()),
            };
        }
        self.admit()?;
        let mut found = self.granted.read(path);
        if let Ok(bytes) = &found {
            self.bytes += bytes.len() as u64;
            if self.bytes > ALL_MAX {
                let all = ALL_MAX >> 20;
                found = Err(Refused::Unreadable(format!("the plugin has read {all} MiB of files, which is the most")));
            }
        }
        let found = found.map(Bytes::from);
        self.reads.insert(path.to_owned(), (answer(&found), found.clone().ok()));
        found.map(|bytes| bytes.to_vec())
    }

    /// Paths that match a pattern.
    ///
    /// # Errors
    /// Why they cannot be known.
    pub fn glob(&mut self, pattern: &str) -> Result<Vec<String>, Refused> {
        if let Some((answer, kept)) = self.globs.get(pattern) {
            return match answer {
                Ok(_) => Ok(kept.clone().unwrap_or_default()),
                Err(refused) => Err(refused.clone()),
            };
        }
        self.admit()?;
        let found = self.granted.glob(pattern);
        self.globs.insert(pattern.to_owned(), (answer(&joined(&found)), found.clone().ok()));
        found
    }

    fn admit(&self) -> Result<(), Refused> {
        match self.reads.len() + self.globs.len() < QUESTIONS_MAX {
            true => Ok(()),
            false => Err(Refused::Unreadable(format!("the plugin has asked for {QUESTIONS_MAX} files"))),
        }
    }

    /// Lets go of the contents, where no instance will ask for them again.
    pub fn forget_contents(&mut self) {
        self.reads.values_mut().for_each(|(_, content)| *content = None);
    }

    /// Whether every question would be answered as it was. Reads all of it again.
    pub fn is_unchanged(&self) -> bool {
        let same = |(path, (before, _)): (&String, &(Answer, _))| answer(&self.granted.read(path)) == *before;
        let as_before =
            |(pattern, (before, _)): (&String, &(Answer, _))| answer(&joined(&self.granted.glob(pattern))) == *before;
        self.globs.iter().all(as_before) && self.reads.iter().all(same)
    }

    /// What must be watched, so that no change is missed: files that were asked for, there or not, and folders that were listed.
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.reads.keys().map(|path| self.granted.absolute(Path::new(path))).collect();
        for (pattern, (_, found)) in &self.globs {
            paths.push(literal(&self.granted.absolute(Path::new(pattern))).0);
            let parents = found.iter().flatten().filter_map(|path| Path::new(path).parent());
            paths.extend(parents.map(Path::to_owned));
        }
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

/// What a running guest may ask.
#[derive(Default)]
pub enum Files {
    /// Nothing: it has been configured.
    #[default]
    Unavailable,
    /// It is being configured.
    Reading(Box<Seen>),
    /// It is being configured once more, by itself, and is told what was told the first time.
    Again(Arc<Seen>),
}

impl Files {
    /// As [`Seen::read`]. `None`: not now.
    pub fn read(&mut self, path: &str) -> Option<Result<Vec<u8>, Refused>> {
        match self {
            Self::Unavailable => None,
            Self::Reading(seen) => Some(seen.read(path)),
            Self::Again(seen) => Some(match seen.reads.get(path) {
                Some((Ok(_), Some(bytes))) => Ok(bytes.to_vec()),
                Some((Err(refused), _)) => Err(refused.clone()),
                _ => Err(Refused::Unreadable("it was not asked for when the plugin was loaded".into())),
            }),
        }
    }

    /// As [`Seen::glob`]. `None`: not now.
    pub fn glob(&mut self, pattern: &str) -> Option<Result<Vec<String>, Refused>> {
        match self {
            Self::Unavailable => None,
            Self::Reading(seen) => Some(seen.glob(pattern)),
            Self::Again(seen) => Some(match seen.globs.get(pattern) {
                Some((Ok(_), Some(paths))) => Ok(paths.clone()),
                Some((Err(refused), _)) => Err(refused.clone()),
                _ => Err(Refused::Unreadable("it was not asked for when the plugin was loaded".into())),
            }),
        }
    }

    /// What was asked for, once configuring has ended.
    pub fn end(&mut self) -> Seen {
        match std::mem::take(self) {
            Self::Reading(seen) => *seen,
            Self::Unavailable | Self::Again(_) => Seen::default(),
        }
    }
}

#[cfg(test)]
mod tests;
