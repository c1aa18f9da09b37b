//! What can come after a part of a pattern. Where giving back bytes cannot turn a failure into a match, a possessive repetition
//! and a greedy one are the same, and no backtracking engine is needed for the possessive one.

use super::syntax::{LINE_FEED, Node, Place};
use crate::bytes::ByteSet;

/// What the rest of a pattern does with the bytes it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Follow {
    /// It matches wherever it begins, by the empty string if nothing else.
    pub(super) sure: bool,
    /// It can match the empty string (maybe only in some places), or nothing is known.
    open: bool,
    /// It takes at least one byte.
    pub(super) takes: bool,
    /// Bytes it can begin with.
    first: ByteSet,
    /// Bytes that it can begin with so that without that byte it would not match: not those of a leading `x*`.
    danger: ByteSet,
}

impl Follow {
    /// The end of the pattern.
    pub(super) const NOTHING: Self =
        Self { sure: true, open: true, takes: false, first: ByteSet::EMPTY, danger: ByteSet::EMPTY };

    const ANYTHING: Self = Self { sure: false, open: true, takes: false, first: ByteSet::ALL, danger: ByteSet::ALL };

    const fn begins(set: ByteSet) -> Self {
        Self { sure: false, open: false, takes: false, first: set, danger: set }
    }

    /// How the part itself begins, with nothing after it.
    pub(super) fn of(node: &Node) -> Self {
        match node {
            Node::Empty => Self::NOTHING,
            Node::Class(set) => Self { takes: true, ..Self::begins(*set) },
            Node::Concat(parts) => parts.iter().rev().fold(Self::NOTHING, |follow, part| Self::of(part).then(&follow)),
            Node::Alternate(branches) => {
                let mut all = Self { takes: true, ..Self::begins(ByteSet::EMPTY) };
                for branch in branches {
                    let branch = Self::of(branch);
                    all.sure |= branch.sure;
                    all.open |= branch.open;
                    all.takes &= branch.takes;
                    all.first = all.first.union(&branch.first);
                    all.danger = all.danger.union(&branch.danger);
                }
                all
            }
            Node::Repeat { max: Some(0), .. } => Self::NOTHING,
            Node::Repeat { min: 0, max: None, body, .. } if matches!(**body, Node::Class(_)) => {
                Self { sure: true, open: true, takes: false, first: Self::of(body).first, danger: ByteSet::EMPTY }
            }
            Node::Repeat { min, body, .. } => {
                let body = Self::of(body);
                let optional = *min == 0;
                Self {
                    sure: optional || body.sure,
                    open: optional || body.open,
                    takes: !optional && body.takes,
                    first: body.first,
                    danger: body.danger_of_rounds(),
                }
            }
            Node::Capture(_, body) => Self::of(body),
            Node::Atomic(body) => {
                let body = Self::of(body);
                Self { danger: body.first, ..body }
            }
            // A byte that was given back is there, so the end is not.
            Node::Assert(Place::End) => Self::begins(ByteSet::EMPTY),
            Node::Assert(Place::LineEnd | Place::EndOrLastNewline) => Self::begins(LINE_FEED),
            Node::Newline => {
                let set = ByteSet::range(b'\n', b'\r').union(&ByteSet::range(0x85, 0x85));
                Self { takes: true, ..Self::begins(set) }
            }
            Node::Assert(_) | Node::Around { .. } | Node::KeepOut => Self { sure: false, ..Self::NOTHING },
            Node::BackReference { .. } => Self::ANYTHING,
            Node::Conditional { yes, no, .. } => {
                let (yes, no) = (Self::of(yes), Self::of(no));
                let first = yes.first.union(&no.first);
                Self {
                    sure: yes.sure && no.sure,
                    open: yes.open || no.open,
                    takes: yes.takes && no.takes,
                    first,
                    danger: first,
                }
            }
        }
    }

    /// This, and then that.
    pub(super) fn then(&self, next: &Self) -> Self {
        // Behind an assertion, a place matters: what may be dropped otherwise may not be dropped there.
        let danger = if self.sure { next.danger } else { next.first };
        let (first, danger) = if self.open { (next.first, danger) } else { (ByteSet::EMPTY, ByteSet::EMPTY) };
        Self {
            sure: self.sure && next.sure,
            open: self.open && next.open,
            takes: self.takes || next.takes,
            first: self.first.union(&first),
            danger: self.danger.union(&danger),
        }
    }

    fn danger_of_rounds(&self) -> ByteSet {
        if self.open && !self.sure { self.first } else { self.danger }
    }

    /// What follows the body of a repetition that is followed by this.
    pub(super) fn around(&self, body: &Node, min: u32, max: Option<u32>) -> Self {
        if max.is_some_and(|max| max <= 1) {
            return *self;
        }
        let again = Self::of(body);
        let first = again.first.union(&self.first);
        let danger = again.danger_of_rounds().union(&self.danger);
        Self { sure: self.sure && min <= 1, open: self.open, takes: self.takes, first, danger }
    }

    #[cfg(test)]
    pub(super) fn may_be_empty(&self) -> bool {
        self.open || !self.takes
    }

    /// The bytes it begins with, if it takes any before it ends.
    pub(super) fn begins_with(&self) -> Option<ByteSet> {
        (self.takes && !self.open).then_some(self.first)
    }

    /// Whether giving back some of `given` before this can never help.
    pub(super) fn spurns(&self, given: &ByteSet) -> bool {
        self.sure || (!self.open && !self.danger.meets(given))
    }
}
