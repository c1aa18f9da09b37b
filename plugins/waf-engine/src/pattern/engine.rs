//! The engine for regular patterns: a deterministic automaton whose states are built while it searches.
//!
//! Its time is linear in the value's length. `regex_automata::meta` would choose among more engines; their memory for notes, a
//! share of which each worker would keep for each pattern, is what speaks against it: here only what a search needs is kept.

use std::sync::atomic::{AtomicU64, Ordering};

use regex_automata::{
    Anchored, Input, MatchKind,
    hybrid::dfa::{Cache, DFA},
    nfa::thompson::{Config, NFA, WhichCaptures, pikevm::PikeVM},
};
use regex_syntax::hir::Hir;

use super::{SIZE_LIMIT, caches};

/// Bytes that the states of one direction may take, during one search, before they are built anew. A state of the largest patterns takes more
/// than 10 KiB: with less, hostile values have all of them built again every few bytes. What is over the bound of [`caches`] goes after the search.
const STATES_LIMIT: usize = 4 << 20;

/// A regular pattern.
#[derive(Debug)]
pub(super) struct Engine {
    /// Finds where a match ends.
    forward: DFA,
    /// Finds, from there, where it begins.
    backward: DFA,
    /// Of this pattern alone: under it, its memory is kept.
    number: u64,
}

/// What an engine keeps between searches.
#[derive(Debug)]
pub(super) struct Memory {
    forward: Cache,
    /// From the first match on.
    backward: Option<Cache>,
}

impl Engine {
    /// # Errors
    /// One sentence, when an automaton would be too large.
    pub(super) fn new(hir: &Hir) -> Result<Self, String> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let forward = DFA::config().match_kind(MatchKind::LeftmostFirst);
        let backward = DFA::config().match_kind(MatchKind::All);
        let dfa = |config: regex_automata::hybrid::dfa::Config, reverse| {
            // Where a new state is needed every few bytes, it is quicker to do without.
            let config = config
                .cache_capacity(STATES_LIMIT)
                .skip_cache_capacity_check(true)
                .minimum_cache_clear_count(Some(3))
                .minimum_bytes_per_state(Some(2));
            let captures = if reverse { WhichCaptures::None } else { WhichCaptures::Implicit };
            let built = DFA::builder().configure(config).build_from_nfa(nfa(hir, captures, reverse)?);
            built.map_err(|error| error.to_string())
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Ok(Self { forward: dfa(forward, false)?, backward: dfa(backward, true)?, number })
    }

    /// Whether there is a match in the input.
    pub(super) fn is_match(&self, input: &Input<'_>) -> bool {
        let input = input.clone().earliest(true);
        let found = caches::with(self, |memory| self.forward.try_search_fwd(&mut memory.forward, &input));
        found.map_or_else(|_| self.steadily(&input).is_some(), |found| found.is_some())
    }

    /// Where the first match begins and ends.
    pub(super) fn find(&self, input: &Input<'_>) -> Option<(usize, usize)> {
        let found = caches::with(self, |memory| {
            let Some(end) = self.forward.try_search_fwd(&mut memory.forward, input)? else { return Ok(None) };
            let end = end.offset();
            let back = input.clone().range(input.start()..end).anchored(Anchored::Yes);
            let cache = memory.backward.get_or_insert_with(|| self.backward.create_cache());
            let start = self.backward.try_search_rev(cache, &back)?;
            Ok::<_, regex_automata::MatchError>(start.map(|start| (start.offset(), end)))
        });
        found.unwrap_or_else(|_| self.steadily(input))
    }

    /// With an engine whose time for a byte is the same for all values. It takes its memory anew each time: seldom needed.
    fn steadily(&self, input: &Input<'_>) -> Option<(usize, usize)> {
        let engine = PikeVM::new_from_nfa(self.forward.get_nfa().clone()).ok()?;
        let mut slots = [None; 2];
        engine.search_slots(&mut engine.create_cache(), input, &mut slots)?;
        Some((slots[0]?.get(), slots[1]?.get()))
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn memory(&self) -> Memory {
        Memory { forward: self.forward.create_cache(), backward: None }
    }

    /// Bytes of the automata, without memories.
    pub(super) fn size(&self) -> usize {
        self.forward.get_nfa().memory_usage() + self.backward.get_nfa().memory_usage()
    }
}

impl Memory {
    /// In bytes.
    pub(super) fn size(&self) -> usize {
        self.forward.memory_usage() + self.backward.as_ref().map_or(0, Cache::memory_usage)
    }
}

/// # Errors
/// One sentence, when it would be too large.
pub(super) fn nfa(hir: &Hir, captures: WhichCaptures, reverse: bool) -> Result<NFA, String> {
    let config = Config::new().utf8(false).reverse(reverse).nfa_size_limit(Some(SIZE_LIMIT)).which_captures(captures);
    NFA::compiler().configure(config).build_from_hir(hir).map_err(|error| match error.size_limit() {
        Some(limit) => {
            format!("the pattern's automaton takes more than {} MiB: make its repetitions smaller", limit >> 20)
        }
        None => format!("the pattern cannot be compiled: {error}"),
    })
}
