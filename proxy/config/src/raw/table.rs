//! What every readable thing can do, and the macro that declares a table.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::{
    diagnostic::Sink,
    nearest::{nearest, one_of},
    tree::{Entry, Kind, Node},
};

/// Something that can be read from a value in the file. Mistakes go to the sink; `None` says there was one.
pub(crate) trait Read: Sized {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self>;

    /// What the JSON Schema says about it.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// Declares a table: a struct with one [`Field`](super::Field) a key, its reader, and its JSON Schema. `= required` behind a
/// type marks a key that must be there.
macro_rules! table {
    (
        $(#[doc = $about:literal])*
        $name:ident {
            $( $(#[doc = $doc:literal])* $field:ident : $type:ty $(= $required:ident)? ),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default)]
        pub(crate) struct $name {
            $( $(#[doc = $doc])* pub(crate) $field: $crate::raw::Field<$type>, )*
        }

        impl $crate::raw::Read for $name {
            fn read(node: &$crate::tree::Node, out: &mut $crate::diagnostic::Sink<'_>) -> Option<Self> {
                let entries = $crate::raw::table::entries(node, out)?;
                let mut table = Self::default();
                for entry in entries {
                    match entry.key.as_str() {
                        $( stringify!($field) => table.$field = $crate::raw::Field::read(entry, out), )*
                        _ => {
                            // A typo of a key counts as that key, so that it is not reported as missing too.
                            let meant = $crate::raw::table::unknown(entry, &[$( stringify!($field) ),*], out);
                            $(
                                if meant == Some(stringify!($field)) && !table.$field.is_written() {
                                    table.$field.key = Some(entry.key_span);
                                }
                            )*
                        }
                    }
                }
                $( $(
                    $crate::raw::field::$required(
                        &table.$field,
                        stringify!($field),
                        $crate::raw::table::spoken(stringify!($name)),
                        node.span,
                        out,
                    );
                )? )*
                Some(table)
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<Self>()
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let keys = vec![
                    $( (
                        stringify!($field),
                        [$($doc),*].concat(),
                        <$type as $crate::raw::Read>::schema(generator),
                        false $( || stringify!($required) == "required" )?,
                    ), )*
                ];
                $crate::raw::table::schema(&[$($about),*].concat(), keys)
            }
        }
    };
}

pub(crate) use table;

/// The keys of a table, or a mistake.
pub(super) fn entries<'n>(node: &'n Node, out: &mut Sink<'_>) -> Option<&'n [Entry]> {
    match &node.kind {
        Kind::Table(entries) => Some(entries),
        _ => {
            let draft = out.error(node.span, format!("expected a table, found {}", node.describe()));
            if matches!(node.kind, Kind::Boolean(true)) {
                draft.help("write `{}` for a table with every default");
            }
            None
        }
    }
}

/// Reports a key that a table does not have; says which one was probably meant.
pub(super) fn unknown(entry: &Entry, keys: &[&'static str], out: &mut Sink<'_>) -> Option<&'static str> {
    if out.full() {
        out.error(entry.key_span, "unknown key");
        return None;
    }
    let nearest = nearest(&entry.key, keys.iter().copied());
    let draft = out.error(entry.key_span, format!("unknown key `{}`", clip(&entry.key)));
    match nearest {
        Some(nearest) => draft.help(format!("did you mean `{nearest}`?")),
        None => draft.expected(one_of(keys.iter().copied())),
    };
    nearest
}

/// How a table is called in a sentence.
pub(super) fn spoken(name: &str) -> &'static str {
    match name {
        "Certificate" => "a certificate",
        "AuthorityTable" => "an authority",
        "Binding" => "external account binding",
        "Rfc2136" => "`rfc2136`",
        "TsigKey" => "a key for updates",
        "Zone" => "a zone",
        "Listener" => "a listener",
        "Backend" => "a backend",
        "Plugin" => "a plugin",
        "PluginUse" => "a plugin of a route",
        "WeightedUrl" => "an endpoint",
        "Share" => "a share of the traffic",
        "Rewriting" => "`rewrite`",
        "ReplacePrefix" => "`replace_prefix`",
        "Fixed" => "`respond`",
        _ => "this table",
    }
}

pub(super) fn schema(about: &str, keys: Vec<(&str, String, Schema, bool)>) -> Schema {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (key, doc, mut schema, must) in keys {
        schema.insert("description".to_owned(), json!(doc.trim()));
        properties.insert(key.to_owned(), schema.to_value());
        if must {
            required.push(Value::from(key));
        }
    }
    let mut schema = json_schema!({
        "description": about.trim(),
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    schema
}

/// Text from the file inside a message: enough to know it by.
pub(crate) fn clip(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
