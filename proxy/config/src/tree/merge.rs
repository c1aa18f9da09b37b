//! Several files as one: `[[tables]]` append, `[tables]` take each other's keys, and a key that two files set is an error
//! that names both.

use std::collections::HashMap;

use super::{Kind, Node};
use crate::{diagnostic::Sink, source::Span};

/// Adds the tables of `more` to `root`.
pub(crate) fn merge(root: &mut Node, more: Node, out: &mut Sink<'_>) {
    merge_at(&mut Vec::new(), root, None, more, out);
}

/// Tables whose keys may come from several files. What stands in a table that an operator named (`[backend.api]`)
/// belongs together in one.
fn is_shared(path: &[String]) -> bool {
    match path {
        [] | [_] => true,
        [table, key] => table == "dns" && key == "hosts",
        _ => false,
    }
}

fn merge_at(path: &mut Vec<String>, into: &mut Node, key_spans: Option<(Span, Span)>, more: Node, out: &mut Sink<'_>) {
    match (&mut into.kind, more.kind) {
        (Kind::Table(entries), Kind::Table(others)) if is_shared(path) => {
            let mut known: HashMap<String, usize> =
                entries.iter().enumerate().map(|(index, entry)| (entry.key.clone(), index)).collect();
            for other in others {
                match known.get(&other.key).copied() {
                    Some(index) => {
                        let entry = &mut entries[index];
                        path.push(other.key);
                        merge_at(path, &mut entry.node, Some((entry.key_span, other.key_span)), other.node, out);
                        path.pop();
                    }
                    None => {
                        known.insert(other.key.clone(), entries.len());
                        entries.push(other);
                    }
                }
            }
        }
        (Kind::Array(items), Kind::Array(others)) if tables(items) && tables(&others) => items.extend(others),
        _ => {
            let (first, second) = key_spans.unwrap_or((into.span, more.span));
            let name = path.join(".");
            out.error(second, format!("`{name}` is set in two files")).other(first, "the first one is here");
        }
    }
}

fn tables(items: &[Node]) -> bool {
    items.iter().all(|item| matches!(item.kind, Kind::Table(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{source::Sources, tree::parse};

    fn merged(texts: &[&str]) -> (Node, Vec<String>) {
        let mut sources = Sources::default();
        for (index, text) in texts.iter().enumerate() {
            sources.add(&format!("{index}.toml"), (*text).to_owned());
        }
        let mut out = Sink::new(&sources);
        let mut root = parse(0, &mut out).0;
        for file in 1..texts.len() {
            let (node, _) = parse(file as u32, &mut out);
            merge(&mut root, node, &mut out);
        }
        (root, out.finish().0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lists_of_tables_append_and_tables_take_keys() {
        let (root, mistakes) = merged(&[
            "[[route]]\nname = \"a\"\n[dns]\nstale = \"1h\"\n[dns.hosts]\na = \"10.0.0.1\"\n",
            "[[route]]\nname = \"b\"\n[dns.hosts]\nb = \"10.0.0.2\"\n",
        ]);
        assert_eq!(mistakes, [""; 0]);
        let text = format!("{root:?}");
        assert!(text.contains("\"b\"") && text.contains("10.0.0.2"), "{text}");
    }

    #[test]
    fn a_key_in_two_files_names_both() {
        let (_, mistakes) = merged(&["[backend.api]\nretries = 1\n", "[backend.api]\nretries = 2\n"]);
        assert_eq!(mistakes.len(), 1);
        assert!(mistakes[0].contains("`backend.api` is set in two files"), "{}", mistakes[0]);
        assert!(mistakes[0].contains("--> 1.toml:1:10") && mistakes[0].contains("::: 0.toml:1:10"), "{}", mistakes[0]);
    }
}
