//! The texts that were read, and how a byte range becomes a line, a column and an excerpt.
//!
//! Every step here costs the same whatever the length of a line: a file of one line with a hundred thousand values is
//! as cheap to point into as any other.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Location, diagnostic::Excerpt};

/// A range of bytes in one of the texts. Files are capped far below 4 GiB, so 32 bits are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Span {
    /// Index of the text.
    pub(crate) file: u32,
    /// First byte.
    pub(crate) start: u32,
    /// First byte after it.
    pub(crate) end: u32,
}

/// All texts of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Text>);

#[derive(Debug)]
struct Text {
    name: Arc<str>,
    text: String,
    /// Where each line starts.
    lines: Vec<u32>,
    /// Characters before each block of [`BLOCK`] bytes, so that a column never costs a walk along a long line.
    blocks: Vec<u32>,
}

const BLOCK: usize = 256;

/// Longer lines are shown in part, around the place that is meant.
const SHOWN: usize = 120;
const SHOWN_BEFORE: usize = 60;

impl Sources {
    /// Adds a text and says which index its spans carry.
    pub(crate) fn add(&mut self, name: &str, text: String) -> u32 {
        let mut lines = vec![0];
        let mut blocks = Vec::with_capacity(text.len() / BLOCK + 1);
        let mut characters = 0;
        for (at, byte) in text.bytes().enumerate() {
            if at % BLOCK == 0 {
                blocks.push(characters);
            }
            if byte & 0xC0 != 0x80 {
                characters += 1;
            }
            if byte == b'\n' {
                lines.push(at as u32 + 1);
            }
        }
        self.0.push(Text { name: name.into(), text, lines, blocks });
        self.0.len() as u32 - 1
    }

    /// The text with this index.
    pub(crate) fn text(&self, file: u32) -> &str {
        self.0.get(file as usize).map_or("", |text| &text.text)
    }

    /// Whether there is nothing but white space in all of them.
    pub(crate) fn is_blank(&self) -> bool {
        self.0.iter().all(|text| text.text.trim().is_empty())
    }

    /// A path written in this file, seen from the folder that the file is in.
    pub(crate) fn beside(&self, file: u32, path: &Path) -> PathBuf {
        match self.0.get(file as usize).and_then(|text| Path::new(&*text.name).parent()) {
            Some(folder) => folder.join(path),
            None => path.to_owned(),
        }
    }

    /// Where a span starts.
    pub(crate) fn locate(&self, span: Span) -> Location {
        let Some(text) = self.0.get(span.file as usize) else {
            return Location { file: "".into(), line: 1, column: 1 };
        };
        let at = text.boundary(span.start as usize);
        let (number, line) = text.line(at);
        let column = text.characters_before(at) - text.characters_before(line.start) + 1;
        Location { file: text.name.clone(), line: number, column }
    }

    /// The line a span starts in, and the part of it that is meant.
    pub(crate) fn excerpt(&self, span: Span) -> Option<Excerpt> {
        let text = self.0.get(span.file as usize)?;
        let at = text.boundary(span.start as usize);
        let (number, line) = text.line(at);
        let end = text.boundary((span.end as usize).clamp(at, line.end.max(at)));

        let shown = if line.len() <= SHOWN {
            line.clone()
        } else {
            let start = text.boundary(line.start.max(at.saturating_sub(SHOWN_BEFORE)));
            start..text.boundary(line.end.min(start + SHOWN))
        };
        let mut excerpt = Excerpt { line: number, text: String::new(), start: 0, length: 0 };
        if shown.start > line.start {
            excerpt.text.push('…');
            excerpt.start += 1;
        }
        excerpt.text.push_str(&text.text[shown.clone()]);
        if shown.end < line.end {
            excerpt.text.push('…');
        }
        let at = at.clamp(shown.start, shown.end);
        let end = end.clamp(at, shown.end);
        excerpt.start += text.text[shown.start..at].chars().count();
        excerpt.length = text.text[at..end].chars().count().max(1);
        Some(excerpt)
    }
}

impl Text {
    /// The number and the bytes of the line that holds a byte, without its end.
    fn line(&self, at: usize) -> (u32, Range<usize>) {
        let index = self.lines.partition_point(|start| *start as usize <= at).max(1) - 1;
        let start = self.lines[index] as usize;
        let end = self.lines.get(index + 1).map_or(self.text.len(), |next| *next as usize - 1);
        let end = if end > start && self.text.as_bytes()[end - 1] == b'\r' { end - 1 } else { end };
        (index as u32 + 1, start..end)
    }

    fn characters_before(&self, at: usize) -> u32 {
        let block = (at / BLOCK).min(self.blocks.len().saturating_sub(1));
        let Some(before) = self.blocks.get(block) else { return 0 };
        let rest = &self.text.as_bytes()[block * BLOCK..at];
        before + rest.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u32
    }

    /// The start of the character that holds a byte.
    fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> Sources {
        let mut sources = Sources::default();
        sources.add("conf/a.toml", text.to_owned());
        sources
    }

    fn span(start: u32, end: u32) -> Span {
        Span { file: 0, start, end }
    }

    #[test]
    fn columns_count_characters() {
        let sources = sources("a = 1\nü = \"é\" # x\n");
        let at = sources.locate(span(11, 15));
        assert_eq!((at.line, at.column), (2, 5));
        assert_eq!(sources.excerpt(span(11, 15)).unwrap().length, 3);
    }

    #[test]
    fn columns_are_right_far_into_a_long_line() {
        let sources = sources(&"é".repeat(5000));
        assert_eq!(sources.locate(span(8000, 8002)).column, 4001);
        let excerpt = sources.excerpt(span(8000, 8002)).unwrap();
        assert!(excerpt.text.chars().count() < 130);
        assert_eq!((excerpt.start, excerpt.length), (31, 1));
    }

    #[test]
    fn points_behind_the_last_byte() {
        let sources = sources("abc");
        assert_eq!(sources.locate(span(3, 9)).column, 4);
        assert_eq!(sources.excerpt(span(3, 9)).unwrap().length, 1);
        assert_eq!(Sources::default().locate(span(3, 9)).line, 1);
    }

    #[test]
    fn a_line_ends_before_its_carriage_return() {
        let sources = sources("ab\r\ncd\r\n");
        assert_eq!(sources.excerpt(span(0, 8)).unwrap().text, "ab");
        assert_eq!(sources.locate(span(4, 5)).line, 2);
    }

    #[test]
    fn relative_paths_start_at_the_folder_of_the_file() {
        let sources = sources("");
        assert_eq!(sources.beside(0, Path::new("x.pem")), Path::new("conf/x.pem"));
        assert_eq!(sources.beside(0, Path::new("/x.pem")), Path::new("/x.pem"));
    }
}
