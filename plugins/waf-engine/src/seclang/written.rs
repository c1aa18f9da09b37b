//! Actions as they are written: names and values, separated by commas.

use std::borrow::Cow;

use crate::{
    model::Template,
    seclang::{
        line::Span,
        report::{Mistake, clip},
        word::{Word, closing, unescape},
    },
};

/// An action as written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written<'a> {
    pub name: Span<'a>,
    /// Behind the colon, without quotes around all of it.
    pub value: Option<Span<'a>>,
    /// Whether there were such quotes.
    pub quoted: bool,
    /// The quotes around the whole list.
    pub outer: Option<char>,
}

impl<'a> Written<'a> {
    /// A part of the value, without backslashes before quotes.
    pub fn text(&self, part: Span<'a>) -> Cow<'a, str> {
        let inner = unescape(part.text, '\'');
        match (self.outer, inner) {
            (Some('"'), Cow::Borrowed(text)) => unescape(text, '"'),
            (Some('"'), Cow::Owned(text)) => Cow::Owned(unescape(&text, '"').into_owned()),
            (_, inner) => inner,
        }
    }

    /// The value, which must be there.
    pub fn value(&self) -> Result<Span<'a>, Mistake> {
        match self.value {
            Some(value) if !value.text.is_empty() => Ok(value),
            _ => Err(self.name.mistake(format!("{0} needs a value: write {0}:...", self.name.text))),
        }
    }

    /// The value as text with macros.
    pub fn template(&self) -> Result<Template, Mistake> {
        let value = self.value()?;
        Template::parse(&self.text(value)).map_err(|why| value.mistake(why))
    }

    /// The value as a number of at most so much.
    pub fn number(&self, most: u64) -> Result<u64, Mistake> {
        let value = self.value()?;
        number(value.text).filter(|number| *number <= most).ok_or_else(|| {
            value.mistake(format!("{} is not a number from 0 to {most}, as {} needs", clip(value.text), self.name.text))
        })
    }
}

/// Digits, nothing else.
pub(super) fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Takes a list apart: `id:1,phase:2,msg:'a, b',setvar:tx.a='b,c'`.
pub(super) fn split<'a>(list: Word<'a>, mistakes: &mut Vec<Mistake>) -> Vec<Written<'a>> {
    let mut actions = Vec::new();
    let mut rest = list.span.trim();
    while !rest.text.is_empty() {
        if rest.text.starts_with(',') {
            rest = rest.from(1).trim();
            continue;
        }
        let end = rest.text.find([':', ',']).unwrap_or(rest.text.len());
        let name = rest.to(end).trim();
        rest = rest.from(end);
        let mut written = Written { name, value: None, quoted: false, outer: list.quote };
        if rest.text.starts_with(':') {
            rest = rest.from(1).trim();
            if rest.text.starts_with('\'') {
                let inside = rest.from(1);
                let Some(end) = closing(inside.text, '\'') else {
                    mistakes.push(rest.mistake(format!("the value {} has no closing '", clip(rest.text))));
                    return actions;
                };
                written.value = Some(inside.to(end));
                written.quoted = true;
                rest = inside.from(end + 1).trim();
                if !rest.text.is_empty() && !rest.text.starts_with(',') {
                    let word = rest.to(rest.text.find(',').unwrap_or(rest.text.len()));
                    mistakes.push(word.mistake(format!(
                        "after the closing ' of {} comes {}: put a comma between them, or write \\' for a quote inside the value",
                        name.text,
                        clip(word.text)
                    )));
                    rest = rest.from(word.text.len());
                }
            } else {
                let end = end_of_value(rest.text);
                written.value = Some(rest.to(end).trim());
                rest = rest.from(end);
            }
        }
        actions.push(written);
    }
    actions
}

/// The comma after a bare value. Quotes that begin behind `=`, `;` or `:` may hide some: `setvar:tx.a='b,c'`.
fn end_of_value(text: &str) -> usize {
    let (mut quoted, mut escaped, mut before) = (false, false, ' ');
    for (at, next) in text.char_indices() {
        if quoted {
            quoted = escaped || next != '\'';
            escaped = next == '\\' && !escaped;
        } else if next == ',' {
            return at;
        } else {
            quoted = next == '\'' && matches!(before, '=' | ';' | ':');
            escaped = false;
        }
        before = next;
    }
    text.len()
}
