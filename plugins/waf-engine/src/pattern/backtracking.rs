//! Patterns for the backtracking engine, written in its language.

use std::fmt::Write as _;

use super::syntax::{Node, Place, Repetition};
use crate::bytes::ByteSet;

/// The pattern in the words of `fancy_regex`, to be read in its mode for bytes.
pub(super) fn write(node: &Node) -> String {
    let mut out = String::new();
    append(node, &mut out);
    out
}

fn append(node: &Node, out: &mut String) {
    match node {
        Node::Empty => out.push_str("(?:)"),
        Node::Class(set) => class(set, out),
        Node::Concat(parts) => parts.iter().for_each(|part| append(part, out)),
        Node::Alternate(branches) => wrap("(?:", out, |out| alternatives(branches, out)),
        Node::Repeat { min, max, kind, body } => {
            let possessive = *kind == Repetition::Possessive;
            out.push_str(if possessive { "(?>(?:" } else { "(?:" });
            append(body, out);
            // Writing to a string cannot fail.
            let _ = match max {
                Some(max) => write!(out, "){{{min},{max}}}"),
                None => write!(out, "){{{min},}}"),
            };
            match kind {
                Repetition::Greedy => {}
                Repetition::Lazy => out.push('?'),
                Repetition::Possessive => out.push(')'),
            }
        }
        Node::Capture(_, body) => wrap("(", out, |out| append(body, out)),
        Node::Assert(place) => out.push_str(match place {
            Place::Start => "\\A",
            Place::End => "\\z",
            Place::EndOrLastNewline => "(?=\\x0A?\\z)",
            Place::LineStart => "(?:\\A|(?<=\\x0A)(?!\\z))",
            Place::LineEnd => "(?:(?=\\x0A)|\\z)",
            Place::WordBoundary => "\\b",
            Place::NoWordBoundary => "\\B",
            Place::SearchStart => "\\G",
        }),
        Node::Newline => out.push_str("(?>\\x0D\\x0A|[\\x0A-\\x0D\\x85])"),
        // Branches of a look-behind may differ in length; the engine wants each by itself.
        Node::Around { behind: true, negated, body } => {
            let one = std::slice::from_ref(&**body);
            let branches = if let Node::Alternate(branches) = &**body { branches.as_slice() } else { one };
            if *negated {
                branches.iter().for_each(|branch| wrap("(?<!", out, |out| append(branch, out)));
            } else {
                wrap("(?:", out, |out| {
                    for (index, branch) in branches.iter().enumerate() {
                        out.push_str(if index > 0 { "|" } else { "" });
                        wrap("(?<=", out, |out| append(branch, out));
                    }
                });
            }
        }
        Node::Around { behind: false, negated, body } => {
            wrap(if *negated { "(?!" } else { "(?=" }, out, |out| append(body, out));
        }
        Node::Atomic(body) => wrap("(?>", out, |out| append(body, out)),
        Node::BackReference { group, ignore_case } => {
            let _ = write!(out, "(?{}:\\{group})", if *ignore_case { "i" } else { "" });
        }
        Node::Conditional { group, yes, no } => {
            let _ = write!(out, "(?({group})");
            wrap("(?:", out, |out| append(yes, out));
            out.push('|');
            wrap("(?:", out, |out| append(no, out));
            out.push(')');
        }
        Node::KeepOut => out.push_str("\\K"),
    }
}

fn wrap(open: &str, out: &mut String, inner: impl FnOnce(&mut String)) {
    out.push_str(open);
    inner(out);
    out.push(')');
}

fn alternatives(branches: &[Node], out: &mut String) {
    for (index, branch) in branches.iter().enumerate() {
        if index > 0 {
            out.push('|');
        }
        append(branch, out);
    }
}

fn class(set: &ByteSet, out: &mut String) {
    if set.is_empty() {
        out.push_str("(?!)");
        return;
    }
    out.push('[');
    let mut bytes = set.iter().peekable();
    while let Some(first) = bytes.next() {
        let mut last = first;
        while bytes.peek().is_some_and(|&next| next == last + 1) {
            last = bytes.next().unwrap_or(last);
        }
        let _ = if first == last { write!(out, "\\x{first:02X}") } else { write!(out, "\\x{first:02X}-\\x{last:02X}") };
    }
    out.push(']');
}
