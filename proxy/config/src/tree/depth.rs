//! How deeply a text is nested, before a tree is made of it.
//!
//! The parser bounds brackets and dotted keys, each for itself; together they allow some thousand levels, and what it
//! returns is taken apart by recursion, which then overflows a thread's stack. So its own events are counted first: what
//! it would make of broken text is exactly what is counted.

use std::ops::Range;

use toml_parser::{
    ErrorSink, Source, Span,
    decoder::Encoding,
    parser::{EventReceiver, parse_document},
};

/// Brackets around one another: the deepest configuration has four.
const BRACKETS: usize = 12;

/// Names of one dotted key: the deepest configuration has five.
const NAMES: usize = 16;

/// Where a text is nested more deeply than any configuration.
pub(super) fn too_deep(text: &str) -> Option<Range<usize>> {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut depth = Depth::default();
    parse_document(&tokens, &mut depth, &mut ());
    depth.found.map(|span| span.start()..span.end())
}

#[derive(Default)]
struct Depth {
    brackets: usize,
    /// Dots since the last event that is no part of a key.
    dots: usize,
    found: Option<Span>,
}

impl Depth {
    fn open(&mut self, span: Span) -> bool {
        self.dots = 0;
        self.brackets += 1;
        if self.brackets > BRACKETS {
            self.found.get_or_insert(span);
        }
        self.found.is_none()
    }

    fn close(&mut self) {
        self.dots = 0;
        self.brackets = self.brackets.saturating_sub(1);
    }
}

impl EventReceiver for Depth {
    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.open(span)
    }

    fn inline_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close();
    }

    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.open(span)
    }

    fn array_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.close();
    }

    fn key_sep(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.dots += 1;
        if self.dots >= NAMES {
            self.found.get_or_insert(span);
        }
    }

    fn std_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.dots = 0;
    }

    fn array_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.dots = 0;
    }

    fn key_val_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.dots = 0;
    }

    fn scalar(&mut self, _: Span, _: Option<Encoding>, _: &mut dyn ErrorSink) {
        self.dots = 0;
    }

    fn newline(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.dots = 0;
    }
}
