//! The JSON Schema tells the same story as the reader and the page for operators.

use portcullis_config::schema::schema;
use serde_json::Value;

use super::{check, root};

#[test]
fn every_key_is_described_and_no_other_is_allowed() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for table in tables(&schema) {
        assert_eq!(table["additionalProperties"], false, "{table}");
        for (key, value) in table["properties"].as_object().unwrap() {
            assert!(value["description"].as_str().is_some_and(|text| text.ends_with('.')), "{key}: {value}");
        }
    }
}

#[test]
fn the_page_for_operators_has_every_key() {
    let page = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    for table in tables(&schema()) {
        for key in table["properties"].as_object().unwrap().keys() {
            assert!(page.contains(&format!("`{key}`")), "docs/configuration.md does not have `{key}`");
        }
    }
}

#[test]
fn every_top_level_key_of_the_schema_is_read() {
    for key in schema()["properties"].as_object().unwrap().keys() {
        let report = check(&format!("{key} = 1\n")).unwrap_err().to_string();
        assert!(!report.contains("unknown key"), "{report}");
    }
}

/// Every table that the schema describes.
fn tables(schema: &Value) -> Vec<Value> {
    let definitions = schema["$defs"].as_object().unwrap().values().cloned();
    definitions.chain([schema.clone()]).filter(|table| table["properties"].is_object()).collect()
}
