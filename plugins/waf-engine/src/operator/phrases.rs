//! Operators that look for any of many phrases.

use aho_corasick::{AhoCorasick, MatchKind};

use super::{Found, Making, lines, read_files};
use crate::needs::{Clause, Needs};

/// Any of many phrases, in any case of ASCII.
#[derive(Debug)]
pub struct Phrases {
    /// In lower case, each once.
    phrases: Vec<Box<[u8]>>,
    /// `None` where there is no phrase.
    search: Option<AhoCorasick>,
}

impl Phrases {
    /// Of `@pm`: phrases with spaces between them; in them, `|41 42|` are bytes.
    ///
    /// # Errors
    /// When there is no phrase.
    pub(super) fn new(argument: &str) -> Result<Self, String> {
        let argument = argument.trim_ascii();
        let argument = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(argument);
        let phrases = split(argument.as_bytes());
        if phrases.is_empty() { Err("there is no phrase to look for".to_owned()) } else { Self::build(phrases) }
    }

    /// Of `@pmFromFile`: one phrase a line, as it stands, white space at its ends taken off. Lines that begin with `#` are comments.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn from_files(argument: &str, making: &Making<'_>) -> Result<Self, String> {
        let files = read_files(argument, making)?;
        Self::build(files.iter().flat_map(|(_, file)| lines(file)).map(|(_, line)| line.to_vec()).collect())
    }

    fn build(mut phrases: Vec<Vec<u8>>) -> Result<Self, String> {
        phrases.iter_mut().for_each(|phrase| phrase.make_ascii_lowercase());
        phrases.sort_unstable();
        phrases.dedup();
        if phrases.is_empty() {
            return Ok(Self { phrases: Vec::new(), search: None });
        }
        let search =
            AhoCorasick::builder().match_kind(MatchKind::Standard).ascii_case_insensitive(true).build(&phrases);
        let search = search.map_err(|why| format!("these are too many phrases: {why}"))?;
        Ok(Self { phrases: phrases.into_iter().map(Into::into).collect(), search: Some(search) })
    }

    pub(super) fn judge(&self, value: &[u8], found: &mut Found) -> bool {
        let first = self.search.as_ref().and_then(|search| search.find(value));
        if let Some(first) = &first {
            found.set(first.range());
        }
        first.is_some()
    }

    pub(super) fn needs(&self) -> Needs {
        let length = self.phrases.iter().map(|phrase| phrase.len()).min().unwrap_or(0);
        Needs { clauses: vec![Clause::Literals(self.phrases.clone())], length }
    }
}

/// Takes the phrases of an argument apart.
fn split(argument: &[u8]) -> Vec<Vec<u8>> {
    let mut phrases = Vec::new();
    let mut phrase = Vec::new();
    let mut rest = argument;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'|'
            && let Some((bytes, after)) = hexadecimal(rest)
        {
            phrase.extend(bytes);
            rest = after;
        } else if byte.is_ascii_whitespace() {
            if !phrase.is_empty() {
                phrases.push(std::mem::take(&mut phrase));
            }
        } else {
            phrase.push(byte);
        }
    }
    if !phrase.is_empty() {
        phrases.push(phrase);
    }
    phrases
}

/// The bytes before the next bar, and what comes after it. `None` where there is anything but pairs of digits: the bar is a bar.
fn hexadecimal(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut bytes = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        match rest {
            [b'|', after @ ..] if !bytes.is_empty() => return Some((bytes, after)),
            [high, low, after @ ..] => {
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                rest = after;
            }
            _ => return None,
        }
    }
}
