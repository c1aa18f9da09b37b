//! Which operators may match a value at all, by what they need of it.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::{
    bytes::ByteSet,
    needs::{Clause, Needs},
};

/// Literals of all operators as one automaton, and for each operator the clauses that must hold.
#[derive(Debug)]
pub(crate) struct Prefilter {
    automaton: Option<AhoCorasick>,
    /// For each literal, the clauses that it fulfils.
    fulfils: Vec<Vec<u32>>,
    operators: Vec<Operator>,
    literal_clauses: usize,
}

#[derive(Debug)]
struct Operator {
    index: usize,
    length: usize,
    bytes: Vec<ByteSet>,
    literals: Vec<u32>,
}

impl Prefilter {
    /// One for each operator; those without needs are never allowed, and must not be asked about.
    pub fn new(needs: &[Option<Needs>]) -> Self {
        let mut literals: Vec<Box<[u8]>> = Vec::new();
        let mut numbers = std::collections::HashMap::<Box<[u8]>, usize>::new();
        let mut fulfils: Vec<Vec<u32>> = Vec::new();
        let mut operators = Vec::new();
        let mut literal_clauses = 0;
        for (index, needs) in needs.iter().enumerate() {
            let Some(needs) = needs else { continue };
            let mut operator = Operator { index, length: needs.length, bytes: Vec::new(), literals: Vec::new() };
            for clause in &needs.clauses {
                match clause {
                    Clause::Bytes(set) => operator.bytes.push(*set),
                    Clause::Literals(alternatives) => {
                        for literal in alternatives {
                            let number = *numbers.entry(literal.clone()).or_insert_with(|| {
                                literals.push(literal.clone());
                                fulfils.push(Vec::new());
                                literals.len() - 1
                            });
                            fulfils[number].push(literal_clauses as u32);
                        }
                        operator.literals.push(literal_clauses as u32);
                        literal_clauses += 1;
                    }
                }
            }
            operators.push(operator);
        }
        // Without an automaton every literal counts as found: slow, never wrong.
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&literals)
            .ok();
        Self { automaton, fulfils, operators, literal_clauses }
    }

    /// Sets the bits of the operators that may match `value`, in which the bytes `present` occur.
    pub fn scan(&self, value: &[u8], present: &ByteSet, allowed: &mut [u64]) {
        let mut held = vec![self.automaton.is_none(); self.literal_clauses];
        if let Some(automaton) = &self.automaton {
            for found in automaton.find_overlapping_iter(value) {
                for clause in &self.fulfils[found.pattern().as_usize()] {
                    held[*clause as usize] = true;
                }
            }
        }
        for operator in &self.operators {
            if value.len() >= operator.length
                && operator.bytes.iter().all(|set| set.meets(present))
                && operator.literals.iter().all(|clause| held[*clause as usize])
            {
                allowed[operator.index / 64] |= 1 << (operator.index % 64);
            }
        }
    }
}
