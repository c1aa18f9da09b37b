//! Where the groups lie within a match that is known already. Seldom asked, so nothing is kept between searches.

use regex_automata::{
    Anchored, Input,
    nfa::thompson::{
        WhichCaptures,
        backtrack::{BoundedBacktracker, Config},
        pikevm::PikeVM,
    },
    util::primitives::NonMaxUsize,
};
use regex_syntax::hir::Hir;

use super::{Groups, engine};

/// Bytes of notes for one search: with those, a match of some hundred bytes at least is done by the quicker engine.
const NOTES: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Grouping {
    quick: BoundedBacktracker,
    /// For long matches.
    steady: PikeVM,
}

impl Grouping {
    /// # Errors
    /// When the automaton would be too large.
    pub(super) fn new(hir: &Hir) -> Result<Self, String> {
        let nfa = engine::nfa(hir, WhichCaptures::All, false)?;
        let config = Config::new().visited_capacity(NOTES);
        let quick = BoundedBacktracker::builder().configure(config).build_from_nfa(nfa.clone());
        let steady = PikeVM::builder().build_from_nfa(nfa);
        Ok(Self {
            quick: quick.map_err(|error| error.to_string())?,
            steady: steady.map_err(|error| error.to_string())?,
        })
    }

    /// Bytes of the automaton.
    pub(super) fn size(&self) -> usize {
        self.quick.get_nfa().memory_usage()
    }

    /// Puts the groups of the match at `start..end` into `groups`.
    pub(super) fn groups(&self, haystack: &[u8], start: usize, end: usize, groups: &mut Groups) {
        let count = self.quick.get_nfa().group_info().group_len(regex_automata::PatternID::ZERO);
        let mut slots: Vec<Option<NonMaxUsize>> = vec![None; count * 2];
        let input = Input::new(haystack).range(start..end).anchored(Anchored::Yes);
        if end - start <= self.quick.max_haystack_len() {
            // What may fail is excluded: the length, and an anchoring to a pattern's number.
            let _ = self.quick.try_search_slots(&mut self.quick.create_cache(), &input, &mut slots);
        } else {
            self.steady.search_slots(&mut self.steady.create_cache(), &input, &mut slots);
        }
        groups.0.extend(slots.chunks_exact(2).map(|ends| match ends {
            [Some(start), Some(end)] => Some(start.get()..end.get()),
            _ => None,
        }));
    }
}
