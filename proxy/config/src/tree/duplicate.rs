//! Where a key that is set twice was set for the first time: the parser names only the second place.

use std::{collections::HashSet, ops::Range};

/// For how many keys the first place is searched: each search may read the whole text.
const SEARCHES: usize = 20;

/// The duplicates of one text, in its order.
#[derive(Default)]
pub(super) struct Duplicates {
    searches: usize,
    /// Where the lines of headers start that were there before.
    headers: HashSet<usize>,
}

/// What is known about the first place.
pub(super) enum Place {
    /// Here it is.
    First(Range<usize>),
    /// It could not be found.
    Unknown,
    /// The whole table is there twice, which was reported at its header.
    Repeated,
}

impl Duplicates {
    /// Looks for the first place of the key at `second`. Headers are compared as written, keys inside their table.
    pub(super) fn place(&mut self, text: &str, second: Range<usize>) -> Place {
        self.searches += 1;
        let Some(key) = text.get(second.clone()).filter(|_| self.searches <= SEARCHES) else { return Place::Unknown };
        let line_start = text[..second.start].rfind('\n').map_or(0, |at| at + 1);
        let wanted = header(text[line_start..].lines().next().unwrap_or_default());
        if wanted.is_some() {
            self.headers.insert(line_start);
        }
        let mut found = None;
        let mut end = line_start;
        while end > 0 {
            let start = text[..end - 1].rfind('\n').map_or(0, |at| at + 1);
            let line = &text[start..end];
            match wanted {
                Some(wanted) if header(line) == Some(wanted) => found = line.find(key).map(|at| start + at),
                Some(_) => {}
                None if line.trim_start().starts_with('[') => {
                    if self.headers.contains(&start) {
                        return Place::Repeated;
                    }
                    break;
                }
                None => {
                    let rest = line.trim_start();
                    if rest.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', '.'])) {
                        found = Some(end - rest.len());
                    }
                }
            }
            end = start;
        }
        found.map_or(Place::Unknown, |start| Place::First(start..start + key.len()))
    }
}

/// `[a.b]` of a line that is a table's header.
fn header(line: &str) -> Option<&str> {
    let line = line.trim();
    let end = line.rfind(']')?;
    (line.starts_with('[') && !line.starts_with("[[")).then(|| &line[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str, key: &str) -> Option<usize> {
        let at = text.rfind(key).unwrap();
        match Duplicates::default().place(text, at..at + key.len()) {
            Place::First(range) => Some(range.start),
            _ => None,
        }
    }

    #[test]
    fn keys_are_found_inside_their_table() {
        assert_eq!(first("a = 0\n[x]\nb = 1\n  a = 1\na = 2\n", "a"), Some(18));
        assert_eq!(first("a = 0\n[x]\nb = 1\na = 2\n", "a"), None);
    }

    #[test]
    fn headers_are_found_as_written() {
        assert_eq!(first("[x.y] # one\na = 1\n[x.y]\n", "y"), Some(3));
    }
}
