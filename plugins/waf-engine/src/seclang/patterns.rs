//! The patterns of selectors: each made once, and not more of them than there is room for.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
};

use crate::pattern::{Options, Pattern};

/// Steps of a search with the pattern of a selector. `SecPcreMatchLimit` may come later in the files than the selector.
const BACKTRACK_LIMIT: u64 = 100_000;

/// So many bytes all patterns of a rule set may take. Those of the Core Rule Set take less than 32 MiB.
const MOST_MEMORY: usize = 256 << 20;

/// Makes patterns, and keeps count of their size: a short text can ask for many large automata.
#[derive(Debug)]
pub(super) struct Patterns {
    known: RefCell<HashMap<Box<str>, Arc<Pattern>>>,
    left: Cell<usize>,
}

impl Default for Patterns {
    fn default() -> Self {
        Self { known: RefCell::default(), left: Cell::new(MOST_MEMORY) }
    }
}

impl Patterns {
    /// The pattern of a selector, without regard to case.
    pub fn get(&self, source: &str) -> Result<Arc<Pattern>, String> {
        if let Some(pattern) = self.known.borrow().get(source) {
            return Ok(pattern.clone());
        }
        if self.left.get() == 0 {
            return Err(too_large());
        }
        let options = Options { ignore_case: true, backtrack_limit: BACKTRACK_LIMIT };
        let pattern = Arc::new(Pattern::new(source.as_bytes(), options)?);
        self.take(&pattern)?;
        self.known.borrow_mut().insert(source.into(), pattern.clone());
        Ok(pattern)
    }

    /// Accounts for a pattern that somebody else made.
    pub fn take(&self, pattern: &Pattern) -> Result<(), String> {
        match self.left.get().checked_sub(pattern.memory()) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(too_large())
            }
        }
    }

    /// Whether there is no room for another one.
    pub fn is_full(&self) -> bool {
        self.left.get() == 0
    }
}

fn too_large() -> String {
    format!("all patterns together take more than {} MiB: make their repetitions smaller", MOST_MEMORY >> 20)
}
