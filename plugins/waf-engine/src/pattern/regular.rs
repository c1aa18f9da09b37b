//! Patterns for the engine that never backtracks.

use regex_syntax::hir::{Capture, Class, ClassBytes, ClassBytesRange, Hir, Look, Repetition as HirRepetition};

use super::{
    follow::Follow,
    syntax::{Node, Place, Repetition},
};
use crate::bytes::ByteSet;

/// What to do with a construct that is not regular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Say so.
    Exact,
    /// Let it match more than it does: for a filter before the backtracking engine.
    Wider,
}

/// Turns a tree into what the engine compiles, with groups up to 9.
///
/// # Errors
/// Names the first construct that is not regular.
pub(super) fn translate(node: &Node, mode: Mode) -> Result<Hir, &'static str> {
    translate_before(node, &Follow::NOTHING, mode)
}

fn translate_before(node: &Node, follow: &Follow, mode: Mode) -> Result<Hir, &'static str> {
    let refuse = |reason, wider| if mode == Mode::Exact { Err(reason) } else { Ok(wider) };
    Ok(match node {
        Node::Empty => Hir::empty(),
        Node::Class(set) => class(set),
        Node::Concat(parts) => {
            let mut follow = *follow;
            let mut translated = Vec::with_capacity(parts.len());
            // What stands behind the part, and what follows that.
            let mut behind: Option<(&Node, Follow)> = None;
            for part in parts.iter().rev() {
                let mut part_follow = follow;
                if let (Some(set), Some((next, after)), Mode::Exact) = (all_taken(part), behind, mode)
                    && !follow.spurns(&set)
                    && let Some(next) = without(next, &set, &after)
                {
                    translated.pop();
                    translated.push(translate_before(&next, &after, mode)?);
                    part_follow = Follow::NOTHING;
                }
                translated.push(translate_before(part, &part_follow, mode)?);
                behind = Some((part, follow));
                follow = Follow::of(part).then(&follow);
            }
            translated.reverse();
            Hir::concat(translated)
        }
        Node::Alternate(branches) => {
            let branches: Result<_, _> = branches.iter().map(|branch| translate_before(branch, follow, mode)).collect();
            Hir::alternation(branches?)
        }
        Node::Repeat { min, max, kind, body } => {
            if *kind == Repetition::Possessive && mode == Mode::Exact {
                let same = match &**body {
                    Node::Class(set) => follow.spurns(set),
                    _ => follow.sure,
                };
                if !same {
                    return Err("a possessive repetition");
                }
            }
            let inner = translate_before(body, &follow.around(body, *min, *max), mode)?;
            let greedy = *kind != Repetition::Lazy;
            Hir::repetition(HirRepetition { min: *min, max: *max, greedy, sub: Box::new(inner) })
        }
        Node::Capture(index, body) => {
            let inner = translate_before(body, follow, mode)?;
            if *index > 9 {
                return Ok(inner);
            }
            Hir::capture(Capture { index: *index, name: None, sub: Box::new(inner) })
        }
        Node::Assert(place) => match place {
            Place::Start => Hir::look(Look::Start),
            Place::End => Hir::look(Look::End),
            Place::LineEnd => Hir::look(Look::EndLF),
            Place::WordBoundary => Hir::look(Look::WordAscii),
            Place::NoWordBoundary => Hir::look(Look::WordAsciiNegate),
            // PCRE's does not hold behind the value's last byte. Where a byte must follow, that makes no difference.
            Place::LineStart if follow.takes => Hir::look(Look::StartLF),
            Place::LineStart => return refuse("`^` under `(?m)` at the end", Hir::look(Look::StartLF)),
            Place::EndOrLastNewline => return refuse("`\\Z`", Hir::look(Look::EndLF)),
            Place::SearchStart => return refuse("`\\G`", Hir::empty()),
        },
        Node::Newline => {
            let one = ByteSet::range(b'\n', b'\r').union(&ByteSet::range(0x85, 0x85));
            let wider = Hir::alternation(vec![Hir::literal(*b"\r\n"), class(&one)]);
            if follow.spurns(&ByteSet::range(b'\n', b'\n')) {
                return Ok(wider);
            }
            return refuse("`\\R` before what may be a newline", wider);
        }
        Node::Around { .. } => return refuse("look-around", Hir::empty()),
        Node::Atomic(body) => {
            // Nothing after it can fail, or it has but one way to match: its first match is the match.
            if mode == Mode::Exact && !follow.sure && !matches!(**body, Node::Class(_) | Node::Empty) {
                return Err("an atomic group");
            }
            translate_before(body, &Follow::NOTHING, mode)?
        }
        Node::BackReference { .. } => return refuse("a back-reference", anything()),
        Node::Conditional { yes, no, .. } => {
            let wider = match mode {
                Mode::Exact => Hir::empty(),
                Mode::Wider => {
                    Hir::alternation(vec![translate_before(yes, follow, mode)?, translate_before(no, follow, mode)?])
                }
            };
            return refuse("a condition", wider);
        }
        Node::KeepOut => return refuse("`\\K`", Hir::empty()),
    })
}

/// The set of a possessive repetition without end of one class: behind it, none of the set comes next.
fn all_taken(node: &Node) -> Option<ByteSet> {
    match node {
        Node::Repeat { max: None, kind: Repetition::Possessive, body, .. } => match **body {
            Node::Class(set) => Some(set),
            _ => None,
        },
        _ => None,
    }
}

/// The same, but not where it would begin with a byte of the set.
fn without(node: &Node, set: &ByteSet, follow: &Follow) -> Option<Node> {
    if Follow::of(node).then(follow).spurns(set) {
        return Some(node.clone());
    }
    match node {
        Node::Class(own) => Some(Node::Class(own.complement().union(set).complement())),
        Node::Capture(group, body) => Some(Node::Capture(*group, Box::new(without(body, set, follow)?))),
        Node::Alternate(branches) => {
            let branches: Option<_> = branches.iter().map(|branch| without(branch, set, follow)).collect();
            Some(Node::Alternate(branches?))
        }
        Node::Concat(parts) => {
            let (first, rest) = parts.split_first()?;
            Follow::of(first).begins_with()?;
            let after = rest.iter().rev().fold(*follow, |follow, part| Follow::of(part).then(&follow));
            let first = without(first, set, &after)?;
            Some(Node::Concat(std::iter::once(first).chain(rest.iter().cloned()).collect()))
        }
        Node::Repeat { min: min @ 1.., max, kind, body } if *kind != Repetition::Possessive => {
            Follow::of(body).begins_with()?;
            let first = without(body, set, &Follow::NOTHING)?;
            let (min, max) = (min - 1, max.map(|max| max - 1));
            Some(Node::Concat(vec![first, Node::Repeat { min, max, kind: *kind, body: body.clone() }]))
        }
        _ => None,
    }
}

fn class(set: &ByteSet) -> Hir {
    let mut bytes = set.iter();
    if let (Some(byte), None) = (bytes.next(), bytes.next()) {
        return Hir::literal([byte]);
    }
    Hir::class(Class::Bytes(ClassBytes::new(set.iter().map(|byte| ClassBytesRange::new(byte, byte)))))
}

fn anything() -> Hir {
    let sub = Box::new(class(&ByteSet::ALL));
    Hir::repetition(HirRepetition { min: 0, max: None, greedy: true, sub })
}
