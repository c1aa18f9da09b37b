//! Diagnostics as text, in the form that compilers have taught everyone to read.

use std::fmt;

use super::{Diagnostic, Excerpt, Report};
use crate::Location;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            writeln!(f, "{diagnostic}")?;
        }
        let (errors, warnings) = self.counts();
        match (errors, warnings) {
            (0, 0) => write!(f, "nothing wrong")?,
            (0, n) => write!(f, "{}", count(n, "warning"))?,
            (n, 0) => write!(f, "{}", count(n, "error"))?,
            (n, m) => write!(f, "{} and {}", count(n, "error"), count(m, "warning"))?,
        }
        if self.dropped > 0 {
            write!(f, ", and {} more,", self.dropped)?;
        }
        writeln!(f, " in {}", Printable(&self.subject))
    }
}

/// Ends with a line break, so that one can follow the other.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.excerpt.iter().chain(self.other.iter().filter_map(|note| note.excerpt.as_ref()));
        let width = widest.map(|excerpt| excerpt.line.to_string().len()).max().unwrap_or(1);

        writeln!(f, "{}: {}", self.severity.as_str(), Printable(&self.message))?;
        place(f, width, "-->", &self.location, self.excerpt.as_ref())?;
        if let Some(excerpt) = &self.excerpt {
            show(f, width, excerpt, "^", "")?;
        }
        for note in &self.other {
            place(f, width, ":::", &note.location, note.excerpt.as_ref())?;
            if let Some(excerpt) = &note.excerpt {
                show(f, width, excerpt, "-", &note.label)?;
            }
        }
        if let Some(expected) = &self.expected {
            writeln!(f, "{:width$} = expected {}", "", Printable(expected))?;
        }
        if let Some(help) = &self.help {
            writeln!(f, "{:width$} = help: {}", "", Printable(help))?;
        }
        Ok(())
    }
}

fn place(
    f: &mut fmt::Formatter<'_>,
    width: usize,
    arrow: &str,
    location: &Location,
    excerpt: Option<&Excerpt>,
) -> fmt::Result {
    match excerpt {
        Some(_) => writeln!(f, "{:width$}{arrow} {}", "", Printable(&location.to_string())),
        None => writeln!(f, "{:width$}{arrow} {}", "", Printable(&location.file)),
    }
}

fn show(f: &mut fmt::Formatter<'_>, width: usize, excerpt: &Excerpt, mark: &str, label: &str) -> fmt::Result {
    writeln!(f, "{:width$} |", "")?;
    writeln!(f, "{:<width$} | {}", excerpt.line, Printable(excerpt.text.trim_end()))?;
    let line = format!("{:indent$}{} {label}", "", mark.repeat(excerpt.length), indent = excerpt.start);
    writeln!(f, "{:width$} | {}", "", line.trim_end())
}

fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Text from a file on its way to a terminal: control characters (tabs, escapes) are shown, never obeyed. Each takes one
/// column, so that marks stay under what they mark.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for character in self.0.chars() {
            f.write_char(match character {
                '\t' => ' ',
                // Bidirectional overrides can make a line look like another one (CVE-2021-42574).
                '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => '\u{FFFD}',
                character if character.is_control() => '\u{FFFD}',
                character => character,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Note, Severity};

    #[test]
    fn escapes_never_reach_a_terminal() {
        assert_eq!(Printable("a\u{1b}[31m\tb").to_string(), "a\u{FFFD}[31m b");
    }

    #[test]
    fn marks_stand_under_what_they_mark() {
        let location = |line| Location { file: "a.toml".into(), line, column: 5 };
        let excerpt = |line| Some(Excerpt { line, text: "a = 12".into(), start: 4, length: 2 });
        let diagnostic = Diagnostic {
            location: location(12),
            severity: Severity::Warning,
            message: "odd".into(),
            expected: Some("a string".into()),
            help: Some("write one".into()),
            excerpt: excerpt(12),
            other: vec![Note { location: location(3), label: "like this".into(), excerpt: excerpt(3) }],
        };
        let text = "warning: odd\n  --> a.toml:12:5\n   |\n12 | a = 12\n   |     ^^\n  ::: a.toml:3:5\n   |\n3  | a = 12\n   |     -- like this\n   = expected a string\n   = help: write one\n";
        assert_eq!(diagnostic.to_string(), text);
    }
}
