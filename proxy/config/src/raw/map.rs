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
pub(crate) struct Map<K, V>(pub(crate) Vec<MapEntry<K, V>>);

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
        let read = entries(node, out)?.iter().filter_map(|entry| {
            let key = parse_at(entry.key_span, &entry.key, out);
            let value = V::read(&entry.node, out);
            let key = At { span: entry.key_span, value: key? };
            Some(MapEntry { key, span: entry.node.span, value })
        });
        Some(Self(read.collect()))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let value = V::schema(generator);
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}
