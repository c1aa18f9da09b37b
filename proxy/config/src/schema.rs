//! The JSON Schema of the configuration, for editors: from the same declarations that read the file.

use schemars::{consts::meta_schemas, generate::SchemaSettings};
use serde_json::Value;

/// JSON Schema, draft 2020-12.
pub fn schema() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.meta_schema = Some(meta_schemas::DRAFT2020_12.into());
    let mut schema = settings.into_generator().into_root_schema_for::<crate::raw::File>();
    schema.insert("title".to_owned(), "portcullis".into());
    schema.to_value()
}
