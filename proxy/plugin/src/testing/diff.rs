//! Differences as lines, for people.

use similar::{ChangeTag, TextDiff};

/// Lines around a difference that are shown.
const AROUND: usize = 2;

/// Lines with `-` that only `expected` has and with `+` that only `found` has, with some around them; empty if there are none.
pub fn lines(expected: &str, found: &str) -> String {
    let diff = TextDiff::from_lines(expected, found);
    let mut out = String::new();
    for (index, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if index > 0 {
            out.push_str("  ...\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            out.push_str(match change.tag() {
                ChangeTag::Delete => "- ",
                ChangeTag::Insert => "+ ",
                ChangeTag::Equal => "  ",
            });
            out.push_str(change.value().trim_end_matches('\n'));
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn shows_what_differs() {
        assert_eq!(super::lines("a\nb\nc\n", "a\nb\nc\n"), "");
        assert_eq!(super::lines("1\n2\n3\nold\n", "1\n2\n3\nnew\n"), "  2\n  3\n- old\n+ new\n");
    }
}
