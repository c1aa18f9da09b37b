//! A pattern's syntax tree: PCRE's constructs, with options (`(?i)`, `(?s)`, ...) resolved into what they mean for bytes.

use crate::bytes::ByteSet;

/// One construct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Matches the empty string.
    Empty,
    /// One byte of a set, which may be empty (then nothing matches). Case is folded into the set.
    Class(ByteSet),
    /// One after the other.
    Concat(Vec<Node>),
    /// The first that leads to a match.
    Alternate(Vec<Node>),
    /// As often as possible, or as seldom.
    Repeat {
        /// At least so often.
        min: u32,
        /// At most so often.
        max: Option<u32>,
        /// Which number is tried first, and whether others are tried.
        kind: Repetition,
        /// What.
        body: Box<Node>,
    },
    /// `(...)`.
    Capture(u32, Box<Node>),
    /// A place in the value.
    Assert(Place),
    /// `\R`: `\r\n` as a whole, or one byte that ends a line.
    Newline,
    /// `(?=...)` and its kin.
    Around {
        /// `(?<...)`: what went before.
        behind: bool,
        /// `(?!...)`: it must not match.
        negated: bool,
        /// What is looked for.
        body: Box<Node>,
    },
    /// `(?>...)`: its first match, and no other.
    Atomic(Box<Node>),
    /// `\1`: what the group matched last.
    BackReference {
        /// Number of the group.
        group: u32,
        /// Under `(?i)`.
        ignore_case: bool,
    },
    /// `(?(1)yes|no)`: depends on whether a group took part.
    Conditional {
        /// Number of the group.
        group: u32,
        /// When it did.
        yes: Box<Node>,
        /// When it did not.
        no: Box<Node>,
    },
    /// `\K`: the match begins here.
    KeepOut,
}

/// How a repetition chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repetition {
    /// `*`: the most first.
    Greedy,
    /// `*?`: the least first.
    Lazy,
    /// `*+`: the most, and nothing else.
    Possessive,
}

/// What an assertion about a place says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `\A`, and `^` without `(?m)`.
    Start,
    /// `\z`, and `$` without `(?m)`.
    End,
    /// `\Z`: the end, or before a newline that ends the value.
    EndOrLastNewline,
    /// `^` under `(?m)`: the start, or after a newline that does not end the value.
    LineStart,
    /// `$` under `(?m)`.
    LineEnd,
    /// `\b`.
    WordBoundary,
    /// `\B`.
    NoWordBoundary,
    /// `\G`: where the search began.
    SearchStart,
}

/// Bytes of `\d`.
pub(super) const DIGIT: ByteSet = ByteSet::range(b'0', b'9');
/// Bytes of `\w`.
pub(super) const WORD: ByteSet = UPPER.union(&LOWER).union(&DIGIT).union(&ByteSet::range(b'_', b'_'));
/// Bytes of `\s`, with the vertical tab as Perl 5.18 and PCRE 8.34 have it.
pub(super) const SPACE: ByteSet = ByteSet::range(0x09, 0x0d).union(&ByteSet::range(b' ', b' '));
/// Bytes of `\h`: of the code points that PCRE lists, those below 256.
pub(super) const HORIZONTAL: ByteSet =
    ByteSet::range(b'\t', b'\t').union(&ByteSet::range(b' ', b' ')).union(&ByteSet::range(0xa0, 0xa0));
/// Bytes of `\v`.
pub(super) const VERTICAL: ByteSet = ByteSet::range(0x0a, 0x0d).union(&ByteSet::range(0x85, 0x85));
/// `[A-Z]`.
pub(super) const UPPER: ByteSet = ByteSet::range(b'A', b'Z');
/// `[a-z]`.
pub(super) const LOWER: ByteSet = ByteSet::range(b'a', b'z');
/// `\n`.
pub(super) const LINE_FEED: ByteSet = ByteSet::range(b'\n', b'\n');

/// With the other case of each ASCII letter.
pub(super) fn fold_case(set: &ByteSet) -> ByteSet {
    let mut folded = *set;
    for byte in set.iter().filter(u8::is_ascii_alphabetic) {
        folded.insert(byte ^ 0x20);
    }
    folded
}
