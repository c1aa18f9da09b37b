//! A TOML text as a tree whose every key and value knows its place, and several of them merged into one.

mod merge;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{diagnostic::Sink, source::Span};

pub(crate) use merge::merge;

/// A value and where it stands. The span of a `[table]` is its header.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Kind {
    String(String),
    /// Numbers beyond 64 bits are the nearest one inside: no key takes numbers that large.
    Integer(i64),
    Float,
    Boolean(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

/// The deepest configuration there is has six levels; the parser itself stops later, this keeps our own recursion small.
const DEEPEST: usize = 24;

/// The same for brackets in the text; the deepest configuration has four around one another.
const BRACKETS: usize = 12;

/// For how many duplicate keys the first one is searched: each search may read the whole text.
const SEARCHES: usize = 20;

impl Node {
    /// What it is, for a message.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::String(_) => "a string",
            Kind::Integer(_) => "an integer",
            Kind::Float => "a float",
            Kind::Boolean(_) => "a boolean",
            Kind::Datetime => "a date",
            Kind::Array(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }
}

/// Parses one text. What the parser could make sense of is in the tree even when there are syntax errors; the spans
/// of those come back beside it.
pub(crate) fn parse(file: u32, out: &mut Sink<'_>) -> (Node, Vec<Span>) {
    let text = out.sources.text(file);
    let span = |range: std::ops::Range<usize>| Span { file, start: range.start as u32, end: range.end as u32 };
    if let Some(at) = too_deep(text) {
        let span = span(at..at + 1);
        out.error(span, "values are nested too deeply");
        return (Node { span, kind: Kind::Table(Vec::new()) }, vec![span]);
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut broken = Vec::new();
    let mut searches = 0;
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        let at = span(range.clone());
        let draft = out.error(at, syntax(error.message()));
        let duplicate = error.message().starts_with("duplicate key");
        searches += usize::from(duplicate);
        if duplicate
            && searches <= SEARCHES
            && let Some(first) = first_of(text, range)
        {
            draft.other(span(first), "the first one is here");
        }
        broken.push(at);
    }
    let root = convert_table(file, table.get_ref(), 0, out);
    (Node { span: Span { file, start: 0, end: 0 }, kind: Kind::Table(root) }, broken)
}

fn convert(file: u32, value: &Spanned<DeValue<'_>>, depth: usize, out: &mut Sink<'_>) -> Node {
    let span = Span { file, start: value.span().start as u32, end: value.span().end as u32 };
    if depth > DEEPEST {
        out.error(span, "values are nested too deeply");
        return Node { span, kind: Kind::Table(Vec::new()) };
    }
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::String(text.clone().into_owned()),
        DeValue::Integer(number) => Kind::Integer(integer(number.as_str(), number.radix())),
        DeValue::Float(_) => Kind::Float,
        DeValue::Boolean(value) => Kind::Boolean(*value),
        DeValue::Datetime(_) => Kind::Datetime,
        DeValue::Array(items) => Kind::Array(items.iter().map(|item| convert(file, item, depth + 1, out)).collect()),
        DeValue::Table(table) => Kind::Table(convert_table(file, table, depth + 1, out)),
    };
    Node { span, kind }
}

fn convert_table(file: u32, table: &DeTable<'_>, depth: usize, out: &mut Sink<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().clone().into_owned(),
            key_span: Span { file, start: key.span().start as u32, end: key.span().end as u32 },
            node: convert(file, value, depth + 1, out),
        })
        .collect();
    // The parser sorts by key; operators write in an order.
    entries.sort_by_key(|entry| entry.key_span.start);
    entries
}

fn integer(digits: &str, radix: u32) -> i64 {
    let negative = digits.starts_with('-');
    i64::from_str_radix(digits, radix).unwrap_or(if negative { i64::MIN } else { i64::MAX })
}

/// The parser's words, begun as ours begin.
fn syntax(message: &str) -> String {
    let message = message.trim();
    let mut characters = message.chars();
    match characters.next() {
        Some(first) => format!("not valid TOML: {}{}", first.to_lowercase(), characters.as_str()),
        None => "not valid TOML".to_owned(),
    }
}

/// Where a key that is there twice stands for the first time: the parser names only the second place. Headers are
/// compared as written, keys inside their table.
fn first_of(text: &str, second: std::ops::Range<usize>) -> Option<std::ops::Range<usize>> {
    let key = text.get(second.clone())?;
    let line_start = text[..second.start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next()?;
    let header = header(line);
    let mut end = line_start;
    let mut found = None;
    while end > 0 {
        let start = text[..end - 1].rfind('\n').map_or(0, |at| at + 1);
        let candidate = &text[start..end];
        let indent = candidate.len() - candidate.trim_start().len();
        match header {
            Some(header) if self::header(candidate) == Some(header) => {
                let inside = candidate.find(key)?;
                found = Some(start + inside..start + inside + key.len());
            }
            Some(_) => {}
            None if candidate.trim_start().starts_with('[') => break,
            None => {
                let rest = candidate.trim_start().strip_prefix(key);
                if rest.is_some_and(|rest| rest.trim_start().starts_with(['=', '.'])) {
                    found = Some(start + indent..start + indent + key.len());
                }
            }
        }
        end = start;
    }
    found
}

/// `[a.b]` of a line that is a table's header.
fn header(line: &str) -> Option<&str> {
    let line = line.trim();
    let end = line.rfind(']')?;
    (line.starts_with('[') && !line.starts_with("[[")).then(|| &line[..=end])
}

/// Where brackets are nested more deeply than any configuration needs. The parser bounds itself too, but what it
/// then returns is still taken apart by recursion (dotted keys multiply with brackets), so the bound belongs before it.
/// Strings and comments are skipped, roughly: in a text that is not valid TOML this may see a bracket too many.
fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > BRACKETS {
                    return Some(at);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'#' => at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at),
            b'"' | b'\'' => {
                at = after_string(bytes, at);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The first byte after the string that opens at `at`.
fn after_string(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let triple = bytes[at..].starts_with(&[quote; 3]);
    let mut at = at + if triple { 3 } else { 1 };
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if !triple => return at,
            _ if *byte == quote && !triple => return at + 1,
            _ if triple && bytes[at..].starts_with(&[quote; 3]) => return at + 3,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;

    fn mistakes(text: &str) -> Vec<String> {
        let mut sources = Sources::default();
        sources.add("a.toml", text.to_owned());
        let mut out = Sink::new(&sources);
        parse(0, &mut out);
        out.finish().0.into_iter().map(|one| one.message).collect()
    }

    #[test]
    fn deep_nesting_ends_in_a_mistake() {
        for text in [
            format!("a = {}", "[".repeat(100_000)),
            format!("a = {}", "{b = ".repeat(100_000)),
            format!("{} = 1", "a.".repeat(100_000)),
            format!("[{}a]\n", "a.".repeat(60)),
            format!("a = {}1{}", format!("{{{}a = ", "a.".repeat(70)).repeat(11), "}".repeat(11)),
        ] {
            assert!(!mistakes(&text).is_empty(), "{}", &text[..40]);
        }
    }

    #[test]
    fn brackets_in_strings_and_comments_are_no_nesting() {
        let many = "[".repeat(100);
        assert_eq!(mistakes(&format!("a = \"{many}\\\"{many}\" # {many}\nb = '{many}'\nc = '''\n{many}'{many}'''\n")), [""; 0]);
    }

    #[test]
    fn keys_stay_in_the_order_they_are_written() {
        let mut sources = Sources::default();
        sources.add("a.toml", "b = 1\na = 0xffffffffffffffffff\n".to_owned());
        let mut out = Sink::new(&sources);
        let (root, _) = parse(0, &mut out);
        let Kind::Table(entries) = root.kind else { panic!("the root is a table") };
        assert_eq!(entries[0].key, "b");
        assert!(matches!(entries[1].node.kind, Kind::Integer(i64::MAX)));
    }
}
