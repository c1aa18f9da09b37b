//! Many short strings looked for at once, in one pass over a value.
//!
//! The automaton of Aho and Corasick (1975) as a table: one look-up for each byte, whatever the strings. What it finds is a wider
//! set than asked for, so that the table stays small: case is not regarded, of long strings only a part is looked for, and rare
//! bytes may count as one. A prefilter may say yes too often.

use std::collections::HashMap;

use crate::needs::likely;

/// Columns of the table, a power of two.
const CLASSES: usize = 64;
/// Rows of the table: 4 MiB of it.
const MAX_STATES: usize = 1 << 15;
/// Bytes that are looked for of a string, at first; fewer if the table would grow too large.
const MAX_LENGTH: usize = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Automaton {
    /// The class of each byte.
    classes: Box<[u8; 256]>,
    /// The next state, by state and class.
    next: Vec<u16>,
    /// States from here on have found something: where their findings end among `found`, the first ones' beginning at 0.
    finds: usize,
    ends: Vec<u32>,
    /// What the strings were given for.
    found: Vec<u32>,
}

impl Automaton {
    /// Of strings in lower case, each of two bytes at least, with a number to be told when it is found.
    pub fn new(strings: &[(&[u8], u32)]) -> Self {
        let mut length = MAX_LENGTH;
        loop {
            // With two bytes of each there are at most 64 * 64 + 65 states.
            match Self::try_new(strings, length) {
                Some(automaton) => return automaton,
                None => length -= 1,
            }
        }
    }

    fn try_new(strings: &[(&[u8], u32)], length: usize) -> Option<Self> {
        let strings: Vec<(&[u8], u32)> =
            strings.iter().map(|(string, number)| (telling(string, length), *number)).collect();
        let classes = classes(&strings);
        let mut trie = vec![[0_u16; CLASSES]];
        let mut found: Vec<Vec<u32>> = vec![Vec::new()];
        for (string, number) in &strings {
            let mut state = 0;
            for byte in *string {
                let class = classes[*byte as usize] as usize;
                if trie[state][class] == 0 {
                    if trie.len() == MAX_STATES {
                        return None;
                    }
                    trie[state][class] = trie.len() as u16;
                    trie.push([0; CLASSES]);
                    found.push(Vec::new());
                }
                state = trie[state][class] as usize;
            }
            found[state].push(*number);
        }
        // By depth: each state learns from the state of its longest end that is a beginning, which is nearer to the root.
        let mut fallback = vec![0_usize; trie.len()];
        let mut order = vec![0_usize];
        let mut at = 0;
        while at < order.len() {
            let state = order[at];
            at += 1;
            let back = fallback[state];
            let others = trie[back];
            for (next, other) in trie[state].iter_mut().zip(others) {
                let child = *next as usize;
                if child == 0 {
                    // At the root, `other` is the root itself.
                    *next = other;
                    continue;
                }
                fallback[child] = if state == 0 { 0 } else { other as usize };
                let inherited = found[fallback[child]].clone();
                found[child].extend(inherited);
                found[child].sort_unstable();
                found[child].dedup();
                order.push(child);
            }
        }
        Some(Self::table(&trie, &found, &order, classes))
    }

    /// With the states that find something last; otherwise by depth, for those near the root are visited most.
    fn table(trie: &[[u16; CLASSES]], found: &[Vec<u32>], order: &[usize], classes: Box<[u8; 256]>) -> Self {
        let (finding, silent): (Vec<usize>, Vec<usize>) = order.iter().partition(|state| !found[**state].is_empty());
        let finds = silent.len();
        let order: Vec<usize> = silent.into_iter().chain(finding).collect();
        let mut renumbered = vec![0_u16; trie.len()];
        for (new, old) in order.iter().enumerate() {
            renumbered[*old] = new as u16;
        }
        let mut automaton = Self {
            classes,
            next: Vec::with_capacity(trie.len() * CLASSES),
            finds,
            ends: Vec::new(),
            found: Vec::new(),
        };
        for old in order {
            automaton.next.extend(trie[old].iter().map(|next| renumbered[*next as usize]));
            if !found[old].is_empty() {
                automaton.found.extend(&found[old]);
                automaton.ends.push(automaton.found.len() as u32);
            }
        }
        automaton
    }

    /// Tells the numbers of what is found, maybe more than once.
    #[inline]
    pub fn scan(&self, value: &[u8], mut tell: impl FnMut(u32)) {
        // The silent states come first and the root is the first of them: it finds nothing.
        let mut state = 0_usize;
        for &byte in value {
            state = self.next[(state * CLASSES) | self.classes[byte as usize] as usize] as usize;
            if state >= self.finds {
                let at = state - self.finds;
                let begin = if at == 0 { 0 } else { self.ends[at - 1] };
                for number in &self.found[begin as usize..self.ends[at] as usize] {
                    tell(*number);
                }
            }
        }
    }

    /// Bytes that the table and its lists take.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.next.len() * 2 + (self.ends.len() + self.found.len()) * 4 + 256
    }
}

/// The part of a string, at most so long, that tells most.
fn telling(string: &[u8], length: usize) -> &[u8] {
    let parts = string.windows(length.min(string.len()));
    parts.min_by(|a, b| likely::string(a).total_cmp(&likely::string(b))).unwrap_or(string)
}

/// Bytes that do not occur are class 0. If there are more kinds of bytes than classes, the rarest ones share the last.
fn classes(strings: &[(&[u8], u32)]) -> Box<[u8; 256]> {
    let mut counts = HashMap::<u8, usize>::new();
    for byte in strings.iter().flat_map(|(string, _)| *string) {
        *counts.entry(*byte).or_default() += 1;
    }
    let mut bytes: Vec<(u8, usize)> = counts.into_iter().collect();
    bytes.sort_unstable_by_key(|(byte, count)| (std::cmp::Reverse(*count), *byte));
    let mut classes = Box::new([0; 256]);
    for (index, (byte, _)) in bytes.into_iter().enumerate() {
        let class = (index + 1).min(CLASSES - 1) as u8;
        classes[byte as usize] = class;
        classes[byte.to_ascii_uppercase() as usize] = class;
    }
    classes
}
