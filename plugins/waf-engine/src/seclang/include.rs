//! Files that files name, and how much of them is read.

use std::{cell::Cell, sync::Arc};

use crate::{model::Location, seclang::Loader, world::Files};

/// So much text of rules is read, in bytes: the Core Rule Set has less than one MiB.
const MOST_TEXT: usize = 16 << 20;

/// So many times a file is read.
const MOST_FILES: usize = 10_000;

/// So deep files may include each other.
const DEEPEST: usize = 16;

/// So much data operators may read from files (`@pmFromFile`), in bytes.
const MOST_DATA: usize = 32 << 20;

/// What may still be read.
#[derive(Debug)]
pub(super) struct Budget {
    text: usize,
    files: usize,
    /// More was asked for: all that follows would be incomplete.
    spent: bool,
    /// The files that are being read, outermost first.
    open: Vec<Arc<str>>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { text: MOST_TEXT, files: MOST_FILES, spent: false, open: Vec::new() }
    }
}

impl Budget {
    /// Accounts for text.
    pub fn take(&mut self, length: usize) -> Result<(), String> {
        match self.text.checked_sub(length) {
            Some(left) => {
                self.text = left;
                Ok(())
            }
            None => {
                self.spent = true;
                Err(format!("the rule files are larger than {} MiB together", MOST_TEXT >> 20))
            }
        }
    }

    /// Whether reading ends here.
    pub fn is_spent(&self) -> bool {
        self.spent
    }

    /// Accounts for a file.
    fn file(&mut self) -> Result<(), String> {
        match self.files.checked_sub(1) {
            Some(left) => {
                self.files = left;
                Ok(())
            }
            None => {
                self.spent = true;
                Err(format!("more than {MOST_FILES} files are included"))
            }
        }
    }
}

impl Loader<'_> {
    /// Reads the files that match. `from` is the directive that asks for them.
    pub(super) fn include(&mut self, pattern: &str, optional: bool, from: &Location) -> Result<(), String> {
        if !pattern.contains(['*', '?', '[']) {
            return match self.one(pattern) {
                Err(Failed::Missing(_)) if optional => Ok(()),
                Err(Failed::Missing(why)) => Err(format!("the file {pattern} cannot be read: {why}")),
                Err(Failed::Refused(why)) => Err(why),
                Ok(()) => Ok(()),
            };
        }
        let paths = self.files.glob(pattern).map_err(|why| format!("the files {pattern} cannot be listed: {why}"))?;
        if paths.is_empty() && !optional {
            return Err(format!("no file matches {pattern}: correct it, or write IncludeOptional"));
        }
        for path in paths {
            if self.budget.is_spent() {
                break;
            }
            match self.one(&path) {
                Ok(()) => {}
                Err(Failed::Missing(why)) => {
                    self.report.at(from, &path, format!("the file {path} cannot be read: {why}"))
                }
                Err(Failed::Refused(why)) => return Err(why),
            }
        }
        Ok(())
    }

    fn one(&mut self, path: &str) -> Result<(), Failed> {
        let refuse = |why: String| Err(Failed::Refused(why));
        if let Some(at) = self.budget.open.iter().position(|open| **open == *path) {
            let circle: Vec<&str> = self.budget.open[at..].iter().map(|open| &**open).chain([path]).collect();
            return refuse(format!("files include each other in a circle: {}", circle.join(" -> ")));
        }
        if self.budget.open.len() >= DEEPEST {
            return refuse(format!("files include each other more than {DEEPEST} deep, down to {path}"));
        }
        self.budget.file().map_err(Failed::Refused)?;
        let bytes = self.files.read(path).map_err(Failed::Missing)?;
        self.budget.take(bytes.len()).map_err(Failed::Refused)?;
        let name: Arc<str> = path.into();
        self.budget.open.push(name.clone());
        self.read(&name, &Arc::from(folder(path)), &bytes);
        self.budget.open.pop();
        Ok(())
    }
}

enum Failed {
    /// It is not there.
    Missing(String),
    /// It is not read although it may be there.
    Refused(String),
}

/// The folder of a file, with its `/`; empty for a bare name.
fn folder(path: &str) -> &str {
    &path[..path.rfind('/').map_or(0, |at| at + 1)]
}

/// A name as it is meant in a file of this folder.
pub(super) fn join(folder: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{folder}{path}") }
}

/// Files for operators, with a limit for all of them together.
pub(super) struct Bounded<'a> {
    files: &'a dyn Files,
    left: Cell<usize>,
}

impl<'a> Bounded<'a> {
    pub fn new(files: &'a dyn Files) -> Self {
        Self { files, left: Cell::new(MOST_DATA) }
    }
}

impl Files for Bounded<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let bytes = self.files.read(path)?;
        match self.left.get().checked_sub(bytes.len()) {
            Some(left) => {
                self.left.set(left);
                Ok(bytes)
            }
            None => Err(format!("the files of data for operators are larger than {} MiB together", MOST_DATA >> 20)),
        }
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        self.files.glob(pattern)
    }
}
