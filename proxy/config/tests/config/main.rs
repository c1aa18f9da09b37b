//! What a configuration file becomes, seen from outside.
//!
//! - `bad`: files with mistakes, and the exact report each gets (`tests/bad`)
//! - `good`: what files mean
//! - `examples`: the files in `config/` and the blocks of `docs/configuration.md`
//! - `folder`: several files as one
//! - `hostile`: any bytes, and a lot of them
//! - `schema`: the JSON Schema tells the same story

// In a test, what is not there is a failure.
#![allow(clippy::unwrap_used)]

mod bad;
mod examples;
mod folder;
mod good;
mod hostile;
mod schema;

use std::path::Path;

use portcullis_config::{
    diagnostic::Report,
    load::{Loaded, Source, parse},
};

/// Checks one text, called `portcullis.toml`.
fn check(text: &str) -> Result<Loaded, Report> {
    parse(&[Source { name: "portcullis.toml".to_owned(), text: text.to_owned() }])
}

/// Checks a text that has to be right.
fn good(text: &str) -> Loaded {
    check(text).unwrap_or_else(|report| panic!("{report}"))
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
