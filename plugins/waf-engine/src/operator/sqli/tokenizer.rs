//! SQL's tokens: those of all dialects at once, as libinjection cuts them.
//!
//! Every token costs time in proportion to its length, and the next begins where it ends. What must be searched to the
//! end of the value (the end of a string) is a token to the end of the value when it is not found.

mod quoted;

use libinjectionrs::sqli::sqli_data::{CHAR_MAP, CharType};
use memchr::memchr;

use super::words;
use crate::bytes::ByteSet;

/// What sort of token it is. The letter stands for it in a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Keyword = b'k',
    Union = b'U',
    /// `group by` and its like.
    Group = b'B',
    /// What begins an expression: `select`, `case`.
    Expression = b'E',
    /// A data type.
    Type = b't',
    Function = b'f',
    /// A name, or any other word.
    Word = b'n',
    Number = b'1',
    Variable = b'v',
    Text = b's',
    Operator = b'o',
    Logic = b'&',
    Comment = b'c',
    Collation = b'A',
    Open = b'(',
    Close = b')',
    OpenBrace = b'{',
    CloseBrace = b'}',
    Dot = b'.',
    Comma = b',',
    Colon = b':',
    Semicolon = b';',
    /// What begins a statement of Transact-SQL.
    Statement = b'T',
    Unknown = b'?',
    /// What databases read differently, and nobody writes but to confuse.
    Evil = b'X',
    Backslash = b'\\',
}

impl Kind {
    /// Of an entry in the list of words.
    pub(super) fn from_letter(letter: u8) -> Option<Self> {
        const WORDS: [Kind; 13] = [
            Kind::Keyword,
            Kind::Union,
            Kind::Group,
            Kind::Expression,
            Kind::Type,
            Kind::Function,
            Kind::Word,
            Kind::Number,
            Kind::Variable,
            Kind::Operator,
            Kind::Logic,
            Kind::Collation,
            Kind::Statement,
        ];
        WORDS.into_iter().find(|kind| *kind as u8 == letter)
    }
}

/// A token and what of its text is remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// At most [`LONGEST`] bytes.
    pub(super) text: &'a [u8],
    /// The sort of quote before and after a string; 0 is none.
    pub(super) open: u8,
    pub(super) close: u8,
}

/// libinjection remembers so much of a token's text, in bytes; no word that it knows is longer.
pub(super) const LONGEST: usize = 31;

impl<'a> Token<'a> {
    pub(super) fn new(kind: Kind, text: &'a [u8]) -> Self {
        Self { kind, text: &text[..text.len().min(LONGEST)], open: 0, close: 0 }
    }

    /// Whether it is this word, given in capitals.
    pub(super) fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    /// A sign before an operand.
    pub(super) fn is_unary(&self) -> bool {
        self.kind == Kind::Operator
            && match self.text {
                [byte] => matches!(byte, b'+' | b'-' | b'!' | b'~'),
                [first, second] => (*first, *second) == (b'!', b'!'),
                _ => self.is("NOT"),
            }
    }
}

/// Whose comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `--` begins a comment.
    Ansi,
    /// `#` begins a comment, and `--` with white space behind it.
    MySql,
}

/// White space between tokens is more than this; this much is white space behind `--` and numbers. A NUL is white space
/// to Oracle, 0xA0 in Latin-1.
const SPACE: ByteSet = ByteSet::list(b" \t\n\x0b\x0c\r\xa0\0");
/// What ends a word.
const WORD_END: ByteSet = ByteSet::list(b" []{}<>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r\"\xa0\0");
/// What ends the name of a variable.
const VARIABLE_END: ByteSet = ByteSet::list(b" <>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r'`\"\0");
/// Digits and others, with the NUL that libinjection takes for one of any set.
const HEX: ByteSet = ByteSet::list(b"0123456789ABCDEFabcdef\0");
const BINARY: ByteSet = ByteSet::list(b"01\0");
const MONEY: ByteSet = ByteSet::list(b"0123456789.,\0");
const LETTERS: ByteSet = ByteSet::range(b'A', b'Z').union(&ByteSet::range(b'a', b'z')).union(&ByteSet::list(b"\0"));
/// What may be the second character of an operator.
const SECOND: ByteSet = ByteSet::list(b"!<=>&|:@/*");

static CLASSES: [CharType; 256] = CHAR_MAP;

/// Cuts a value into tokens.
pub(super) struct Tokenizer<'a> {
    text: &'a [u8],
    at: usize,
    /// The quote that is thought to stand before the value.
    quote: Option<u8>,
    dialect: Dialect,
    ambiguous: bool,
}

impl<'a> Tokenizer<'a> {
    pub(super) fn new(text: &'a [u8], quote: Option<u8>, dialect: Dialect) -> Self {
        Self { text, at: 0, quote, dialect, ambiguous: false }
    }

    /// Whether a comment was met that the other dialect would have read differently.
    pub(super) fn ambiguous(&self) -> bool {
        self.ambiguous
    }

    /// The next token; none at the end of the value.
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        if let Some(quote) = self.quote.take() {
            let mut token = self.string(0, quote);
            token.open = 0;
            return Some(token);
        }
        loop {
            let byte = *self.text.get(self.at)?;
            return Some(match CLASSES[usize::from(byte)] {
                CharType::White => {
                    self.at += 1;
                    continue;
                }
                CharType::Op1 | CharType::Unary => self.take(Kind::Operator, 1),
                CharType::Op2 | CharType::Bang => self.operator(byte),
                CharType::LeftParens => self.take(Kind::Open, 1),
                CharType::RightParens => self.take(Kind::Close, 1),
                CharType::LeftBrace => self.take(Kind::OpenBrace, 1),
                CharType::RightBrace => self.take(Kind::CloseBrace, 1),
                CharType::Comma => self.take(Kind::Comma, 1),
                CharType::Semicolon => self.take(Kind::Semicolon, 1),
                CharType::Other => self.take(Kind::Unknown, 1),
                CharType::Hash => self.hash(),
                CharType::Dash => self.dash(),
                CharType::Slash => self.slash(),
                CharType::Backslash => self.backslash(),
                CharType::Number => self.number(),
                CharType::Variable => self.variable(),
                CharType::Money => self.money(),
                CharType::Word => self.word(),
                CharType::BWord => self.bracketed(),
                CharType::Tick => self.ticked(self.at),
                CharType::String => self.string(self.at + 1, byte),
                CharType::BString => self.digits_in_quotes(&BINARY),
                CharType::XString => self.digits_in_quotes(&HEX),
                CharType::EString => self.escaped(),
                CharType::NQString => self.national(),
                CharType::QString => self.alternative(0),
                CharType::UString => self.unicode(),
            });
        }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    /// How many bytes of a set there are from `ahead` on.
    fn run(&self, ahead: usize, set: &ByteSet) -> usize {
        let rest = self.text.get(self.at + ahead..).unwrap_or_default();
        rest.iter().position(|byte| !set.contains(*byte)).unwrap_or(rest.len())
    }

    /// The next `length` bytes.
    fn take(&mut self, kind: Kind, length: usize) -> Token<'a> {
        let token = Token::new(kind, &self.text[self.at..self.at + length]);
        self.at += length;
        token
    }

    fn operator(&mut self, first: u8) -> Token<'a> {
        if let Some(second) = self.byte(1).filter(|second| SECOND.contains(*second)) {
            if (first, second, self.byte(2)) == (b'<', b'=', Some(b'>')) {
                return self.take(Kind::Operator, 3);
            }
            if let Some(word) = words::find(&[first, second]) {
                return self.take(word.kind, 2);
            }
        }
        // A colon before anything is no operator, the last character of a value is one.
        self.take(if first == b':' && self.byte(1).is_some() { Kind::Colon } else { Kind::Operator }, 1)
    }

    fn hash(&mut self) -> Token<'a> {
        self.ambiguous = true;
        match self.dialect {
            Dialect::Ansi => self.take(Kind::Operator, 1),
            Dialect::MySql => self.comment(),
        }
    }

    fn dash(&mut self) -> Token<'a> {
        if self.byte(1) != Some(b'-') {
            return self.take(Kind::Operator, 1);
        }
        if self.byte(2).is_none_or(|byte| SPACE.contains(byte)) {
            return self.comment();
        }
        self.ambiguous = true;
        match self.dialect {
            Dialect::Ansi => self.comment(),
            Dialect::MySql => self.take(Kind::Operator, 1),
        }
    }

    /// To the end of the line.
    fn comment(&mut self) -> Token<'a> {
        let rest = &self.text[self.at..];
        let end = memchr(b'\n', rest);
        let token = self.take(Kind::Comment, end.unwrap_or(rest.len()));
        self.at += usize::from(end.is_some());
        token
    }

    fn slash(&mut self) -> Token<'a> {
        if self.byte(1) != Some(b'*') {
            return self.take(Kind::Operator, 1);
        }
        let rest = &self.text[self.at..];
        let end = pair(&rest[2..], *b"*/").map(|end| end + 2);
        // PostgreSQL nests comments, others do not. MySQL runs what is in a comment that begins with `!`.
        // The star of the end may be that of a nested beginning: `/*/*/`.
        let nested = end.is_some_and(|end| pair(&rest[2..=end], *b"/*").is_some());
        let kind = if nested || rest.get(2) == Some(&b'!') { Kind::Evil } else { Kind::Comment };
        self.take(kind, end.map_or(rest.len(), |end| end + 2))
    }

    fn backslash(&mut self) -> Token<'a> {
        // `\N` is MySQL's NULL.
        if self.byte(1) == Some(b'N') { self.take(Kind::Number, 2) } else { self.take(Kind::Backslash, 1) }
    }

    fn number(&mut self) -> Token<'a> {
        let digits = match (self.byte(0), self.byte(1)) {
            (Some(b'0'), Some(b'x' | b'X')) => Some(&HEX),
            (Some(b'0'), Some(b'b' | b'B')) => Some(&BINARY),
            _ => None,
        };
        if let Some(digits) = digits {
            let count = self.run(2, digits);
            return self.take(if count == 0 { Kind::Word } else { Kind::Number }, 2 + count);
        }
        let decimal = |number: &Self, ahead| {
            let rest = number.text.get(number.at + ahead..).unwrap_or_default();
            rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())
        };
        let mut length = decimal(self, 0);
        if self.byte(length) == Some(b'.') {
            length += 1;
            length += decimal(self, length);
            if length == 1 {
                return self.take(Kind::Dot, 1);
            }
        }
        let mut kind = Kind::Number;
        if let Some(b'e' | b'E') = self.byte(length) {
            length += 1;
            length += usize::from(matches!(self.byte(length), Some(b'+' | b'-')));
            let exponent = decimal(self, length);
            length += exponent;
            // `1.e` is no number.
            if exponent == 0 {
                kind = Kind::Word;
            }
        }
        // Oracle's numbers may end so. What follows must not go on with a word, but for `union`: `1dunion`.
        if let Some(b'd' | b'D' | b'f' | b'F') = self.byte(length) {
            let ends = |byte| SPACE.contains(byte) || matches!(byte, b';' | b'u' | b'U');
            length += usize::from(self.byte(length + 1).is_none_or(ends));
        }
        self.take(kind, length)
    }

    /// The name is without `@`.
    fn variable(&mut self) -> Token<'a> {
        self.at += if self.byte(1) == Some(b'@') { 2 } else { 1 };
        match self.byte(0) {
            Some(b'`') => Token { kind: Kind::Variable, ..self.ticked(self.at) },
            Some(quote @ (b'\'' | b'"')) => Token { kind: Kind::Variable, ..self.string(self.at + 1, quote) },
            _ => {
                let rest = &self.text[self.at..];
                let length = rest.iter().position(|byte| VARIABLE_END.contains(*byte)).unwrap_or(rest.len());
                self.take(Kind::Variable, length)
            }
        }
    }

    /// A word of SQL, or any other. A word of SQL may end at a dot or at a back quote: `select.1`.
    fn word(&mut self) -> Token<'a> {
        let rest = &self.text[self.at..];
        let mut length = 0;
        while let Some(&byte) = rest.get(length).filter(|byte| !WORD_END.contains(**byte)) {
            if matches!(byte, b'.' | b'`')
                && length < LONGEST
                && let Some(word) = words::find(&rest[..length]).filter(|word| word.kind != Kind::Word)
            {
                return self.take(word.kind, length);
            }
            length += 1;
        }
        let kind = words::find(&rest[..length]).map_or(Kind::Word, |word| word.kind);
        self.take(kind, length)
    }
}

/// Where two bytes stand one behind the other.
fn pair(text: &[u8], bytes: [u8; 2]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr(bytes[0], text.get(from..)?)?;
        if text.get(at + 1) == Some(&bytes[1]) {
            return Some(at);
        }
        from = at + 1;
    }
}
