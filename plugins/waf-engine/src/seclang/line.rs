//! Logical lines: what is left when continuation lines are joined and comments are gone.

/// A directive as written, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Of the first physical line, from 1.
    pub number: u32,
    /// Without the end of the line; a backslash before an end of a line in between is gone together with it.
    pub text: String,
    /// Where the second and further physical lines begin in `text`.
    breaks: Vec<usize>,
}

impl Line {
    /// The physical line and the column, both from 1, of an offset in `text`.
    pub fn position(&self, at: usize) -> (u32, u32) {
        let before = self.breaks.partition_point(|start| *start <= at);
        let start = before.checked_sub(1).map_or(0, |last| self.breaks[last]);
        let column = self.text.get(start..at).map_or(0, |text| text.chars().count());
        (self.number.saturating_add(before as u32), column as u32 + 1)
    }

    /// All of it.
    pub fn span(&self) -> Span<'_> {
        Span { text: &self.text, at: 0 }.trim()
    }
}

/// A part of a line that knows where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'a> {
    pub text: &'a str,
    /// Offset in the line.
    pub at: usize,
}

impl<'a> Span<'a> {
    /// From an offset on.
    pub fn from(self, start: usize) -> Self {
        Self { text: &self.text[start..], at: self.at + start }
    }

    /// Up to an offset.
    pub fn to(self, end: usize) -> Self {
        Self { text: &self.text[..end], at: self.at }
    }

    /// Without blanks at both ends.
    pub fn trim(self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        Self { text: self.text.trim(), at: self.at + start }
    }

    /// What is before and after the first such character.
    pub fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let at = self.text.find(separator)?;
        Some((self.to(at), self.from(at + separator.len_utf8())))
    }

    /// A mistake about this part.
    pub fn mistake(self, text: impl Into<String>) -> super::report::Mistake {
        super::report::Mistake { at: Some(self.at), word: self.text.to_owned(), text: text.into(), nearest: None }
    }
}

/// What the reader comes upon.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A directive.
    Line(Line),
    /// This line looks like a directive, but belongs to the comment above, whose last character is a backslash.
    Swallowed(u32),
    /// This line of a directive is not UTF-8; the first such byte.
    NotText(u32, u8),
}

/// Takes a file apart.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    number: u32,
    /// Whether this line still belongs to a comment.
    comment: bool,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        // Some editors begin a file with a byte order mark.
        Self { rest: bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes), number: 0, comment: false }
    }

    /// The next physical line without its end, and whether a backslash joins the following one to it.
    fn physical(&mut self) -> Option<(&'a [u8], bool)> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', self.rest);
        let line = &self.rest[..end.unwrap_or(self.rest.len())];
        self.rest = &self.rest[end.map_or(self.rest.len(), |end| end + 1)..];
        self.number = self.number.saturating_add(1);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(match line.strip_suffix(b"\\") {
            Some(line) => (line, true),
            None => (line, false),
        })
    }
}

impl Iterator for Reader<'_> {
    type Item = Read;

    fn next(&mut self) -> Option<Read> {
        loop {
            let (first, mut joined) = self.physical()?;
            let number = self.number;
            let start = first.trim_ascii_start();
            if self.comment {
                self.comment = joined;
                if starts_directive(start) {
                    return Some(Read::Swallowed(number));
                }
                continue;
            }
            if let Some(comment) = start.strip_prefix(b"#") {
                // As libmodsecurity has it: a directive that was commented out goes on over its continuation lines, while prose
                // that ends in a backslash does not hide the directive below it.
                self.comment = joined && starts_directive(comment.trim_ascii_start());
                continue;
            }
            if start.is_empty() && !joined {
                continue;
            }
            let mut bytes = first.to_vec();
            let mut breaks = Vec::new();
            while joined {
                let Some((more, again)) = self.physical() else { break };
                breaks.push(bytes.len());
                bytes.extend_from_slice(more);
                joined = again;
            }
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            return Some(match String::from_utf8(bytes) {
                Ok(text) => Read::Line(Line { number, text, breaks }),
                Err(error) => {
                    let at = error.utf8_error().valid_up_to();
                    let before = breaks.partition_point(|start| *start <= at) as u32;
                    Read::NotText(number.saturating_add(before), error.as_bytes()[at])
                }
            });
        }
    }
}

/// Whether this is the beginning of a directive: `Sec` or `Include` and more letters.
fn starts_directive(text: &[u8]) -> bool {
    let word = text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let word = &text[..word];
    (word.len() > 3 && word[..3].eq_ignore_ascii_case(b"sec")) || word.eq_ignore_ascii_case(b"include")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<(u32, String)> {
        Reader::new(text)
            .map(|read| match read {
                Read::Line(line) => (line.number, line.text),
                Read::Swallowed(number) => (number, "swallowed".into()),
                Read::NotText(number, byte) => (number, format!("byte {byte:x}")),
            })
            .collect()
    }

    #[test]
    fn continuation_lines_are_joined_and_comments_go() {
        assert_eq!(
            lines(b"\xEF\xBB\xBFa b\r\n\r\n # c\n  d \\\r\n e\\\n\nf"),
            [(1, "a b".into()), (4, "  d  e".into()), (7, "f".into())]
        );
        assert_eq!(lines(b"a \\"), [(1, "a ".into())]);
        assert_eq!(lines(b"\\\n\\\n"), []);
    }

    #[test]
    fn a_commented_directive_goes_on_but_prose_does_not() {
        assert_eq!(lines(b"# SecRule ARGS \\\n \"id:1\"\nSecMarker a"), [(3, "SecMarker a".into())]);
        assert_eq!(lines(b"# Look: \\\nSecMarker a"), [(2, "SecMarker a".into())]);
        assert_eq!(
            lines(b"#SecRule \\\nSecMarker a\nSecMarker b"),
            [(2, "swallowed".into()), (3, "SecMarker b".into())]
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_refused_outside_of_comments() {
        assert_eq!(lines(b"# \xE9\na\\\nb\xE9"), [(3, "byte e9".into())]);
    }

    #[test]
    fn offsets_become_lines_and_columns() {
        let Some(Read::Line(line)) = Reader::new("x\n\u{e4}b \\\n  cd\\\nef".as_bytes()).nth(1) else {
            panic!("no line")
        };
        assert_eq!(line.text, "\u{e4}b   cdef");
        assert_eq!(line.position(0), (2, 1));
        assert_eq!(line.position(2), (2, 2));
        assert_eq!(line.position(6), (3, 3));
        assert_eq!(line.position(8), (4, 1));
    }
}
