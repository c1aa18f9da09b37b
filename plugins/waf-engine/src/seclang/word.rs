//! The words of a directive: bare, in double or in single quotes.

use std::borrow::Cow;

use crate::seclang::{
    line::Span,
    report::{Mistake, clip},
};

/// An argument of a directive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'a> {
    /// What is between the quotes, escapes as written.
    pub span: Span<'a>,
    /// Which quotes: nothing, `"` or `'`.
    pub quote: Option<char>,
}

impl<'a> Word<'a> {
    /// Without the backslashes before quotes of its own kind. Other escapes are the business of whoever reads the text: patterns.
    pub fn text(&self) -> Cow<'a, str> {
        match self.quote {
            Some(quote) => unescape(self.span.text, quote),
            None => Cow::Borrowed(self.span.text),
        }
    }

    /// A mistake about it.
    pub fn mistake(&self, text: impl Into<String>) -> Mistake {
        self.span.mistake(text)
    }
}

/// Takes the backslash away from `\"` (or from `\'`), as httpd's reader of configurations and Coraza do.
pub(super) fn unescape(text: &str, quote: char) -> Cow<'_, str> {
    let Some(first) = text.find('\\') else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut rest = text[first..].chars();
    while let Some(next) = rest.next() {
        if next != '\\' {
            out.push(next);
            continue;
        }
        match rest.next() {
            Some(escaped) if escaped == quote => out.push(quote),
            Some(escaped) => out.extend(['\\', escaped]),
            None => out.push('\\'),
        }
    }
    Cow::Owned(out)
}

/// Reads words one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    rest: Span<'a>,
}

impl<'a> Words<'a> {
    pub fn new(span: Span<'a>) -> Self {
        Self { rest: span.trim() }
    }

    /// Whether nothing but a comment is left.
    pub fn is_empty(&self) -> bool {
        self.rest.text.is_empty() || self.rest.text.starts_with('#')
    }

    /// The next word, if there is one.
    pub fn next(&mut self) -> Result<Option<Word<'a>>, Mistake> {
        let rest = self.rest;
        let Some(first) = rest.text.chars().next() else { return Ok(None) };
        if first != '"' && first != '\'' {
            let end = rest.text.find(char::is_whitespace).unwrap_or(rest.text.len());
            return Ok(Some(self.take(rest.to(end), end, None)));
        }
        let inside = rest.from(1);
        let Some(end) = closing(inside.text, first) else {
            return Err(rest.mistake(format!("the text that begins with {} has no closing {first}", clip(rest.text))));
        };
        let after = inside.from(end + 1);
        if !after.text.is_empty() && !after.text.starts_with(char::is_whitespace) {
            return Err(after.mistake(format!(
                "right after the closing {first} comes {}: put a blank between them, or write \\{first} for a quote inside the text",
                clip(after.text)
            )));
        }
        Ok(Some(self.take(inside.to(end), end + 2, Some(first))))
    }

    /// The next word, and whether it lacks its closing quote: then it is all that is left of the line.
    pub fn next_unclosed(&mut self) -> Result<Option<(Word<'a>, bool)>, Mistake> {
        let rest = self.rest;
        if rest.text.starts_with('"') && closing(&rest.text[1..], '"').is_none() {
            return Ok(Some((self.take(rest.from(1), rest.text.len(), Some('"')), true)));
        }
        self.next().map(|word| word.map(|word| (word, false)))
    }

    /// As [`next`](Self::next), for what may be variables: bare, but a selector in single quotes may contain blanks.
    pub fn next_targets(&mut self) -> Result<Option<Word<'a>>, Mistake> {
        if self.rest.text.starts_with(['"', '\'']) {
            return self.next();
        }
        let (mut quoted, mut escaped, mut before) = (false, false, ' ');
        let end = self.rest.text.char_indices().find(|&(_, next)| {
            if quoted {
                quoted = escaped || next != '\'';
                escaped = next == '\\' && !escaped;
            } else {
                quoted = next == '\'' && matches!(before, ':' | '.');
            }
            before = next;
            !quoted && next.is_whitespace()
        });
        let end = end.map_or(self.rest.text.len(), |(at, _)| at);
        Ok((end > 0).then(|| self.take(self.rest.to(end), end, None)))
    }

    fn take(&mut self, span: Span<'a>, length: usize, quote: Option<char>) -> Word<'a> {
        self.rest = self.rest.from(length).trim();
        Word { span, quote }
    }

    /// All words that are left.
    pub fn all(mut self) -> Result<Vec<Word<'a>>, Mistake> {
        let mut words = Vec::new();
        while !self.is_empty()
            && let Some(word) = self.next_targets()?
        {
            words.push(word);
        }
        Ok(words)
    }
}

/// Where the quote is that ends a text; a backslash takes the meaning from what follows it.
pub(super) fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, next)| {
        let found = next == quote && !escaped;
        escaped = next == '\\' && !escaped;
        found.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, String> {
        let words = Words::new(Span { text, at: 0 }).all().map_err(|mistake| mistake.text)?;
        Ok(words.iter().map(|word| word.text().into_owned()).collect())
    }

    #[test]
    fn words_come_bare_and_in_both_quotes() {
        assert_eq!(words(r#"a "b \"c\" \\d" 'e "f\'' g # rest"#).unwrap(), ["a", r#"b "c" \\d"#, "e \"f'", "g"]);
        assert_eq!(words("").unwrap(), [""; 0]);
        assert_eq!(words(r#" "" "#).unwrap(), [""]);
        assert_eq!(words(r#""a\\" b"#).unwrap(), [r"a\\", "b"]);
    }

    #[test]
    fn quotes_must_close_and_stand_alone() {
        assert!(words("\"a b").unwrap_err().contains("no closing"));
        assert!(words("\"a\"b").unwrap_err().contains("right after"));
    }

    #[test]
    fn selectors_in_quotes_may_hold_blanks() {
        let mut words = Words::new(Span { text: "ARGS:'a b\\' c'|FILES 'x'", at: 0 });
        assert_eq!(words.next_targets().unwrap().unwrap().span.text, "ARGS:'a b\\' c'|FILES");
        assert_eq!(words.next().unwrap().unwrap().text(), "x");
    }
}
