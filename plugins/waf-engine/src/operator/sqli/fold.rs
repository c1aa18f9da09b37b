//! Folding: tokens that say nothing about the shape of a statement go, until five are left.
//!
//! The rules and their order are libinjection's, and so is what looks odd: a rule that takes away "the last token"
//! takes the last that was read, which after a step back is not always the one that it looked at.

mod rules;

use super::{
    Fingerprint,
    tokenizer::{Kind, Token, Tokenizer},
};

/// So many tokens a fingerprint has at most.
pub(super) const MOST: usize = 5;

/// A sixth token helps to tell what the fifth is.
const ROOM: usize = MOST + 1;

/// What is left of a value.
pub(super) struct Folded<'a> {
    tokens: [Token<'a>; ROOM],
    /// How many are there.
    count: usize,
    /// Before this one nothing is left to fold.
    left: usize,
    /// How many tokens were read, comments too.
    pub(super) seen: usize,
    /// The last token, where it is a comment.
    comment: Option<Token<'a>>,
    /// Whether the value goes on.
    more: bool,
}

/// How it goes on after looking at the tokens from `left` on.
enum Next {
    /// Something was folded: look again.
    Again,
    /// Nothing was.
    On,
    /// It cannot be read for sure.
    Evil,
}

impl<'a> Folded<'a> {
    pub(super) fn new(tokenizer: &mut Tokenizer<'a>) -> Self {
        let nothing = Token::new(Kind::Unknown, &[]);
        let mut folded = Self { tokens: [nothing; ROOM], count: 0, left: 0, seen: 0, comment: None, more: false };
        folded.fold(tokenizer);
        // What cannot be read for sure is known by that alone.
        if folded.tokens().iter().any(|token| token.kind == Kind::Evil) {
            folded.tokens[0] = Token::new(Kind::Evil, &[]);
            folded.count = 1;
        }
        folded
    }

    /// At most [`MOST`].
    pub(super) fn tokens(&self) -> &[Token<'a>] {
        &self.tokens[..self.count]
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut letters = [0; MOST];
        for (letter, token) in letters.iter_mut().zip(self.tokens()) {
            *letter = token.kind as u8;
        }
        Fingerprint { letters, count: self.count }
    }

    fn fold(&mut self, tokenizer: &mut Tokenizer<'a>) {
        // What stands before the first operand says nothing.
        loop {
            let Some(token) = tokenizer.next() else { return };
            self.seen += 1;
            if !matches!(token.kind, Kind::Comment | Kind::Open | Kind::Type) && !token.is_unary() {
                self.tokens[0] = token;
                self.count = 1;
                break;
            }
        }
        self.more = true;
        loop {
            if self.count >= MOST && self.is_folded_further() {
                if self.count > MOST {
                    self.tokens[1] = self.tokens[MOST];
                    self.count = 2;
                } else {
                    self.count = 1;
                }
                self.left = 0;
            }
            if !self.more || self.left >= MOST {
                break;
            }
            if !self.has(2, tokenizer) {
                continue;
            }
            match self.fold_two() {
                Next::Again => continue,
                Next::On => {}
                Next::Evil => {
                    self.tokens[0].kind = Kind::Evil;
                    return;
                }
            }
            if self.has(3, tokenizer) && matches!(self.fold_three(), Next::On) {
                self.left += 1;
            }
        }
        self.count = self.count.min(MOST);
        if let Some(comment) = self.comment
            && self.count < MOST
        {
            self.tokens[self.count] = comment;
            self.count += 1;
        }
        self.end_at_tick();
    }

    /// Whether there are so many tokens from `left` on; reads what is missing. If there are no more, nothing is left to
    /// fold.
    fn has(&mut self, wanted: usize, tokenizer: &mut Tokenizer<'a>) -> bool {
        while self.more && self.count <= MOST && self.count - self.left < wanted {
            match tokenizer.next() {
                None => self.more = false,
                Some(token) => self.add(token),
            }
        }
        let has = self.count - self.left >= wanted;
        if !has {
            self.left = self.count;
        }
        has
    }

    /// A comment is put aside: it counts when nothing follows it.
    fn add(&mut self, token: Token<'a>) {
        self.seen += 1;
        if token.kind == Kind::Comment {
            self.comment = Some(token);
        } else {
            self.comment = None;
            self.tokens[self.count] = token;
            self.count += 1;
        }
    }

    /// Five tokens that are known to be one operand and more.
    fn is_folded_further(&self) -> bool {
        use Kind::{Close, Comma, Number, Open, Operator, Word};
        let [a, b, c, d, e, ..] = self.tokens.map(|token| token.kind);
        matches!(
            (a, b, c, d, e),
            (Number, Operator | Comma, Open, Number, Close)
                | (Word, Operator, Open, Word | Number, Close)
                | (Number, Close, Comma, Open, Number)
                | (Word, Close, Operator, Open, Word)
        )
    }

    /// A back quote at the very end, with nothing in it, hides what would follow from MySQL.
    fn end_at_tick(&mut self) {
        if let [_, _, .., last] = &mut self.tokens[..self.count]
            && (last.kind, last.open, last.close) == (Kind::Word, b'`', 0)
            && last.text.is_empty()
        {
            last.kind = Kind::Comment;
        }
    }
}
