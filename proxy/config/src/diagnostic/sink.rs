//! Where mistakes are collected while a configuration is read and checked.

use std::collections::HashSet;

use super::{Diagnostic, Note, Severity};
use crate::{
    Location,
    source::{Sources, Span},
};

/// Nobody reads more than this; and a file made of mistakes must not fill memory.
const KEPT: usize = 500;

/// Collects mistakes as spans; they become [`Diagnostic`]s at the end.
#[derive(Debug)]
pub(crate) struct Sink<'s> {
    /// What spans point into.
    pub(crate) sources: &'s Sources,
    drafts: Vec<Draft>,
    dropped: usize,
    errors: usize,
    /// Takes what is no longer kept.
    scratch: Draft,
}

/// A mistake that can still be added to.
#[derive(Debug)]
pub(crate) struct Draft {
    span: Span,
    severity: Severity,
    message: String,
    expected: Option<String>,
    help: Option<String>,
    other: Vec<(Span, String)>,
    whole: bool,
    absence: bool,
}

impl<'s> Sink<'s> {
    pub(crate) fn new(sources: &'s Sources) -> Self {
        let scratch = Draft::new(Span::default(), Severity::Error, String::new());
        Self { sources, drafts: Vec::new(), dropped: 0, errors: 0, scratch }
    }

    /// Something that cannot be used.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Draft {
        self.errors += 1;
        self.add(Draft::new(span, Severity::Error, message.into()))
    }

    /// Something that was probably not meant.
    pub(crate) fn warn(&mut self, span: Span, message: impl Into<String>) -> &mut Draft {
        self.add(Draft::new(span, Severity::Warning, message.into()))
    }

    fn add(&mut self, draft: Draft) -> &mut Draft {
        if self.full() {
            self.dropped += 1;
            self.scratch = draft;
            return &mut self.scratch;
        }
        self.drafts.push(draft);
        self.drafts.last_mut().unwrap_or(&mut self.scratch)
    }

    /// Whether more mistakes would only be counted: then looking for nearest names is not worth it.
    pub(crate) fn full(&self) -> bool {
        self.drafts.len() >= KEPT
    }

    /// Whether there has been an error.
    pub(crate) fn failed(&self) -> bool {
        self.errors > 0
    }

    /// After the first `from` drafts, forgets what follows from text that could not be parsed: what stands on the same lines, and
    /// what seems to be missing.
    pub(crate) fn forget_consequences(&mut self, from: usize, unparsed: &[Span]) {
        let sources = self.sources;
        let line = |span: Span| (span.file, sources.locate(span).line);
        let lines: HashSet<_> = unparsed.iter().map(|span| line(*span)).collect();
        let mut index = 0;
        self.drafts.retain(|draft| {
            index += 1;
            index <= from || !(draft.absence || lines.contains(&line(draft.span)))
        });
    }

    /// How many are kept so far.
    pub(crate) fn len(&self) -> usize {
        self.drafts.len()
    }

    /// Everything in the order of the files, and how many more there were.
    pub(crate) fn finish(mut self) -> (Vec<Diagnostic>, usize) {
        self.drafts.sort_by_key(|draft| (draft.span.file, draft.span.start));
        let sources = self.sources;
        (self.drafts.into_iter().map(|draft| draft.finish(sources)).collect(), self.dropped)
    }
}

impl Draft {
    fn new(span: Span, severity: Severity, message: String) -> Self {
        Self { span, severity, message, expected: None, help: None, other: Vec::new(), whole: false, absence: false }
    }

    /// What would have been right.
    pub(crate) fn expected(&mut self, text: impl Into<String>) -> &mut Self {
        self.expected = Some(text.into());
        self
    }

    /// The way out.
    pub(crate) fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    /// The way out, when there is one.
    pub(crate) fn maybe_help(&mut self, text: Option<String>) -> &mut Self {
        if text.is_some() {
            self.help = text;
        }
        self
    }

    /// Another place that belongs to it.
    pub(crate) fn other(&mut self, span: Span, label: impl Into<String>) -> &mut Self {
        self.other.push((span, label.into()));
        self
    }

    /// The file as a whole is meant: no line is shown.
    pub(crate) fn whole_file(&mut self) -> &mut Self {
        self.whole = true;
        self
    }

    /// It is about something that is not there.
    pub(crate) fn absence(&mut self) -> &mut Self {
        self.absence = true;
        self
    }

    fn finish(self, sources: &Sources) -> Diagnostic {
        let location = sources.locate(self.span);
        let other = self.other.into_iter().map(|(span, label)| Note {
            location: sources.locate(span),
            label,
            excerpt: sources.excerpt(span),
        });
        Diagnostic {
            location: if self.whole { Location { line: 1, column: 1, ..location } } else { location },
            severity: self.severity,
            message: self.message,
            expected: self.expected,
            help: self.help,
            excerpt: if self.whole { None } else { sources.excerpt(self.span) },
            other: other.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_come_in_the_order_of_the_file() {
        let mut sources = Sources::default();
        sources.add("a", "one two".into());
        let mut sink = Sink::new(&sources);
        sink.error(Span { file: 0, start: 4, end: 7 }, "second");
        sink.warn(Span { file: 0, start: 0, end: 3 }, "first");
        let (diagnostics, dropped) = sink.finish();
        assert_eq!(diagnostics.iter().map(|one| &*one.message).collect::<Vec<_>>(), ["first", "second"]);
        assert_eq!(dropped, 0);
    }

    #[test]
    fn a_flood_of_mistakes_is_counted_not_kept() {
        let sources = Sources::default();
        let mut sink = Sink::new(&sources);
        for _ in 0..KEPT + 7 {
            sink.error(Span::default(), "x");
        }
        let (diagnostics, dropped) = sink.finish();
        assert_eq!((diagnostics.len(), dropped), (KEPT, 7));
    }
}
