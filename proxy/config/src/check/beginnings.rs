//! The literal beginnings of a regex, to tell that two regexes can never match one text.

use regex_syntax::hir::{Look, literal::Extractor};

/// What every text that a regex matches begins with: one of these. `None` when nothing can be said.
#[derive(Debug)]
pub(super) struct Beginnings(Vec<Vec<u8>>);

/// With more alternatives comparing costs more than it tells.
const MOST: usize = 16;

impl Beginnings {
    pub(super) fn of(pattern: &str) -> Option<Self> {
        let hir = regex_syntax::parse(pattern).ok()?;
        // Without an anchor in every alternative, the literal may stand anywhere.
        if !hir.properties().look_set_prefix().contains(Look::Start) {
            return None;
        }
        let prefixes = Extractor::new().extract(&hir);
        let literals = prefixes.literals()?;
        let useful =
            (1..=MOST).contains(&literals.len()) && literals.iter().all(|literal| !literal.as_bytes().is_empty());
        useful.then(|| Self(literals.iter().map(|literal| literal.as_bytes().to_vec()).collect()))
    }

    /// Whether no text can begin in both ways.
    pub(super) fn are_apart(&self, other: &Self) -> bool {
        self.0.iter().all(|one| other.0.iter().all(|two| !one.starts_with(two) && !two.starts_with(one)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(one: &str, two: &str) -> bool {
        match (Beginnings::of(one), Beginnings::of(two)) {
            (Some(one), Some(two)) => one.are_apart(&two),
            _ => false,
        }
    }

    #[test]
    fn anchored_literals_are_compared() {
        assert!(apart(r"^/u/\d+$", r"^/v/\d+$"));
        assert!(apart(r"^/(a|b)/x", r"^/c/"));
        assert!(!apart(r"^/u/\d+$", r"^/u/[a-z]+$"));
        assert!(!apart(r"^/u", r"^/user"));
    }

    #[test]
    fn nothing_is_said_of_what_may_stand_anywhere() {
        assert!(Beginnings::of("/u/").is_none());
        assert!(Beginnings::of("^/u/|/v/").is_none());
        assert!(Beginnings::of("^.*").is_none());
        assert!(!apart("(?i)^/A/", "^/a/"));
        assert!(Beginnings::of(r"(?m)^/a/").is_none());
    }
}
