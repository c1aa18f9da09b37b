//! Test data that nobody in this project wrote. It is no part of the repository: it lies beside it, in `../shared`, or where `PORTCULLIS_SHARED`
//! says. A test that needs it passes without it, and says so.

use std::{io::Write, path::PathBuf};

use crate::repository;

/// A folder of the shared test data; `None`, with a line on standard error that no test runner holds back, where it is not there.
pub fn folder(name: &str) -> Option<PathBuf> {
    let shared =
        std::env::var_os("PORTCULLIS_SHARED").map_or_else(|| repository::root().join("../shared"), PathBuf::from);
    there(shared.join(name), "the shared test data")
}

/// `path`, where there is something; else says that `what` is not there.
pub fn there(path: impl Into<PathBuf>, what: &str) -> Option<PathBuf> {
    let path = path.into();
    match path.canonicalize() {
        Ok(path) => Some(path),
        Err(_) => {
            let name = std::thread::current().name().unwrap_or("a test").to_owned();
            // Not `eprintln`: the output of a test that passes is not shown.
            drop(writeln!(std::io::stderr(), "SKIPPED {name}: {what} is not there ({})", path.display()));
            None
        }
    }
}
