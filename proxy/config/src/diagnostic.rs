//! What is wrong with a configuration, said so that it can be repaired: where, the line itself, what was expected,
//! the nearest name. All mistakes of a configuration make one [`Report`].

mod render;
mod sink;

use serde_json::{Value, json};

use crate::Location;

pub(crate) use sink::{Draft, Sink};

/// All mistakes of one configuration, in the order of its files.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was read: a file's name, or a folder's.
    pub subject: String,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there are that were not kept: the report is bounded.
    pub dropped: usize,
}

/// One mistake, or one doubt.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Where. Line 1, column 1 when the file as a whole is meant; then there is no `excerpt`.
    pub location: Location,
    /// Whether the configuration can be used all the same.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// The way out.
    pub help: Option<String>,
    /// The line, and what is meant in it.
    pub excerpt: Option<Excerpt>,
    /// Other places that belong to it: the first of two things with one name.
    pub other: Vec<Note>,
}

/// Whether a configuration can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but probably something else was meant.
    Warning,
}

/// Another place that belongs to a diagnostic.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Where.
    pub location: Location,
    /// What it has to do with it.
    pub label: String,
    /// The line, and what is meant in it.
    pub excerpt: Option<Excerpt>,
}

/// A line of a file, or the telling part of a long one.
#[derive(Clone, Debug, PartialEq)]
pub struct Excerpt {
    /// The line's number, from 1.
    pub line: u32,
    /// Its text, at most about 120 characters.
    pub text: String,
    /// The first character of `text` that is meant, from 0.
    pub start: usize,
    /// How many characters are meant, at least 1.
    pub length: usize,
}

impl Report {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// How many errors and how many warnings.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.diagnostics.iter().filter(|one| one.severity == Severity::Error).count();
        (errors, self.diagnostics.len() - errors)
    }

    /// The same for scripts: `{"subject", "errors", "warnings", "dropped", "diagnostics": [...]}`.
    pub fn to_json(&self) -> Value {
        let (errors, warnings) = self.counts();
        json!({
            "subject": self.subject,
            "errors": errors,
            "warnings": warnings,
            "dropped": self.dropped,
            "diagnostics": self.diagnostics.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Diagnostic {
    /// The same for scripts. `source` and `length` are there when a line can be shown.
    pub fn to_json(&self) -> Value {
        json!({
            "severity": self.severity.as_str(),
            "message": self.message,
            "file": &*self.location.file,
            "line": self.location.line,
            "column": self.location.column,
            "length": self.excerpt.as_ref().map(|excerpt| excerpt.length),
            "source": self.excerpt.as_ref().map(|excerpt| &excerpt.text),
            "expected": self.expected,
            "help": self.help,
            "other": self.other.iter().map(Note::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Note {
    fn to_json(&self) -> Value {
        json!({
            "label": self.label,
            "file": &*self.location.file,
            "line": self.location.line,
            "column": self.location.column,
            "source": self.excerpt.as_ref().map(|excerpt| &excerpt.text),
        })
    }
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl std::error::Error for Report {}
