//! What loading has to say: mistakes that stop it, and remarks that do not.

use std::fmt;

use crate::{model::Location, seclang::line::Line};

/// So many mistakes are reported at once. After a few dozen the rest follows from the first, or the file is not one of rules.
const MOST_PROBLEMS: usize = 100;

/// So many remarks are kept, so that a file from a stranger cannot fill the memory with them.
const MOST_NOTES: usize = 1000;

/// A mistake in a rule file. Nothing is loaded while there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, and the line of the word in question.
    pub location: Location,
    /// Where the word begins in that line, in characters from 1. `None` where the whole line or file is meant.
    pub column: Option<u32>,
    /// The word in question. Empty where there is none.
    pub word: String,
    /// What is wrong with it, and what to write instead.
    pub text: String,
    /// The known word that is most like it, where one is like it at all.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.location.file, self.location.line)?;
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        write!(f, ": {}", self.text)?;
        match self.nearest {
            Some(nearest) => write!(f, " (did you mean {nearest}?)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Something that loads, and that the operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The directive that it is about.
    pub location: Location,
    /// Which kind of remark.
    pub kind: NoteKind,
    /// One sentence.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.location.file, self.location.line, self.text)
    }
}

/// The kinds of remarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteKind {
    /// A directive or an action that can have no effect in a proxy, or not in this place.
    Inert,
    /// An exclusion, a removal or an update that removes or changes nothing.
    NothingChanged,
    /// An operator that never matches here.
    NeverMatches,
    /// A pattern that runs on the backtracking engine, with a limit of steps.
    Backtracks,
    /// It means something, but hardly what its author meant.
    Suspicious,
}

/// A mistake, placed by its offset in the line that is being read.
#[derive(Debug)]
pub(super) struct Mistake {
    pub at: Option<usize>,
    pub word: String,
    pub text: String,
    pub nearest: Option<&'static str>,
}

impl Mistake {
    /// About the directive as a whole.
    pub fn whole(text: impl Into<String>) -> Self {
        Self { at: None, word: String::new(), text: text.into(), nearest: None }
    }

    /// Names the most similar of the known words.
    pub fn near(mut self, known: impl IntoIterator<Item = &'static str>) -> Self {
        self.nearest = nearest(&self.word, known);
        self
    }
}

/// Collects what loading has to say.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// With the number of the file in the order of reading.
    problems: Vec<(usize, Problem)>,
    notes: Vec<Note>,
    /// How many there were beyond the limit.
    more: usize,
    /// Files in the order in which they were read.
    files: Vec<std::sync::Arc<str>>,
}

impl Report {
    /// A file begins to be read: mistakes are sorted in this order.
    pub fn begin(&mut self, file: &std::sync::Arc<str>) {
        self.files.push(file.clone());
    }

    /// A mistake in a line.
    pub fn mistake(&mut self, file: &std::sync::Arc<str>, line: &Line, mistake: Mistake) {
        let (number, column) = match mistake.at {
            Some(at) => line.position(at),
            None => (line.number, 0),
        };
        self.problem(Problem {
            location: Location { file: file.clone(), line: number },
            column: (column > 0).then_some(column),
            word: clip(&mistake.word),
            text: mistake.text,
            nearest: mistake.nearest,
        });
    }

    /// A mistake in a directive as a whole.
    pub fn at(&mut self, location: &Location, word: &str, text: impl Into<String>) {
        self.problem(Problem {
            location: location.clone(),
            column: None,
            word: clip(word),
            text: text.into(),
            nearest: None,
        });
    }

    /// A mistake.
    pub fn problem(&mut self, problem: Problem) {
        if self.problems.len() >= MOST_PROBLEMS {
            self.more += 1;
            return;
        }
        // The file is one of the last that were begun, nearly always.
        let order = self.files.iter().rposition(|file| *file == problem.location.file).unwrap_or(self.files.len());
        self.problems.push((order, problem));
    }

    /// A remark.
    pub fn note(&mut self, location: &Location, kind: NoteKind, text: impl Into<String>) {
        if self.notes.len() < MOST_NOTES {
            self.notes.push(Note { location: location.clone(), kind, text: text.into() });
        }
    }

    /// Remarks, or all mistakes in the order of files and lines.
    pub fn finish(mut self) -> Result<Vec<Note>, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(self.notes);
        }
        self.problems.sort_by_key(|(order, problem)| (*order, problem.location.line, problem.column));
        let mut problems: Vec<Problem> = self.problems.into_iter().map(|(_, problem)| problem).collect();
        if self.more > 0
            && let Some(last) = problems.last()
        {
            problems.push(Problem {
                location: last.location.clone(),
                column: None,
                word: String::new(),
                text: format!("{} more mistakes are not listed", self.more),
                nearest: None,
            });
        }
        Err(problems)
    }
}

/// At most so much of a word goes into a message.
const LONGEST_WORD: usize = 80;

/// A word for a message: not longer than a line of a terminal.
pub(super) fn clip(word: &str) -> String {
    match word.char_indices().nth(LONGEST_WORD) {
        Some((end, _)) => format!("{}...", &word[..end]),
        None => word.to_owned(),
    }
}

/// The known word with the fewest changed, added, missing or swapped letters; none where more than a third of them differ.
pub(super) fn nearest(word: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    if word.is_empty() || word.len() > 40 {
        return None;
    }
    let best = known.into_iter().map(|candidate| (distance(word, candidate), candidate)).min_by_key(|(far, _)| *far)?;
    (best.0 * 3 <= word.len().max(3)).then_some(best.1)
}

/// Edits between two words, ASCII case aside (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase().into_bytes(), b.to_ascii_lowercase().into_bytes());
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_far_ones_are_not() {
        let known = ["SecRule", "SecAction", "SecRuleEngine"];
        assert_eq!(nearest("SecRuel", known), Some("SecRule"));
        assert_eq!(nearest("secruleengin", known), Some("SecRuleEngine"));
        assert_eq!(nearest("LoadModule", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ab", "ba"), 1);
    }
}
