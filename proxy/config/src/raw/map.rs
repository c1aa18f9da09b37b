//! Tables whose keys an operator chooses.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::{
    At, Read,
    table::entries,
    text::{Written, parse_at},
};
use crate::{diagnostic::Sink, tree::Node};

/// A table with keys that an operator chooses, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Map<K, V> {
    pub(crate) entries: Vec<MapEntry<K, V>>,
    /// Whether a key could not be read: then its entry is missing.
    pub(crate) incomplete: bool,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct MapEntry<K, V> {
    pub(crate) key: At<K>,
    /// Where the value is; for a `[table]` its header.
    pub(crate) span: crate::source::Span,
    /// `None` when it could not be read: the key is known all the same.
    pub(crate) value: Option<V>,
}

impl<K: Written, V: Read> Read for Map<K, V> {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        let mut map = Self { entries: Vec::new(), incomplete: false };
        for entry in entries(node, out)? {
            let key = parse_at(entry.key_span, &entry.key, out);
            let value = V::read(&entry.node, out);
            match key {
                Some(key) => {
                    let key = At { span: entry.key_span, value: key };
                    map.entries.push(MapEntry { key, span: entry.node.span, value });
                }
                None => map.incomplete = true,
            }
        }
        Some(map)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let value = V::schema(generator);
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}

impl<K, V> Map<K, V> {
    /// Whether a key or a value could not be read.
    pub(crate) fn is_broken(&self) -> bool {
        self.incomplete || self.entries.iter().any(|entry| entry.value.is_none())
    }
}
