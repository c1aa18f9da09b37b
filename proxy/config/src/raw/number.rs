//! Whole numbers between bounds.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::Read;
use crate::{
    diagnostic::Sink,
    tree::{Kind, Node},
};

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    /// As another type: the bounds of every key are inside the type its value gets.
    pub(crate) fn to<T: TryFrom<i64, Error: std::fmt::Debug>>(self) -> T {
        T::try_from(self.0).expect("the bounds of a key are inside the type of its value")
    }
}

impl<const MIN: i64, const MAX: i64> Read for Whole<MIN, MAX> {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        let expected = format!("a whole number from {MIN} to {MAX}");
        match &node.kind {
            Kind::Integer(number) if (MIN..=MAX).contains(number) => Some(Self(*number)),
            Kind::Integer(_) => {
                out.error(node.span, "this number is out of range").expected(expected);
                None
            }
            kind => {
                let draft = out.error(node.span, format!("expected an integer, found {}", node.describe()));
                draft.expected(expected);
                if matches!(kind, Kind::String(text) if text.parse::<i64>().is_ok()) {
                    draft.help("leave out the quotes");
                }
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}
