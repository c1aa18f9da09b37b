//! The rules of folding, of two tokens and of three.

use super::{Folded, Next};
use crate::operator::sqli::{
    tokenizer::{Kind, Token},
    words,
};

/// Names of columns often enough, but functions before a parenthesis.
const ALSO_FUNCTIONS: [&str; 11] = [
    "USER_ID",
    "USER_NAME",
    "DATABASE",
    "PASSWORD",
    "USER",
    "CURRENT_USER",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "LOCALTIME",
    "LOCALTIMESTAMP",
];

impl<'a> Folded<'a> {
    /// Takes away the last tokens and looks again from the first.
    fn drop_last(&mut self, count: usize) -> Next {
        self.count -= count;
        self.left = 0;
        Next::Again
    }

    /// Puts the token at `left + at + 1` into the place before it.
    fn close_up(&mut self, at: usize) -> Next {
        self.tokens[self.left + at] = self.tokens[self.left + at + 1];
        self.drop_last(1)
    }

    /// Takes away the last token and looks again one to the left.
    fn drop_and_step_back(&mut self) -> Next {
        self.count -= 1;
        self.left = self.left.saturating_sub(1);
        Next::Again
    }

    pub(super) fn fold_two(&mut self) -> Next {
        use Kind::{
            Backslash, Close, CloseBrace, Collation, Function, Keyword, Logic, Number, Open, OpenBrace, Operator,
            Semicolon, Statement, Text, Type, Variable, Word,
        };
        let left = self.left;
        // Tokens are not copied: this runs for every one of a long list.
        let [a, b, ..] = &self.tokens[left..] else { return Next::On };
        match (a.kind, b.kind) {
            (Text, Text) | (Semicolon, Semicolon) => {
                self.count -= 1;
                return Next::Again;
            }
            (Operator | Logic, _) if b.kind == Type || b.is_unary() => return self.drop_last(1),
            (Open, Operator) if b.is_unary() => return self.drop_and_step_back(),
            _ => {}
        }
        if let Some(merged) = merge(a, b) {
            self.tokens[left] = merged;
            return self.drop_and_step_back();
        }
        match (a.kind, b.kind) {
            // In Transact-SQL a statement, elsewhere a function.
            (Semicolon, Function) if b.text.len() >= 2 && b.text[..2].eq_ignore_ascii_case(b"IF") => {
                self.tokens[left + 1].kind = Statement;
                Next::Again
            }
            (Word | Variable, Open) if ALSO_FUNCTIONS.iter().any(|name| a.is(name)) => {
                self.tokens[left].kind = Function;
                Next::Again
            }
            (Keyword, _) if a.is("IN") || a.is("NOT IN") => {
                self.tokens[left].kind = if b.kind == Open { Operator } else { Word };
                Next::Again
            }
            (Operator, _) if a.is("LIKE") || a.is("NOT LIKE") => {
                if b.kind == Open {
                    self.tokens[left].kind = Function;
                }
                Next::On
            }
            (Type, Word | Number | Type | Open | Function | Variable | Text) => self.close_up(0),
            // There are too many collations to know them; all have an underscore.
            (Collation, Word) if b.text.contains(&b'_') => {
                self.tokens[left + 1].kind = Type;
                self.left = 0;
                Next::On
            }
            // To Transact-SQL `\%1` is `0 % 1`, and `\1` is `1`.
            (Backslash, Operator) if matches!(b.text, b"*" | b"/" | b"-" | b"+" | b"%") => {
                self.tokens[left].kind = Number;
                self.left = 0;
                Next::Again
            }
            (Backslash, _) => self.close_up(0),
            (Open, Open) | (Close, Close) => self.drop_last(1),
            // Only MySQL takes an empty name, and only here.
            (OpenBrace, Word) if b.text.is_empty() => Next::Evil,
            // `{name expression}` is the expression.
            (OpenBrace, Word) => self.drop_last(2),
            (_, CloseBrace) => self.drop_last(1),
            _ => Next::On,
        }
    }

    pub(super) fn fold_three(&mut self) -> Next {
        use Kind::{
            Comma, Dot, Expression, Function, Group, Keyword, Logic, Number, Open, Operator, Text, Type, Variable, Word,
        };
        let left = self.left;
        let [a, b, c, ..] = &self.tokens[left..] else { return Next::On };
        match (a.kind, b.kind, c.kind) {
            (Number, Operator, Number) | (Logic, _, Logic) => self.drop_last(2),
            (Operator, middle, Operator) if middle != Open => self.drop_last(2),
            (Variable, Operator, Variable | Number | Word) => self.drop_last(2),
            (Word | Number, Operator, Number | Word) => self.drop_last(2),
            // PostgreSQL's cast.
            (Word | Number | Variable | Text, Operator, Type) if b.text == b"::" => self.drop_last(2),
            (Word | Number | Text | Variable, Comma, Number | Word | Text | Variable) => self.drop_last(2),
            // Signs before operands.
            (Expression | Group | Comma, Operator, Open) if b.is_unary() => self.close_up(1),
            (Keyword | Expression | Group, Operator, Number | Word | Variable | Text | Function) if b.is_unary() => {
                self.close_up(1)
            }
            // `1,-1` is `1`: what stands before the comma is looked at again.
            (Comma, Operator, Number | Word | Variable | Text) if b.is_unary() => {
                self.tokens[left + 1] = *c;
                self.drop_last(3)
            }
            (Comma, Operator, Function) if b.is_unary() => self.close_up(1),
            // Of a name with dots the first part stands for all.
            (Word, Dot, Word) => self.drop_last(2),
            (Expression, Dot, Word) => self.close_up(1),
            // With an argument it is not the function.
            (Function, Open, last) if last != Kind::Close && a.is("USER") => {
                self.tokens[left].kind = Word;
                Next::On
            }
            _ => Next::On,
        }
    }
}

/// One word of SQL that is written as two: `group by`, `not like`.
fn merge<'a>(first: &Token<'a>, second: &Token<'a>) -> Option<Token<'a>> {
    use Kind::{Expression, Function, Keyword, Logic, Operator, Statement, Type, Union, Word};
    let is_word = |kind| matches!(kind, Keyword | Word | Operator | Union | Function | Expression | Statement | Type);
    if !is_word(first.kind) || !is_word(second.kind) && second.kind != Logic {
        return None;
    }
    let merged = words::find_two(first.text, second.text)?;
    Some(Token { kind: merged.kind, text: merged.text, ..*first })
}
