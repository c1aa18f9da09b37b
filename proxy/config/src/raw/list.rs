//! Lists: one value or several, and tables in double brackets.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::{At, Read};
use crate::{
    diagnostic::Sink,
    tree::{Kind, Node},
};

/// One value, or a list of values that may be empty.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(pub(crate) Vec<At<T>>);

/// One value, or a list of at least one: where an empty list would mean "everything", which nobody means.
#[derive(Clone, Debug)]
pub(crate) struct Filled<T>(pub(crate) Vec<At<T>>);

/// `[[tables]]`.
#[derive(Clone, Debug)]
pub(crate) struct Tables<T>(pub(crate) Vec<At<T>>);

impl<T: Read> Read for List<T> {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Array(items) => each(items, out).map(Self),
            _ => T::read(node, out).map(|value| Self(vec![At { span: node.span, value }])),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let one = T::schema(generator);
        json_schema!({ "anyOf": [one.clone(), { "type": "array", "items": one }] })
    }
}

impl<T: Read> Read for Filled<T> {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        if matches!(&node.kind, Kind::Array(items) if items.is_empty()) {
            out.error(node.span, "an empty list").help("leave the key out, or name at least one");
            return None;
        }
        List::read(node, out).map(|List(items)| Self(items))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let one = T::schema(generator);
        json_schema!({ "anyOf": [one.clone(), { "type": "array", "items": one, "minItems": 1 }] })
    }
}

impl<T: Read> Read for Tables<T> {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        match &node.kind {
            // One that cannot be read must not hide the others: what they name would seem to be missing.
            Kind::Array(items) => {
                let read = items.iter().filter_map(|item| {
                    let value = T::read(item, out)?;
                    Some(At { span: item.span, value })
                });
                Some(Self(read.collect()))
            }
            Kind::Table(_) => {
                out.error(node.span, "expected a list of tables, found a table")
                    .help("there can be several of these: write the name in double brackets, as in `[[listener]]`");
                None
            }
            _ => {
                out.error(node.span, format!("expected a list of tables, found {}", node.describe()))
                    .help("write each as a table with its name in double brackets, as in `[[listener]]`");
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let one = T::schema(generator);
        json_schema!({ "type": "array", "items": one })
    }
}

/// All values; every mistake among them is reported.
fn each<T: Read>(items: &[Node], out: &mut Sink<'_>) -> Option<Vec<At<T>>> {
    let read: Vec<_> = items.iter().map(|item| T::read(item, out).map(|value| At { span: item.span, value })).collect();
    read.into_iter().collect()
}
