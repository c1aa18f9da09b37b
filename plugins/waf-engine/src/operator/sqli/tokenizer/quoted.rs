//! Tokens with an end of their own: strings in all their forms, quoted names.

use memchr::memchr;

use super::{Kind, LETTERS, MONEY, Token, Tokenizer, pair};
use crate::{bytes::ByteSet, operator::sqli::words};

impl<'a> Tokenizer<'a> {
    /// From `start` to `end`, where it has one; `behind` is how long the end is.
    fn text(&mut self, start: usize, end: Option<usize>, behind: usize, open: u8, close: u8) -> Token<'a> {
        let token = Token::new(Kind::Text, &self.text[start..end.unwrap_or(self.text.len())]);
        self.at = end.map_or(self.text.len(), |end| end + behind);
        Token { open, close: if end.is_some() { close } else { 0 }, ..token }
    }

    /// What begins at `start`, behind its quote, to the next such quote that is neither escaped nor doubled.
    pub(super) fn string(&mut self, start: usize, quote: u8) -> Token<'a> {
        let mut from = start;
        let end = loop {
            let Some(at) = self.text.get(from..).and_then(|rest| memchr(quote, rest)).map(|at| from + at) else {
                break None;
            };
            let escapes = self.text[start..at].iter().rev().take_while(|byte| **byte == b'\\').count();
            if escapes % 2 == 1 {
                from = at + 1;
            } else if self.text.get(at + 1) == Some(&quote) {
                from = at + 2;
            } else {
                break Some(at);
            }
        };
        self.text(start, end, 1, quote, quote)
    }

    /// MySQL's quoted name, which may be that of a function.
    pub(super) fn ticked(&mut self, at: usize) -> Token<'a> {
        let token = self.string(at + 1, b'`');
        let is_function = words::find(token.text).is_some_and(|word| word.kind == Kind::Function);
        Token { kind: if is_function { Kind::Function } else { Kind::Word }, ..token }
    }

    /// SQL Server's quoted name, with its brackets.
    pub(super) fn bracketed(&mut self) -> Token<'a> {
        let rest = &self.text[self.at..];
        let length = memchr(b']', rest).map_or(rest.len(), |end| end + 1);
        self.take(Kind::Word, length)
    }

    /// `b'01'`, `x'1f'`.
    pub(super) fn digits_in_quotes(&mut self, digits: &ByteSet) -> Token<'a> {
        // Not two characters at the very end.
        if self.byte(1) == Some(b'\'') && self.byte(2).is_some() {
            let count = self.run(2, digits);
            if self.byte(2 + count) == Some(b'\'') {
                return self.take(Kind::Number, count + 3);
            }
        }
        self.word()
    }

    /// `e'text'`.
    pub(super) fn escaped(&mut self) -> Token<'a> {
        if self.byte(1) == Some(b'\'') && self.byte(2).is_some() {
            self.string(self.at + 2, b'\'')
        } else {
            self.word()
        }
    }

    /// `n'text'`, `nq'(text)'`.
    pub(super) fn national(&mut self) -> Token<'a> {
        if self.byte(1) == Some(b'\'') { self.escaped() } else { self.alternative(1) }
    }

    /// `u&'text'`.
    pub(super) fn unicode(&mut self) -> Token<'a> {
        if self.byte(1) != Some(b'&') || self.byte(2) != Some(b'\'') {
            return self.word();
        }
        let token = self.string(self.at + 3, b'\'');
        Token { open: b'u', close: if token.close == 0 { 0 } else { b'u' }, ..token }
    }

    /// Oracle's `q'(text)'`, with any characters for brackets. `ahead` is where the `q` is.
    pub(super) fn alternative(&mut self, ahead: usize) -> Token<'a> {
        if let (Some(b'q' | b'Q'), Some(b'\''), Some(bracket @ b'!'..=0x7f)) =
            (self.byte(ahead), self.byte(ahead + 1), self.byte(ahead + 2))
        {
            let close = match bracket {
                b'(' => b')',
                b'[' => b']',
                b'{' => b'}',
                b'<' => b'>',
                same => same,
            };
            let start = self.at + ahead + 3;
            let end = pair(&self.text[start..], [close, b'\'']).map(|end| start + end);
            return self.text(start, end, 2, b'q', b'q');
        }
        self.word()
    }

    /// `$1,000.00`, PostgreSQL's `$$text$$` and `$name$text$name$`, or just a dollar.
    pub(super) fn money(&mut self) -> Token<'a> {
        if self.byte(1).is_none() {
            return self.take(Kind::Word, 1);
        }
        match self.run(1, &MONEY) {
            0 => {}
            1 if self.byte(1) == Some(b'.') => return self.word(),
            count => return self.take(Kind::Number, 1 + count),
        }
        let letters = if self.byte(1) == Some(b'$') { 0 } else { self.run(1, &LETTERS) };
        if self.byte(1 + letters) != Some(b'$') {
            return self.take(Kind::Word, 1);
        }
        let start = self.at + letters + 2;
        let tag = &self.text[self.at..start];
        let end = self.next_tag(start, tag);
        self.text(start, end, tag.len(), b'$', b'$')
    }

    /// A comparison ends at the next dollar, so that all of them take time in proportion to the text.
    fn next_tag(&self, mut from: usize, tag: &[u8]) -> Option<usize> {
        loop {
            let rest = self.text.get(from..)?;
            let at = memchr(b'$', rest)?;
            if rest[at..].starts_with(tag) {
                return Some(from + at);
            }
            from += at + 1;
        }
    }
}
