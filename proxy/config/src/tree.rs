//! A TOML text as a tree whose every key and value knows its place, and several of them merged into one.

mod depth;
mod duplicate;
mod merge;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{diagnostic::Sink, source::Span};

pub(crate) use merge::merge;

use duplicate::{Duplicates, Place};

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
    Float(f64),
    Boolean(bool),
    /// Its text.
    Datetime(String),
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

impl Node {
    /// What it is, for a message.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::String(_) => "a string",
            Kind::Integer(_) => "an integer",
            Kind::Float(_) => "a float",
            Kind::Boolean(_) => "a boolean",
            Kind::Datetime(_) => "a date",
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
    if let Some(range) = depth::too_deep(text) {
        let span = span(range);
        out.error(span, "values are nested too deeply");
        return (Node { span, kind: Kind::Table(Vec::new()) }, vec![span]);
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut broken = Vec::new();
    let mut duplicates = Duplicates::default();
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        let at = span(range.clone());
        broken.push(at);
        if !error.message().starts_with("duplicate key") {
            out.error(at, syntax(error.message()));
            continue;
        }
        let key = text.get(range.clone()).unwrap_or_default();
        match duplicates.place(text, range) {
            Place::Repeated => {}
            Place::Unknown => {
                out.error(at, format!("`{}` is set twice", key.trim()));
            }
            Place::First(first) => {
                out.error(at, format!("`{}` is set twice", key.trim())).other(span(first), "the first one is here");
            }
        }
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
        DeValue::Float(number) => Kind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Kind::Boolean(*value),
        DeValue::Datetime(date) => Kind::Datetime(date.to_string()),
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
            format!("a = {}", "[}".repeat(100_000)),
            // What the parser itself would take: its two limits multiply.
            format!("a = {}1{}", format!("{{{}a = ", "a.".repeat(78)).repeat(79), "}".repeat(79)),
            format!("a = {}", format!("{{{}a = [}} ", "a.".repeat(78)).repeat(79)),
            format!("a = {}1{}", format!("{{{}a = ", "a.".repeat(70)).repeat(11), "}".repeat(11)),
        ] {
            assert!(!mistakes(&text).is_empty(), "{}", &text[..40]);
        }
    }

    #[test]
    fn brackets_in_strings_and_comments_are_no_nesting() {
        let many = "[".repeat(100);
        assert_eq!(
            mistakes(&format!("a = \"{many}\\\"{many}\" # {many}\nb = '{many}'\nc = '''\n{many}'{many}'''\n")),
            [""; 0]
        );
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
