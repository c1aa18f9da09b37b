//! Regular expressions as rules write them: PCRE's language over bytes.
//!
//! Patterns are compiled as ModSecurity 2 does, with `PCRE_DOTALL | PCRE_DOLLAR_ENDONLY`: a dot matches every byte, `^` and `$` only
//! the value's two ends. libmodsecurity 3 sets `PCRE_MULTILINE` instead of the latter; the Core Rule Set is written for the former
//! (coreruleset issue 3277), and Coraza and libmodsecurity offer it as the way to be. A rule that wants lines writes `(?m)`.
//!
//! Each pattern is read into a tree (`syntax`). A regular one runs on an engine whose time is linear in the value's length, and
//! finds what PCRE finds: the leftmost match, the first alternative, the same groups (but for `(a*)*` and its like, where engines
//! count rounds that take nothing differently; whether there is a match is the same). Possessive repetitions and atomic groups are
//! regular where `follow` proves that they change nothing. The few others, with look-around or back-references, run on
//! a backtracking engine with a step limit, and only on values that a wider regular pattern matches.

mod backtracking;
mod caches;
mod class;
mod engine;
mod follow;
mod grouping;
mod needs;
mod parser;
mod regular;
mod syntax;

use std::ops::Range;

use regex_automata::Input;

use crate::needs::Needs;

/// Bytes of a pattern's automaton, before any search: the Core Rule Set's largest needs a tenth of it.
const SIZE_LIMIT: usize = 10 << 20;
/// Groups that rules can see (`TX:0` to `TX:9`).
const GROUPS: usize = 10;

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    /// The pattern, or one that matches wherever the pattern matches and maybe elsewhere.
    regular: Box<engine::Engine>,
    /// For the groups of a regular pattern that has any.
    grouping: Option<Box<grouping::Grouping>>,
    /// The pattern, where it is not regular.
    backtracking: Option<Backtracking>,
    needs: Needs,
}

#[derive(Debug)]
struct Backtracking {
    program: backtracking::Program,
    reason: &'static str,
}

/// How to read a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// As with `(?i)`.
    pub ignore_case: bool,
    /// Steps that a backtracking pattern may take in one search.
    pub backtrack_limit: u64,
}

/// A search was given up at the step limit: it is not known whether there is a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitExceeded;

/// Where the groups of a match lie: 0 is all of it. At most ten; those that took no part are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(pub Vec<Option<Range<usize>>>);

impl Pattern {
    /// Compiles a pattern over bytes.
    ///
    /// # Errors
    /// One sentence that names what cannot be had.
    pub fn new(source: &[u8], options: Options) -> Result<Self, String> {
        let parsed = parser::parse(source, options.ignore_case)?;
        let (hir, reason) = match regular::translate(&parsed.node, regular::Mode::Exact) {
            Ok(hir) => (hir, None),
            Err(reason) => {
                let wider = regular::translate(&parsed.node, regular::Mode::Wider);
                (wider.map_err(|reason| format!("{reason} is not supported"))?, Some(reason))
            }
        };
        let regular = Box::new(engine::Engine::new(&hir)?);
        let backtracking = match reason {
            None => None,
            Some(reason) => {
                let program = backtracking::Program::new(&parsed.node, parsed.groups, options.backtrack_limit)
                    .map_err(|error| format!("{error} (the pattern needs backtracking for {reason})"))?;
                Some(Backtracking { program, reason })
            }
        };
        let grouping = match backtracking {
            None if hir.properties().explicit_captures_len() > 0 => Some(Box::new(grouping::Grouping::new(&hir)?)),
            _ => None,
        };
        let needs = needs::of(&parsed.node);
        Ok(Self { regular, grouping, backtracking, needs })
    }

    /// Whether it matches somewhere.
    ///
    /// # Errors
    /// When the step limit was reached.
    pub fn is_match(&self, haystack: &[u8]) -> Result<bool, LimitExceeded> {
        let input = Input::new(haystack);
        let Some(backtracking) = &self.backtracking else { return Ok(self.regular.is_match(&input)) };
        // No match begins before the first match of the wider pattern.
        let Some((first, _)) = self.regular.find(&input) else { return Ok(false) };
        let found = backtracking.program.search(haystack, 0, first).map_err(|_| LimitExceeded)?;
        Ok(found.is_some())
    }

    /// As [`is_match`](Self::is_match), and puts the groups of the first match into `groups`, whose room is used again.
    ///
    /// # Errors
    /// When the step limit was reached.
    pub fn groups(&self, haystack: &[u8], groups: &mut Groups) -> Result<bool, LimitExceeded> {
        self.groups_from(haystack, 0, groups)
    }

    /// As [`groups`](Self::groups), for the first match that begins at `start` or later.
    ///
    /// # Errors
    /// When the step limit was reached.
    pub fn groups_from(&self, haystack: &[u8], start: usize, groups: &mut Groups) -> Result<bool, LimitExceeded> {
        groups.0.clear();
        if start > haystack.len() {
            return Ok(false);
        }
        let input = Input::new(haystack).range(start..);
        if let Some(backtracking) = &self.backtracking {
            let Some((first, _)) = self.regular.find(&input) else { return Ok(false) };
            let found = backtracking.program.search(haystack, start, first).map_err(|_| LimitExceeded)?;
            let Some(found) = found else { return Ok(false) };
            groups.0.extend(found.0.into_iter().take(GROUPS));
            return Ok(true);
        }
        // Most values do not match, and whether they do is known with less work than where.
        if !self.regular.is_match(&input) {
            return Ok(false);
        }
        let Some((start, end)) = self.regular.find(&input) else { return Ok(false) };
        match &self.grouping {
            None => groups.0.push(Some(start..end)),
            Some(grouping) => grouping.groups(haystack, start, end, groups),
        }
        Ok(true)
    }

    /// What every matching value contains.
    pub fn needs(&self) -> Needs {
        self.needs.clone()
    }

    /// Roughly how many bytes it takes, without what searches need in passing.
    pub fn memory(&self) -> usize {
        self.regular.size() + self.grouping.as_ref().map_or(0, |grouping| grouping.size())
    }

    /// Why it runs on the backtracking engine, if it does.
    pub fn backtracks(&self) -> Option<&str> {
        self.backtracking.as_ref().map(|backtracking| backtracking.reason)
    }
}

#[cfg(test)]
pub(crate) mod peer;
#[cfg(test)]
mod tests;
