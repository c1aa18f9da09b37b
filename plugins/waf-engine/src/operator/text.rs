//! Operators that compare a value with a text.

use std::borrow::Cow;

use memchr::memmem;

use super::Found;
use crate::{
    model::Template,
    needs::{Clause, Needs},
};

/// Compares with a text, in which there may be macros. Case matters.
#[derive(Debug)]
pub struct Text {
    place: Where,
    argument: Argument,
}

/// Where in the value the text must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// `@beginsWith`.
    Begin,
    /// `@endsWith`.
    End,
    /// `@contains`, `@strmatch`.
    Anywhere,
    /// `@containsWord`: with no letter of ASCII before or after it.
    Word,
    /// `@streq`: it is the value.
    Whole,
    /// `@within`: the other way round, the value is in the text.
    Around,
}

#[derive(Debug)]
enum Argument {
    Fixed(Box<memmem::Finder<'static>>),
    Made(Template),
}

impl Text {
    /// # Errors
    /// When a macro names a variable that does not exist.
    pub(super) fn new(place: Where, argument: &str) -> Result<Self, String> {
        let template = Template::parse(argument)?;
        let argument = match template.as_literal() {
            Some(text) => Argument::Fixed(Box::new(memmem::Finder::new(text).into_owned())),
            None => Argument::Made(template),
        };
        Ok(Self { place, argument })
    }

    pub(super) fn judge<'a>(
        &self,
        value: &[u8],
        expand: &mut dyn FnMut(&Template) -> Cow<'a, [u8]>,
        found: &mut Found,
    ) -> bool {
        let expanded;
        let (text, finder): (&[u8], _) = match &self.argument {
            Argument::Fixed(finder) => (finder.needle(), Some(finder)),
            Argument::Made(template) => {
                expanded = expand(template);
                (&expanded, None)
            }
        };
        let begin = match self.place {
            Where::Begin => value.starts_with(text).then_some(0),
            Where::End => value.ends_with(text).then(|| value.len() - text.len()),
            Where::Whole => (value == text).then_some(0),
            Where::Anywhere => match finder {
                Some(finder) => finder.find(value),
                None => memmem::find(value, text),
            },
            Where::Word => word(value, text),
            Where::Around => {
                let inside = memmem::find(text, value).is_some();
                if inside {
                    found.set(0..value.len());
                }
                return inside;
            }
        };
        if let Some(begin) = begin {
            found.set(begin..begin + text.len());
        }
        begin.is_some()
    }

    pub(super) fn needs(&self) -> Needs {
        let Argument::Fixed(finder) = &self.argument else { return Needs::default() };
        let text = finder.needle();
        if text.is_empty() || self.place == Where::Around {
            return Needs::default();
        }
        Needs { clauses: vec![Clause::Literals(vec![text.to_ascii_lowercase().into()])], length: text.len() }
    }
}

/// Where the text stands as a word of its own. An empty one stands everywhere.
fn word(value: &[u8], text: &[u8]) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    let is_letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphabetic);
    let mut places = memmem::find_iter(value, text);
    if text.iter().all(u8::is_ascii_alphabetic) {
        // No such word begins inside another such: the iterator's leaving out of what overlaps loses nothing.
        return places.find(|at| !is_letter(value[..*at].last()) && !is_letter(value.get(at + text.len())));
    }
    let mut from = 0;
    while let Some(at) = memmem::find(&value[from..], text).map(|at| from + at) {
        if !is_letter(value[..at].last()) && !is_letter(value.get(at + text.len())) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}
