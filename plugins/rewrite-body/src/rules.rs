//! What is looked for, and what takes its place.
//!
//! Every rule has a longest match, known from its pattern: it bounds how much of a body waits for more. A pattern without one, such
//! as `<a .*>`, is refused when the configuration is loaded, rather than missing matches that are longer than some buffer.

use regex::bytes::{Regex, RegexBuilder};

/// The longest match that is allowed, in bytes. A piece of a body is of that order too.
const LONGEST: usize = 64 << 10;

/// One pattern with its replacement.
#[derive(Clone, Debug)]
pub struct Rule {
    pattern: Regex,
    with: Replacement,
    longest: usize,
}

#[derive(Clone, Debug)]
enum Replacement {
    /// As it stands.
    Text(Vec<u8>),
    /// With `$1` and `${name}` for what groups matched.
    Groups(Vec<u8>),
}

impl Rule {
    /// Replaces a text.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn literal(text: &str, ignore_case: bool, with: &str) -> Result<Self, String> {
        Self::new(&regex::escape(text), ignore_case, Replacement::Text(with.into()))
    }

    /// Replaces what a regular expression matches. In `with`, `$1` and `${name}` stand for its groups and `$$` for a dollar.
    ///
    /// # Errors
    /// A sentence that begins with the key: when it is not valid, has no longest match, or can match nothing, or `with` names a
    /// group that it does not have.
    pub fn regex(pattern: &str, ignore_case: bool, with: &str) -> Result<Self, String> {
        let rule =
            Self::new(pattern, ignore_case, Replacement::Text(Vec::new())).map_err(|why| format!("regex: {why}"))?;
        if let Some(group) = unknown_group(with, &rule.pattern) {
            return Err(format!(
                "with: the regex has no group {group:?}. A dollar sign itself is written $$, and before letters a group is ${{1}}"
            ));
        }
        let with = match with.contains('$') {
            true => Replacement::Groups(with.into()),
            false => Replacement::Text(with.into()),
        };
        Ok(Self { with, ..rule })
    }

    fn new(pattern: &str, ignore_case: bool, with: Replacement) -> Result<Self, String> {
        let tree = regex_syntax::ParserBuilder::new().utf8(false).case_insensitive(ignore_case).build().parse(pattern);
        let tree = tree.map_err(|error| error.to_string())?;
        let properties = tree.properties();
        if properties.minimum_len().is_none_or(|shortest| shortest == 0) {
            return Err("it matches the empty text, which is everywhere".to_owned());
        }
        let longest = properties.maximum_len().ok_or_else(|| {
            "it has no longest match, and bodies are not kept whole: bound its repetitions, as [^\"]{0,200} instead of [^\"]*".to_owned()
        })?;
        if longest > LONGEST {
            return Err(format!(
                "it can match {longest} bytes, and {LONGEST} are allowed: bound its repetitions closer"
            ));
        }
        let pattern =
            RegexBuilder::new(pattern).case_insensitive(ignore_case).build().map_err(|error| error.to_string())?;
        Ok(Self { pattern, with, longest })
    }

    /// The first match that begins at `from` or later, as its range.
    fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        self.pattern.find_at(text, from).map(|found| (found.start(), found.end()))
    }

    /// Appends what takes the place of the match that begins at `start`.
    fn replace(&self, text: &[u8], start: usize, into: &mut Vec<u8>) {
        match &self.with {
            Replacement::Text(with) => into.extend_from_slice(with),
            Replacement::Groups(with) => {
                // The same search again, now with groups: it finds the same match.
                if let Some(groups) = self.pattern.captures_at(text, start) {
                    groups.expand(with, into);
                }
            }
        }
    }
}

/// The first group in `with` that the pattern does not have.
fn unknown_group(with: &str, pattern: &Regex) -> Option<String> {
    let mut rest = with;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            continue;
        }
        let (name, after) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').unwrap_or((braced, "")),
            None => {
                let end = after.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                after.split_at(end.unwrap_or(after.len()))
            }
        };
        let there = match name.parse::<usize>() {
            Ok(index) => index < pattern.captures_len(),
            Err(_) => pattern.capture_names().flatten().any(|known| known == name),
        };
        if !there {
            return Some(name.to_owned());
        }
        rest = after;
    }
    None
}

/// Rules that are looked for together: of matches that overlap, the one that begins first counts, and of those that begin at
/// the same place, that of the earlier rule. What was put in is not searched again.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    longest: usize,
}

impl Rules {
    /// These rules, in this order.
    pub fn new(rules: Vec<Rule>) -> Self {
        let longest = rules.iter().map(|rule| rule.longest).max().unwrap_or(0);
        Self { rules, longest }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The most bytes that a match can have.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Replaces all matches that begin in `from..until` of `text`, appends the result to `into`, and says how far it came: to
    /// `until`, or to the end of a match that reaches beyond.
    pub(crate) fn replace(&self, text: &[u8], from: usize, until: usize, into: &mut Vec<u8>) -> usize {
        let mut at = from;
        // Each rule's next match; found again only when the text before it was taken by another.
        let mut next: Vec<_> = self.rules.iter().map(|rule| rule.find(text, at)).collect();
        loop {
            let mut first: Option<(usize, usize, usize)> = None;
            for (index, (rule, next)) in self.rules.iter().zip(&mut next).enumerate() {
                if next.is_some_and(|(start, _)| start < at) {
                    *next = rule.find(text, at);
                }
                if let Some((start, end)) =
                    next.filter(|(start, _)| *start < until && first.is_none_or(|(best, _, _)| *start < best))
                {
                    first = Some((start, end, index));
                }
            }
            let Some((start, end, index)) = first else { break };
            into.extend_from_slice(&text[at..start]);
            self.rules[index].replace(text, start, into);
            at = end;
        }
        if at < until {
            into.extend_from_slice(&text[at..until]);
            at = until;
        }
        at
    }
}
