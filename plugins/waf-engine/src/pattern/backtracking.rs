//! A bounded backtracking engine for the few patterns that are not regular: look-around, back-references, atomic groups, conditions.
//!
//! PCRE's way of matching, written for bytes and for strangers: no recursion, every step counted, memory bounded by the steps.

mod compile;
mod machine;

use super::{follow::Follow, syntax::Node, syntax::Place};
use crate::bytes::ByteSet;

/// Instructions of a program, at most: repetitions are written out.
const MAX_PROGRAM: usize = 100_000;

/// A place in a program.
type Label = u32;

/// What the machine does at a place of the program.
#[derive(Debug, Clone)]
enum Step {
    /// Takes one byte of the set.
    Class(u32),
    /// Takes bytes of the set, as many as possible or as few.
    Run {
        set: u32,
        min: u32,
        max: u32,
        greedy: bool,
    },
    /// Goes on at the first place; if that fails, at the second.
    Split(Label, Label),
    Jump(Label),
    /// Puts the position into a slot.
    Save(u32),
    /// Puts the start kept in the slot and the position into the group's slots.
    Close {
        kept: u32,
        group: u32,
    },
    /// Goes elsewhere if nothing was taken since the position in the slot.
    Unmoved(u32, Label),
    Assert(Place),
    Newline,
    BackReference {
        group: u32,
        ignore_case: bool,
    },
    /// Goes elsewhere if the group took no part.
    Unless(u32, Label),
    /// Goes back so many bytes.
    Back(u32),
    /// Begins an atomic group or a positive look-around.
    Atomic,
    /// Ends an atomic group: no other way to match it will be tried.
    AtomicEnd,
    /// Ends a positive look-around: the same, and the position is what it was.
    AheadEnd,
    /// Begins a negative look-around, which goes on there when it does not match.
    Not(Label),
    /// Ends it: it matched, so this way fails.
    NotEnd,
    /// The match begins here.
    KeepOut,
    Match,
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
    sets: Vec<ByteSet>,
    /// Of captures and of positions kept.
    slots: usize,
    /// Groups, 0 counted.
    groups: usize,
    /// Bytes that a match begins with, where it takes any.
    first: Option<ByteSet>,
    /// Of one search.
    limit: u64,
}

/// More steps than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManySteps;

impl Program {
    /// # Errors
    /// One sentence, when the pattern is too large or a look-behind has no fixed length.
    pub(super) fn new(node: &Node, groups: u32, limit: u64) -> Result<Self, String> {
        let mut compiler = compile::Compiler::new(groups);
        compiler.node(node)?;
        compiler.push(Step::Match)?;
        let first = Follow::of(node).begins_with();
        Ok(Self {
            steps: compiler.steps,
            sets: compiler.sets,
            slots: compiler.slots as usize,
            groups: groups as usize + 1,
            first,
            limit,
        })
    }
}
