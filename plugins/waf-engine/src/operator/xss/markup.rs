//! A reader of HTML that stops at what can run.
//!
//! It follows the tokenizer of the HTML standard (WHATWG, "Tokenization") as far as it matters, with what old browsers
//! do besides: they skip NULs in the names of tags, take them for white space elsewhere, a back quote for a quote, and
//! `<% %>` for a comment. Each state moves on, so a reading takes time in proportion to the value.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::names::{self, Attribute};
use crate::bytes::ByteSet;

/// Where in the markup it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Text.
    Data,
    /// Behind `<`.
    TagOpen,
    /// At a tag's name.
    TagName { closing: bool },
    /// Behind `</`.
    EndTagOpen,
    /// Behind `<!`.
    Declaration,
    /// Behind a slash in a tag.
    Slash,
    /// Before an attribute's name.
    BeforeName,
    /// At an attribute's name.
    Name,
    /// Behind an attribute's name.
    AfterName,
    /// Behind `=`.
    BeforeValue,
    /// Behind the quote that ends a value.
    AfterQuote,
    /// At the end.
    End,
}

/// A reader.
pub(super) struct Markup<'a> {
    text: &'a [u8],
    at: usize,
    /// The name of the attribute whose value comes next.
    name: Range<usize>,
}

/// Something that can run was found.
struct Found;

const BLANK: ByteSet = ByteSet::SPACE.union(&ByteSet::list(b"\0"));
const TAG_NAME_END: ByteSet = ByteSet::SPACE.union(&ByteSet::list(b"/>"));
const NAME_END: ByteSet = BLANK.union(&ByteSet::list(b"/=>"));
const VALUE_END: ByteSet = BLANK.union(&ByteSet::list(b">"));

impl<'a> Markup<'a> {
    pub(super) fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at, name: 0..0 }
    }

    /// Whether anything can run from here to the end.
    pub(super) fn runs(mut self, mut state: State) -> bool {
        while state != State::End {
            state = match self.step(state) {
                Ok(next) => next,
                Err(Found) => return true,
            };
        }
        false
    }

    fn step(&mut self, state: State) -> Result<State, Found> {
        match state {
            State::Data => Ok(self.skip_past(|rest| memchr(b'<', rest), 1, State::TagOpen)),
            State::TagOpen => self.tag_open(),
            State::TagName { closing } => self.tag_name(closing),
            State::EndTagOpen => match self.byte() {
                None => Ok(State::End),
                Some(b'>') => Ok(State::Data),
                Some(byte) if byte.is_ascii_alphabetic() => Ok(State::TagName { closing: true }),
                Some(_) => self.comment(|rest| memchr(b'>', rest).map(|end| (end, 1))),
            },
            State::Declaration => self.declaration(),
            State::Slash => Ok(match self.byte() {
                None => State::End,
                Some(b'>') => self.go(1, State::Data),
                Some(_) => State::BeforeName,
            }),
            State::BeforeName => Ok(match self.skip(&BLANK) {
                None => State::End,
                Some(b'/') => self.go(1, State::Slash),
                Some(b'>') => self.go(1, State::Data),
                Some(_) => State::Name,
            }),
            State::Name => Ok(self.name()),
            State::AfterName => Ok(match self.skip(&BLANK) {
                None => State::End,
                Some(b'/') => self.go(1, State::Slash),
                Some(b'=') => self.go(1, State::BeforeValue),
                Some(b'>') => self.go(1, State::Data),
                Some(_) => State::Name,
            }),
            State::BeforeValue => self.value(),
            State::AfterQuote => Ok(match self.byte() {
                None => State::End,
                Some(b'/') => self.go(1, State::Slash),
                Some(b'>') => self.go(1, State::Data),
                Some(_) => State::BeforeName,
            }),
            State::End => Ok(State::End),
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn go(&mut self, by: usize, state: State) -> State {
        self.at += by;
        state
    }

    /// Skips bytes of a set; the byte behind them.
    fn skip(&mut self, set: &ByteSet) -> Option<u8> {
        self.at += self.rest().iter().take_while(|byte| set.contains(**byte)).count();
        self.byte()
    }

    /// How many bytes there are before one of a set.
    fn until(&self, from: usize, set: &ByteSet) -> usize {
        let rest = self.text.get(self.at + from..).unwrap_or_default();
        from + rest.iter().position(|byte| set.contains(*byte)).unwrap_or(rest.len())
    }

    /// To behind what is searched, which is `length` long.
    fn skip_past(&mut self, find: impl FnOnce(&[u8]) -> Option<usize>, length: usize, state: State) -> State {
        match find(self.rest()) {
            Some(at) => self.go(at + length, state),
            None => State::End,
        }
    }

    fn tag_open(&mut self) -> Result<State, Found> {
        let Some(byte) = self.byte() else { return Ok(State::End) };
        match byte {
            b'!' => Ok(self.go(1, State::Declaration)),
            b'/' => Ok(self.go(1, State::EndTagOpen)),
            b'?' => {
                self.at += 1;
                self.comment(|rest| memchr(b'>', rest).map(|end| (end, 1)))
            }
            b'%' => {
                self.at += 1;
                self.comment(|rest| memmem::find(rest, b"%>").map(|end| (end, 2)))
            }
            b'\0' => Ok(State::TagName { closing: false }),
            letter if letter.is_ascii_alphabetic() => Ok(State::TagName { closing: false }),
            _ => Ok(State::Data),
        }
    }

    /// An end tag runs nothing where `>` follows its name at once.
    fn tag_name(&mut self, closing: bool) -> Result<State, Found> {
        let length = self.until(0, &TAG_NAME_END);
        let name = &self.rest()[..length];
        self.at += length;
        let end = self.byte();
        if !(closing && end == Some(b'>')) && names::is_active_tag(name) {
            return Err(Found);
        }
        Ok(match end {
            None => State::End,
            Some(b'/') => self.go(1, State::Slash),
            Some(b'>') => self.go(1, State::Data),
            Some(_) => self.go(1, State::BeforeName),
        })
    }

    fn declaration(&mut self) -> Result<State, Found> {
        let rest = self.rest();
        if rest.get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"DOCTYPE")) {
            return Err(Found);
        }
        if rest.starts_with(b"[CDATA[") {
            return Ok(self.skip_past(|rest| memmem::find(rest, b"]]>"), 3, State::Data));
        }
        if rest.starts_with(b"--") {
            self.at += 2;
            return self.comment(comment_end);
        }
        self.comment(|rest| memchr(b'>', rest).map(|end| (end, 1)))
    }

    /// A comment; `find` tells where it ends, and how long its end is.
    fn comment(&mut self, find: impl FnOnce(&[u8]) -> Option<(usize, usize)>) -> Result<State, Found> {
        let rest = self.rest();
        let (end, length) = find(rest).unwrap_or((rest.len(), 0));
        if names::is_active_comment(&rest[..end]) {
            return Err(Found);
        }
        Ok(self.go(end + length, State::Data))
    }

    /// Its first character may be any, also `=`.
    fn name(&mut self) -> State {
        let length = self.until(1, &NAME_END).min(self.rest().len());
        self.name = self.at..self.at + length;
        self.at += length;
        match self.byte() {
            None => State::End,
            Some(b'/') => self.go(1, State::Slash),
            Some(b'=') => self.go(1, State::BeforeValue),
            Some(b'>') => self.go(1, State::Data),
            Some(_) => self.go(1, State::AfterName),
        }
    }

    fn value(&mut self) -> Result<State, Found> {
        let quote = match self.skip(&BLANK) {
            None => return Ok(State::End),
            Some(quote @ (b'"' | b'\'' | b'`')) => Some(quote),
            Some(_) => None,
        };
        self.at += usize::from(quote.is_some());
        let rest = self.rest();
        let length = match quote {
            Some(quote) => memchr(quote, rest).unwrap_or(rest.len()),
            None => self.until(0, &VALUE_END),
        };
        let value = &rest[..length];
        let runs = match names::attribute(&self.text[self.name.clone()]) {
            Attribute::Harmless => false,
            Attribute::Active => true,
            Attribute::Url => names::is_active_url(value),
            Attribute::Name => names::attribute(value) != Attribute::Harmless,
        };
        if runs {
            return Err(Found);
        }
        self.at += length;
        Ok(match (self.byte(), quote) {
            (None, _) => State::End,
            (Some(_), Some(_)) => self.go(1, State::AfterQuote),
            (Some(b'>'), None) => self.go(1, State::Data),
            (Some(_), None) => self.go(1, State::BeforeName),
        })
    }
}

/// `-->`, or with `!` for the second dash, or with NULs before it.
fn comment_end(rest: &[u8]) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let dash = from + memchr(b'-', &rest[from..])?;
        let second = dash + 1 + rest[dash + 1..].iter().take_while(|byte| **byte == 0).count();
        if let Some([b'-' | b'!', b'>']) = rest.get(second..second + 2) {
            return Some((dash, second + 2 - dash));
        }
        from = dash + 1;
    }
}
