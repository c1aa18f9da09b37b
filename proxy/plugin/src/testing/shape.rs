//! Ways that a body may come: in which pieces, and how it ends.

use std::ops::Range;

/// Divisions into two that are tried, at most, of one body.
const DIVISIONS_MAX: usize = 512;

/// Bytes of a body that is divided byte by byte. A longer one comes in single bytes up to here, then in pieces of [`ODD`].
const SINGLE_MAX: usize = 4 << 10;

/// Bytes of a piece; a prime number, so that pieces begin everywhere.
const ODD: usize = 997;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Complete, with the trailers of the case, if it has any.
    AsRecorded,
    /// Complete, without trailers.
    Bare,
    /// Complete, with trailers.
    Trailers,
    /// Cut off.
    Cut,
}

impl End {
    /// For messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsRecorded => "as recorded",
            Self::Bare => "complete without trailers",
            Self::Trailers => "complete with trailers",
            Self::Cut => "cut",
        }
    }
}

/// A body's pieces. The end comes with the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division(pub Vec<Range<usize>>);

impl Division {
    /// All at once.
    pub fn whole(length: usize) -> Self {
        Self(std::iter::once(0..length).collect())
    }

    /// For messages.
    pub fn describe(&self) -> String {
        match &self.0[..] {
            [_] => "one piece".to_owned(),
            [first, second] => format!("pieces of {} and {} bytes", first.len(), second.len()),
            [first, .., last] if first.len() == 1 && last.len() <= 1 => "single bytes".to_owned(),
            pieces => format!("{} pieces", pieces.len()),
        }
    }
}

/// Every division into two, empty pieces included, and byte by byte, with the end in the last byte and after it. Of a long body,
/// divisions near both ends, and others evenly over it.
pub fn divisions(length: usize) -> Vec<Division> {
    let mut found: Vec<_> = borders(length).into_iter().map(|at| Division(vec![0..at, at..length])).collect();
    let mut singles: Vec<_> = (0..length.min(SINGLE_MAX)).map(|at| at..at + 1).collect();
    let mut at = SINGLE_MAX;
    while at < length {
        singles.push(at..length.min(at + ODD));
        at += ODD;
    }
    if length > 2 {
        found.push(Division(singles.clone()));
    }
    if length > 1 {
        singles.push(length..length);
        found.push(Division(singles));
    }
    found
}

fn borders(length: usize) -> Vec<usize> {
    if length < DIVISIONS_MAX {
        return (0..=length).collect();
    }
    let quarter = DIVISIONS_MAX / 4;
    let middle = length - 2 * quarter;
    (0..quarter)
        .chain((0..2 * quarter).map(|i| quarter + i * middle / (2 * quarter)))
        .chain(length + 1 - quarter..=length)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisions_cover_the_body_in_order() {
        for length in [0, 1, 2, 3, 100, 511, 512, 5000, 1 << 20] {
            let all = divisions(length);
            assert!(all.len() <= DIVISIONS_MAX + 2, "{length}: {}", all.len());
            for Division(pieces) in &all {
                let mut at = 0;
                for piece in pieces {
                    assert_eq!(piece.start, at, "{length}: {pieces:?}");
                    at = piece.end;
                }
                assert_eq!(at, length);
            }
            for border in [0, length] {
                assert!(all.contains(&Division(vec![0..border, border..length])), "{length}");
            }
        }
        assert_eq!(divisions(100).len(), 101 + 2);
        assert_eq!(divisions(0), [Division(vec![0..0, 0..0])]);
    }

    #[test]
    fn divisions_are_described() {
        let described: Vec<_> = divisions(3).iter().map(Division::describe).collect();
        assert_eq!(described[1], "pieces of 1 and 2 bytes");
        assert_eq!(described[4..], ["single bytes", "single bytes"]);
        assert_eq!(Division::whole(3).describe(), "one piece");
    }
}
