//! From a path to a checked configuration: one file, or a folder whose files are merged.

mod folder;

use std::path::{Path, PathBuf};

use crate::{
    Config, check,
    diagnostic::{Diagnostic, Report, Severity, Sink},
    raw::{self, Read},
    source::{Sources, Span},
    tree::{self, Kind, Node},
};

/// A configuration that can be put in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// The files that were read, in the order in which they were merged: those to watch, with the folder they are in.
    pub files: Vec<PathBuf>,
    /// What was probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// A text and what to call it.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path as the operator gave it; relative paths inside the text start at its folder.
    pub name: String,
    /// TOML.
    pub text: String,
}

/// Reads a file, or all `*.toml` of a folder in the order of their names, and checks what they say together.
///
/// Waits for the file system, for nothing else. Every mistake is in the report, also files that cannot be read, are not
/// UTF-8 or too large (16 MiB).
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let read = folder::read(path);
    let mut sources = Sources::default();
    let mut files = Vec::new();
    let mut unreadable = Vec::new();
    for (file, text) in read.files {
        let name = file.display().to_string();
        match text {
            Ok(text) => {
                sources.add(&name, text);
            }
            Err(problem) => {
                let file = sources.add(&name, problem.text);
                unreadable.push((file, problem.message, problem.at));
            }
        }
        files.push(file);
    }
    let config = build(&sources, files.len(), |out| {
        for (file, message, at) in unreadable {
            match at {
                Some(at) => out.error(Span { file, start: at, end: at + 1 }, message),
                None => out.error(Span { file, start: 0, end: 0 }, message).whole_file(),
            };
        }
    });
    let subject = match read.folder {
        true => format!("{} ({})", path.display(), count(files.len())),
        false => path.display().to_string(),
    };
    finish(config, files, subject)
}

/// Checks texts as [`load`] checks files, without a file system.
pub fn parse(sources: &[Source]) -> Result<Loaded, Report> {
    let mut texts = Sources::default();
    for source in sources {
        texts.add(&source.name, source.text.clone());
    }
    let built = build(&texts, sources.len(), |_| {});
    let subject = match sources {
        [one] => one.name.clone(),
        many => count(many.len()),
    };
    finish(built, sources.iter().map(|source| PathBuf::from(&source.name)).collect(), subject)
}

struct Built {
    config: Option<Config>,
    diagnostics: Vec<Diagnostic>,
    dropped: usize,
}

fn build(sources: &Sources, files: usize, unreadable: impl FnOnce(&mut Sink<'_>)) -> Built {
    let mut out = Sink::new(sources);
    unreadable(&mut out);
    let mut root = Node { span: Span::default(), kind: Kind::Table(Vec::new()) };
    let mut unparsed = Vec::new();
    if !out.failed() {
        for file in 0..files {
            let (node, broken) = tree::parse(file as u32, &mut out);
            unparsed.extend(broken);
            tree::merge(&mut root, node, &mut out);
        }
    }
    let whole = !out.failed();
    let before = out.len();
    let file = raw::File::read(&root, &mut out);
    // What is wrong with the rest of a text that does not parse is worth saying; what seems to be missing is not, and names
    // may be missing only because their tables could not be parsed.
    let config = match (file, whole) {
        (Some(file), true) => {
            some_listener(&file, sources, &mut out);
            Some(check::check(&file, &mut out))
        }
        _ => {
            out.forget_consequences(before, &unparsed);
            None
        }
    };
    let failed = out.failed();
    let (diagnostics, dropped) = out.finish();
    Built { config: config.filter(|_| !failed), diagnostics, dropped }
}

/// A half-written file must not count as the wish to serve nothing.
fn some_listener(file: &raw::File, sources: &Sources, out: &mut Sink<'_>) {
    if file.listener.is_broken() || file.listener.get().is_some_and(|tables| !tables.0.is_empty()) || out.failed() {
        return;
    }
    let message = match sources.is_blank() {
        true => "there is nothing in this configuration",
        false => "no listener: nothing would be served",
    };
    out.error(Span::default(), message)
        .whole_file()
        .help("write a `[[listener]]` with, for example, `address = \":80\"`");
}

fn finish(built: Built, files: Vec<PathBuf>, subject: String) -> Result<Loaded, Report> {
    let Built { config, diagnostics, dropped } = built;
    match config {
        Some(config) if diagnostics.iter().all(|one| one.severity == Severity::Warning) => {
            Ok(Loaded { config, files, warnings: diagnostics })
        }
        _ => Err(Report { subject, diagnostics, dropped }),
    }
}

fn count(files: usize) -> String {
    format!("{files} file{}", if files == 1 { "" } else { "s" })
}
