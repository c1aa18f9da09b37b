//! Memory for searches. A pattern's automaton builds its states while it searches; they are worth keeping, but those of some hundred
//! patterns would take more than an instance may. So all patterns share one bound: what was not used for longest goes first.

use std::cell::RefCell;

use super::engine::{Engine, Memory};

/// Bytes of all caches of a thread.
const LIMIT: usize = 1536 << 10;
/// Places for caches, a power of two. Patterns whose numbers share a place replace each other.
const PLACES: usize = 1024;

struct Kept {
    pattern: u64,
    used: u64,
    size: usize,
    memory: Memory,
}

struct Caches {
    places: Vec<Option<Box<Kept>>>,
    /// Of all.
    size: usize,
    /// Counts searches.
    clock: u64,
}

thread_local! {
    static CACHES: RefCell<Caches> = const { RefCell::new(Caches { places: Vec::new(), size: 0, clock: 0 }) };
}

/// Does a search with the memory of an engine; nobody else has it.
pub(super) fn with<T>(engine: &Engine, search: impl FnOnce(&mut Memory) -> T) -> T {
    CACHES.with_borrow_mut(|caches| caches.with(engine, search))
}

impl Caches {
    fn with<T>(&mut self, engine: &Engine, search: impl FnOnce(&mut Memory) -> T) -> T {
        let pattern = engine.number();
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        self.clock += 1;
        let place = &mut self.places[pattern as usize % PLACES];
        if place.as_ref().is_none_or(|kept| kept.pattern != pattern) {
            self.size -= place.as_ref().map_or(0, |kept| kept.size);
            *place = Some(Box::new(Kept { pattern, used: 0, size: 0, memory: engine.memory() }));
        }
        let Some(kept) = place else { return search(&mut engine.memory()) };
        kept.used = self.clock;
        let result = search(&mut kept.memory);
        let size = kept.memory.size();
        self.size = self.size - kept.size + size;
        kept.size = size;
        if self.size > LIMIT {
            self.make_room();
        }
        result
    }

    /// Down to three quarters, so that this is seldom.
    fn make_room(&mut self) {
        let mut by_use: Vec<(u64, usize)> = self
            .places
            .iter()
            .enumerate()
            .filter_map(|(place, kept)| kept.as_ref().map(|kept| (kept.used, place)))
            .collect();
        by_use.sort_unstable();
        for (_, place) in by_use {
            if self.size <= LIMIT / 4 * 3 {
                break;
            }
            self.size -= self.places[place].take().map_or(0, |kept| kept.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{Options, Pattern};

    #[test]
    fn all_caches_together_stay_within_the_limit() {
        let options = Options { ignore_case: true, backtrack_limit: 1000 };
        let patterns: Vec<_> = (0..60)
            .map(|number| Pattern::new(format!("[a-f]{{1,90}}x(?:q|w){{1,90}}{number}").as_bytes(), options).unwrap())
            .collect();
        let values: Vec<String> =
            (1..40).map(|length| format!("{}x{}", "abc".repeat(length), "qw".repeat(length))).collect();
        for round in 0..3 {
            for (number, pattern) in patterns.iter().enumerate() {
                for value in &values {
                    assert_eq!(pattern.is_match(value.as_bytes()), Ok(false), "{round}");
                    assert_eq!(pattern.is_match(format!("{value}{number}").as_bytes()), Ok(true), "{round}");
                }
                CACHES.with_borrow(|caches| {
                    let sum: usize = caches.places.iter().flatten().map(|kept| kept.memory.size()).sum();
                    assert_eq!(sum, caches.size);
                    assert!(sum <= LIMIT, "{sum} bytes");
                });
            }
        }
        CACHES.with_borrow(|caches| {
            let kept = caches.places.iter().flatten().count();
            assert!((2..60).contains(&kept), "{kept} caches: the limit was not reached, or nothing is kept");
        });
    }
}
