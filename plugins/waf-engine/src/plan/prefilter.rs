//! Which operators may match a value at all, by what they need of it.
//!
//! A value is looked at once: an automaton finds the literals of all operators, and the bytes that occur in it say which of the
//! clauses of bytes hold. Each operator waits for its first clause, the one that tells most, so that only the clauses that hold
//! cost anything. ASCII case is not regarded: values that differ in nothing else get the same answer.

mod automaton;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use automaton::Automaton;

use crate::{
    bytes::ByteSet,
    needs::{Clause, Needs},
};

/// Different clauses that are kept. Operators that wait for others are always allowed.
const MAX_CLAUSES: usize = 64 * MAX_WORDS;
const MAX_WORDS: usize = 64;
/// Rule sets in use need no more.
const FEW_WORDS: usize = 8;

/// Of the operators of a plan.
#[derive(Debug)]
pub(crate) struct Prefilter {
    automaton: Automaton,
    /// Bytes that some clause looks for.
    telling: ByteSet,
    /// For each byte, the clauses that it fulfils: words from here on in `rows`, `byte_words` of them.
    row: Box<[u32; 256]>,
    rows: Vec<u64>,
    byte_words: usize,
    words: usize,
    /// For each clause, where the operators that wait for it end among `waiting`.
    ends: Vec<u32>,
    waiting: Vec<Waiting>,
    /// The other clauses of operators.
    others: Vec<u16>,
    /// Operators that are allowed whatever the value.
    always: Vec<u32>,
}

/// An operator that waits for a clause.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    operator: u32,
    /// Bytes that a value has at least.
    length: u32,
    /// Its other clauses: so many from there on among [`Prefilter::others`].
    others: u32,
    count: u32,
}

/// A clause: one of the strings, or one of the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Either {
    strings: Vec<Box<[u8]>>,
    bytes: ByteSet,
}

impl Prefilter {
    /// One for each operator; those without needs are never allowed, and must not be asked about.
    pub fn new(needs: &[Option<Needs>]) -> Self {
        let clauses = number(needs);
        let byte_clauses = clauses.iter().filter(|(clause, _)| clause.bytes != ByteSet::EMPTY).count();
        let (words, byte_words) = (clauses.len().div_ceil(64), byte_clauses.div_ceil(64));
        let mut strings: Vec<(&[u8], u32)> = Vec::new();
        let mut telling = ByteSet::EMPTY;
        for (clause, number) in &clauses {
            strings.extend(clause.strings.iter().map(|string| (&**string, u32::from(*number))));
            telling = telling.union(&clause.bytes);
        }
        // The order makes the automaton the same for the same rules.
        strings.sort_unstable();
        let mut row = Box::new([0; 256]);
        let mut rows = vec![0; telling.len() as usize * byte_words];
        for (index, byte) in telling.iter().enumerate() {
            row[byte as usize] = (index * byte_words) as u32;
            for (_, number) in clauses.iter().filter(|(clause, _)| clause.bytes.contains(byte)) {
                rows[index * byte_words + *number as usize / 64] |= 1 << (number % 64);
            }
        }
        let mut waiting: Vec<Vec<Waiting>> = vec![Vec::new(); clauses.len()];
        let mut others = Vec::new();
        let mut always = Vec::new();
        for (operator, needs) in needs.iter().enumerate() {
            let Some(needs) = needs else { continue };
            let mut numbers = needs.clauses.iter().filter_map(|clause| clauses.get(&Either::of(clause)).copied());
            let operator = operator as u32;
            match numbers.next() {
                None => always.push(operator),
                Some(first) => {
                    let begin = others.len();
                    others.extend(numbers);
                    waiting[first as usize].push(Waiting {
                        operator,
                        length: u32::try_from(needs.length).unwrap_or(u32::MAX),
                        others: begin as u32,
                        count: (others.len() - begin) as u32,
                    });
                }
            }
        }
        let ends = waiting.iter().scan(0, |end, waiting| {
            *end += waiting.len() as u32;
            Some(*end)
        });
        Self {
            automaton: Automaton::new(&strings),
            telling,
            row,
            rows,
            byte_words,
            words,
            ends: ends.collect(),
            waiting: waiting.concat(),
            others,
            always,
        }
    }

    /// Sets the bits of the operators that may match `value`, in which the bytes `present` occur.
    pub fn scan(&self, value: &[u8], present: &ByteSet, allowed: &mut [u64]) {
        // To clear the room for all there may be would take longer than most values do.
        if self.words <= FEW_WORDS {
            self.scan_with(&mut [0; FEW_WORDS][..self.words], value, present, allowed);
        } else {
            self.scan_with(&mut [0; MAX_WORDS][..self.words], value, present, allowed);
        }
    }

    fn scan_with(&self, held: &mut [u64], value: &[u8], present: &ByteSet, allowed: &mut [u64]) {
        for word in 0..4 {
            let mut bits = present.0[word] & self.telling.0[word];
            while bits != 0 {
                let byte = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let row = self.row[byte] as usize;
                for (held, clauses) in held.iter_mut().zip(&self.rows[row..row + self.byte_words]) {
                    *held |= clauses;
                }
            }
        }
        self.automaton.scan(value, |clause| held[clause as usize / 64] |= 1 << (clause % 64));
        for operator in &self.always {
            allow(allowed, *operator);
        }
        for word in 0..held.len() {
            let mut bits = held[word];
            while bits != 0 {
                let clause = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let begin = if clause == 0 { 0 } else { self.ends[clause - 1] };
                for waiting in &self.waiting[begin as usize..self.ends[clause] as usize] {
                    let others = &self.others[waiting.others as usize..][..waiting.count as usize];
                    if value.len() >= waiting.length as usize
                        && others.iter().all(|clause| held[*clause as usize / 64] & 1 << (clause % 64) != 0)
                    {
                        allow(allowed, waiting.operator);
                    }
                }
            }
        }
    }
}

fn allow(allowed: &mut [u64], operator: u32) {
    allowed[operator as usize / 64] |= 1 << (operator % 64);
}

/// Numbers for the different clauses, those with bytes first.
fn number(needs: &[Option<Needs>]) -> HashMap<Either, u16> {
    let mut order = Vec::new();
    let mut seen = std::collections::HashSet::new();
    // First clauses come first: if there are too many, other ones can be done without.
    let all = needs.iter().flatten();
    let first = all.clone().filter_map(|needs| needs.clauses.first());
    let others = all.flat_map(|needs| needs.clauses.iter().skip(1));
    for clause in first.chain(others) {
        let clause = Either::of(clause);
        if order.len() < MAX_CLAUSES && seen.insert(clause.clone()) {
            order.push(clause);
        }
    }
    // Stable: the same numbers for the same rules.
    order.sort_by_key(|clause| clause.bytes.is_empty());
    order.into_iter().enumerate().map(|(number, clause)| (clause, number as u16)).collect()
}

impl Either {
    fn of(clause: &Clause) -> Self {
        let mut either = Self { strings: Vec::new(), bytes: ByteSet::EMPTY };
        match clause {
            Clause::Bytes(set) => set.iter().for_each(|byte| either.insert(byte)),
            Clause::Literals(literals) => {
                for literal in literals {
                    match **literal {
                        [byte] => either.insert(byte),
                        _ => either.strings.push(literal.clone()),
                    }
                }
                either.strings.sort_unstable();
                either.strings.dedup();
            }
        }
        either
    }

    fn insert(&mut self, byte: u8) {
        self.bytes.insert(byte.to_ascii_lowercase());
        self.bytes.insert(byte.to_ascii_uppercase());
    }
}
