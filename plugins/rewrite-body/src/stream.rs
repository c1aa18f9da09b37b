//! One body on its way through the rules.
//!
//! A match is taken only when nothing that may still come can change it: when as many bytes follow its beginning as the longest match
//! has, and a few more for what looks ahead (`\b`, `$`). So how the body was divided into pieces makes no difference, and what waits is
//! never more than twice that, beside the piece itself.

use crate::rules::Rules;

/// As far as a pattern looks beyond its match, behind and ahead: `\b` looks at one character, of at most 4 bytes.
const LOOK: usize = 4;

/// What was not passed on yet.
#[derive(Debug, Default)]
pub struct Stream {
    /// Up to [`LOOK`] bytes that were passed on, then those that wait. Patterns look back at the former, and `^` sees them.
    text: Vec<u8>,
    /// How many were passed on.
    passed: usize,
}

impl Stream {
    /// Before the first piece.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a piece, the last one if `end`, and gives what can be passed on.
    pub fn push(&mut self, rules: &Rules, data: &[u8], end: bool) -> Vec<u8> {
        self.text.extend_from_slice(data);
        let undecided = if end { 0 } else { rules.longest() + LOOK };
        // At least as much new text as is searched a second time, or tiny pieces would cost the square of the body.
        if !end && self.text.len() - self.passed < 2 * undecided {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(self.text.len() - self.passed);
        let until = self.text.len() - undecided;
        let at = rules.replace(&self.text, self.passed, until, &mut out);
        let keep = at.saturating_sub(LOOK);
        self.text.drain(..keep);
        self.passed = at - keep;
        out
    }
}
