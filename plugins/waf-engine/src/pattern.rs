//! Regular expressions as rules write them: PCRE's language over bytes.

use std::ops::Range;

use crate::needs::Needs;

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {}

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

/// Where the groups of a match lie: 0 is all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(pub Vec<Option<Range<usize>>>);

impl Pattern {
    /// Compiles a pattern, dot matching newlines as ModSecurity has it (`PCRE_DOTALL`, `PCRE_DOLLAR_ENDONLY`), over bytes.
    ///
    /// # Errors
    /// One sentence that names what cannot be had.
    pub fn new(_source: &[u8], _options: Options) -> Result<Self, String> {
        Ok(Self {})
    }

    /// Whether it matches somewhere.
    ///
    /// # Errors
    /// When the step limit was reached.
    pub fn is_match(&self, _haystack: &[u8]) -> Result<bool, LimitExceeded> {
        Ok(false)
    }

    /// As [`is_match`](Self::is_match), and puts the groups of the first match into `groups`, whose room is used again.
    ///
    /// # Errors
    /// When the step limit was reached.
    pub fn groups(&self, _haystack: &[u8], _groups: &mut Groups) -> Result<bool, LimitExceeded> {
        Ok(false)
    }

    /// What every matching value contains.
    pub fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Why it runs on the backtracking engine, if it does.
    pub fn backtracks(&self) -> Option<&str> {
        None
    }
}
