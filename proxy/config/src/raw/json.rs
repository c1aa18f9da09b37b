//! A table that portcullis does not know: handed on as JSON.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Number, Value};

use super::{Read, table::entries};
use crate::{
    diagnostic::Sink,
    source::Span,
    tree::{Entry, Kind, Node},
};

/// A table as a JSON object; a date is its text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Json(pub(crate) Map<String, Value>);

impl Read for Json {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        object(entries(node, out)?, out).map(Self)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

/// All entries; every mistake among them is reported.
fn object(entries: &[Entry], out: &mut Sink<'_>) -> Option<Map<String, Value>> {
    let read: Vec<_> = entries.iter().map(|entry| Some((entry.key.clone(), value(&entry.node, out)?))).collect();
    read.into_iter().collect()
}

fn value(node: &Node, out: &mut Sink<'_>) -> Option<Value> {
    match &node.kind {
        Kind::String(text) | Kind::Datetime(text) => Some(Value::String(text.clone())),
        Kind::Integer(number) => integer(*number, node.span, out),
        Kind::Float(number) => match Number::from_f64(*number) {
            Some(number) => Some(Value::Number(number)),
            None => {
                out.error(
                    node.span,
                    "this is no finite number, and a plugin gets its table as JSON, which has no other",
                )
                .help("write it as a string");
                None
            }
        },
        Kind::Boolean(value) => Some(Value::Bool(*value)),
        Kind::Array(items) => {
            let read: Vec<_> = items.iter().map(|item| value(item, out)).collect();
            read.into_iter().collect::<Option<_>>().map(Value::Array)
        }
        Kind::Table(entries) => object(entries, out).map(Value::Object),
    }
}

/// The tree holds the nearest number of 64 bits; here another number than the one written would be a lie.
fn integer(number: i64, at: Span, out: &mut Sink<'_>) -> Option<Value> {
    let written =
        || out.sources.text(at.file).get(at.start as usize..at.end as usize).unwrap_or_default().replace('_', "");
    if matches!(number, i64::MIN | i64::MAX) && written().parse() != Ok(number) {
        out.error(at, "this number has more than 64 bits").help("write it as a string");
        return None;
    }
    Some(number.into())
}
