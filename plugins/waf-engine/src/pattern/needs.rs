//! What every value contains that a pattern matches, read off the pattern's tree.
//!
//! Two kinds of knowledge go up the tree: the strings that a part is made of, while they are few, and clauses of the form "one of
//! these strings, or one of these bytes is in the value". Strings of neighbours are joined until that gets too much; then they
//! become a clause. A part that is optional and cannot be there without a rare byte, as in `c\\*u\\*r\\*l`, does not end a string:
//! the byte joins the clause's bytes.

use std::collections::BTreeSet;

use super::syntax::{Node, VERTICAL};
use crate::{
    bytes::ByteSet,
    needs::{Clause, Needs, likely},
};

/// Strings that are joined with others, at most.
const MAX_STRINGS: usize = 64;
/// Strings in a clause, at most: lists of commands have some hundred.
const MAX_LITERALS: usize = 1024;
/// Bytes of a string; longer ones would tell nothing more.
const MAX_LENGTH: usize = 16;
/// A class of more bytes (without regard to case) ends a string.
const MAX_CLASS: usize = 6;
/// Clauses given out for a pattern.
const MAX_CLAUSES: usize = 3;
/// How likely bytes may be that an optional part adds to a clause.
const MAX_JOINED: f64 = 0.2;
/// How likely a clause may be that is still worth asking for.
const MAX_LIKELY: f64 = 0.85;

/// One of the strings, or one of the bytes.
#[derive(Debug, Clone)]
struct Demand {
    /// Lower case, none empty.
    strings: BTreeSet<Vec<u8>>,
    bytes: ByteSet,
    /// How likely an ordinary value fulfils it.
    likely: f64,
}

/// The strings that something is made of, unless it has one of the bytes.
#[derive(Debug, Clone)]
struct Strings {
    strings: BTreeSet<Vec<u8>>,
    bytes: ByteSet,
}

/// What is known of a part of a pattern.
#[derive(Debug)]
struct Known {
    strings: Option<Strings>,
    demands: Vec<Demand>,
}

/// The needs of a pattern.
pub(super) fn of(node: &Node) -> Needs {
    let known = known(node);
    let mut demands = known.demands;
    demands.extend(known.strings.and_then(Demand::of));
    demands.retain(|demand| demand.likely <= MAX_LIKELY);
    demands.sort_by(|a, b| a.likely.total_cmp(&b.likely));
    demands.dedup_by(|a, b| a.strings == b.strings && a.bytes == b.bytes);
    // What is far more likely than the first tells little beside it.
    let first = demands.first().map_or(0.0, |demand| demand.likely);
    demands.retain(|demand| demand.likely < first.mul_add(20.0, 0.1));
    demands.truncate(MAX_CLAUSES);
    let clauses = demands.into_iter().map(Demand::clause).collect();
    Needs { clauses, length: shortest(node) }
}

fn known(node: &Node) -> Known {
    match node {
        Node::Empty | Node::Assert(_) | Node::KeepOut | Node::Around { negated: true, .. } => Known::empty(),
        Node::Class(set) => {
            let folded: BTreeSet<Vec<u8>> =
                set.iter().take(2 * MAX_CLASS + 1).map(|byte| vec![byte.to_ascii_lowercase()]).collect();
            if set.len() as usize <= 2 * MAX_CLASS && folded.len() <= MAX_CLASS {
                return Known {
                    strings: Some(Strings { strings: folded, bytes: ByteSet::EMPTY }),
                    demands: Vec::new(),
                };
            }
            Known { strings: None, demands: Vec::from_iter(Demand::new(BTreeSet::new(), *set)) }
        }
        Node::Newline => Known { strings: None, demands: Vec::from_iter(Demand::new(BTreeSet::new(), VERTICAL)) },
        Node::Around { negated: false, body, .. } => {
            let body = known(body);
            let mut demands = body.demands;
            demands.extend(body.strings.and_then(Demand::of));
            Known { demands, ..Known::empty() }
        }
        Node::Capture(_, body) | Node::Atomic(body) => known(body),
        Node::Concat(_) => {
            let mut sequence = Sequence::default();
            sequence.add(node);
            sequence.end()
        }
        Node::Alternate(branches) => either(branches.iter().map(known)),
        Node::Conditional { yes, no, .. } => either([known(yes), known(no)].into_iter()),
        Node::BackReference { .. } => Known { strings: None, demands: Vec::new() },
        Node::Repeat { max: Some(0), .. } => Known::empty(),
        Node::Repeat { min: 0, max, body, .. } => optional(known(body), *max == Some(1)),
        Node::Repeat { .. } => {
            let mut sequence = Sequence::default();
            sequence.add(node);
            sequence.end()
        }
    }
}

/// A part that may be left out, or be there more than once unless `once`.
fn optional(body: Known, once: bool) -> Known {
    let rare_bytes = |known: &Known| {
        let bytes = known.telling_bytes()?;
        (likely::bytes(&bytes) <= MAX_JOINED).then_some(bytes)
    };
    if let Some(bytes) = rare_bytes(&body) {
        return Known { strings: Some(Strings { strings: BTreeSet::from([Vec::new()]), bytes }), demands: Vec::new() };
    }
    match body.strings {
        Some(mut strings) if once && body.demands.is_empty() => {
            strings.strings.insert(Vec::new());
            Known { strings: Some(strings), demands: Vec::new() }
        }
        _ => Known { strings: None, demands: Vec::new() },
    }
}

/// One of several parts.
fn either(branches: impl Iterator<Item = Known>) -> Known {
    let mut strings = Some(Strings { strings: BTreeSet::new(), bytes: ByteSet::EMPTY });
    let mut demand = Some(Strings { strings: BTreeSet::new(), bytes: ByteSet::EMPTY });
    for branch in branches {
        // What is made of few strings and asks for more beside (a look-ahead) is taken for its strings.
        match (&mut strings, &branch.strings) {
            (Some(all), Some(own)) if all.strings.len() + own.strings.len() <= MAX_STRINGS => {
                all.strings.extend(own.strings.iter().cloned());
                all.bytes = all.bytes.union(&own.bytes);
            }
            _ => strings = None,
        }
        let mut own = branch.demands;
        own.extend(branch.strings.and_then(Demand::of));
        let best = own.into_iter().min_by(|a, b| a.likely.total_cmp(&b.likely));
        match (&mut demand, best) {
            (Some(all), Some(best)) if all.strings.len() + best.strings.len() <= MAX_LITERALS => {
                all.strings.extend(best.strings);
                all.bytes = all.bytes.union(&best.bytes);
            }
            _ => demand = None,
        }
    }
    if let Some(strings) = strings {
        return Known { strings: Some(strings), demands: Vec::new() };
    }
    Known { strings: None, demands: demand.and_then(Demand::of).into_iter().collect() }
}

/// Parts one after the other.
#[derive(Debug)]
struct Sequence {
    /// Since the last part that ended them.
    strings: Strings,
    demands: Vec<Demand>,
    ended: bool,
}

impl Default for Sequence {
    fn default() -> Self {
        let strings = Strings { strings: BTreeSet::from([Vec::new()]), bytes: ByteSet::EMPTY };
        Self { strings, demands: Vec::new(), ended: false }
    }
}

impl Sequence {
    fn add(&mut self, node: &Node) {
        match node {
            Node::Concat(parts) => parts.iter().for_each(|part| self.add(part)),
            Node::Capture(_, body) | Node::Atomic(body) => self.add(body),
            Node::Repeat { min: min @ 1.., max, body, .. } => {
                let body = known(body);
                let Some(strings) = body.strings else {
                    self.break_off(None);
                    self.demands.extend(body.demands);
                    return;
                };
                // A few rounds are there one after the other, and the last is right before what follows.
                let rounds = (*min).min(MAX_LENGTH as u32);
                for _ in 0..rounds {
                    self.join(strings.clone());
                }
                if *max != Some(rounds) {
                    self.break_off(Some(strings));
                }
            }
            node => {
                let part = known(node);
                self.demands.extend(part.demands);
                match part.strings {
                    Some(strings) => self.join(strings),
                    None => self.break_off(None),
                }
            }
        }
    }

    fn join(&mut self, next: Strings) {
        let bytes = self.strings.bytes.union(&next.bytes);
        let longest = |strings: &BTreeSet<Vec<u8>>| strings.iter().map(Vec::len).max().unwrap_or(0);
        let small = self.strings.strings.len() * next.strings.len() <= MAX_STRINGS
            && longest(&self.strings.strings) + longest(&next.strings) <= MAX_LENGTH;
        if !small {
            return self.break_off(Some(next));
        }
        let mut joined = BTreeSet::new();
        for first in &self.strings.strings {
            joined.extend(next.strings.iter().map(|second| [first.as_slice(), second].concat()));
        }
        self.strings = Strings { strings: joined, bytes };
    }

    /// Makes a clause of what there is and begins anew, after `last` if that is known.
    fn break_off(&mut self, last: Option<Strings>) {
        let next = last.unwrap_or_else(|| Self::default().strings);
        let strings = std::mem::replace(&mut self.strings, next);
        self.demands.extend(Demand::of(strings));
        self.ended = true;
    }

    fn end(mut self) -> Known {
        if self.ended {
            self.demands.extend(Demand::of(self.strings));
            return Known { strings: None, demands: self.demands };
        }
        Known { strings: Some(self.strings), demands: self.demands }
    }
}

impl Known {
    /// The empty string.
    fn empty() -> Self {
        Self { strings: Some(Sequence::default().strings), demands: Vec::new() }
    }

    /// Bytes of which one is there whenever this takes any byte.
    fn telling_bytes(&self) -> Option<ByteSet> {
        if let Some(strings) = &self.strings {
            let strings_bytes =
                strings.strings.iter().filter(|string| !string.is_empty()).map(|string| likely::rarest(string));
            return Some(strings_bytes.fold(strings.bytes, |all, bytes| all.union(&bytes)));
        }
        let sets = self
            .demands
            .iter()
            .map(|demand| demand.strings.iter().fold(demand.bytes, |all, string| all.union(&likely::rarest(string))));
        sets.min_by(|a, b| likely::bytes(a).total_cmp(&likely::bytes(b)))
    }
}

impl Demand {
    fn of(strings: Strings) -> Option<Self> {
        Self::new(strings.strings, strings.bytes)
    }

    /// `None` when every value fulfils it.
    fn new(strings: BTreeSet<Vec<u8>>, mut bytes: ByteSet) -> Option<Self> {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for string in &strings {
            match string.as_slice() {
                [] => return None,
                [byte] => {
                    bytes.insert(*byte);
                    bytes.insert(byte.to_ascii_uppercase());
                }
                _ => kept.push(string.clone()),
            }
        }
        // A string that contains another, or one of the bytes, adds nothing.
        kept.retain(|string| {
            !string.iter().any(|&byte| bytes.contains(byte) && bytes.contains(byte.to_ascii_uppercase()))
        });
        kept.sort_by_key(Vec::len);
        let mut strings: BTreeSet<Vec<u8>> = BTreeSet::new();
        for string in kept {
            let known = (2..string.len()).any(|length| string.windows(length).any(|window| strings.contains(window)));
            if !known {
                strings.insert(string);
            }
        }
        let all = strings.iter().map(|string| likely::string(string));
        let likely = likely::any(all.chain(std::iter::once(likely::bytes(&bytes))));
        Some(Self { strings, bytes, likely })
    }

    fn clause(self) -> Clause {
        if self.strings.is_empty() {
            return Clause::Bytes(self.bytes);
        }
        let bytes: BTreeSet<u8> = self.bytes.iter().map(|byte| byte.to_ascii_lowercase()).collect();
        let literals = self.strings.into_iter().chain(bytes.into_iter().map(|byte| vec![byte]));
        Clause::Literals(literals.map(Vec::into_boxed_slice).collect())
    }
}

/// The length of the shortest match.
fn shortest(node: &Node) -> usize {
    match node {
        Node::Class(_) | Node::Newline => 1,
        Node::Concat(parts) => parts.iter().fold(0, |sum, part| sum.saturating_add(shortest(part))),
        Node::Alternate(branches) => branches.iter().map(shortest).min().unwrap_or(0),
        Node::Repeat { min, body, .. } => shortest(body).saturating_mul(*min as usize),
        Node::Capture(_, body) | Node::Atomic(body) => shortest(body),
        Node::Conditional { yes, no, .. } => shortest(yes).min(shortest(no)),
        Node::Empty | Node::Assert(_) | Node::Around { .. } | Node::BackReference { .. } | Node::KeepOut => 0,
    }
}
