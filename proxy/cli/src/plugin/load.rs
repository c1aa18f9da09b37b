//! A plugin's file, and trying it outside of a proxy.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use bytes::Bytes;
use portcullis_plugin::{
    Definition, Grants, Inspection, Isolation, Limits, OnFailure,
    module::{self, Source},
    store::Store,
};
use serde_json::{Map, Value};

/// The code in a file, or of a plugin that is part of the executable.
pub(crate) fn load(file: &Path) -> anyhow::Result<Bytes> {
    let builtin = file.to_str().and_then(|text| text.strip_prefix("builtin:"));
    let source = builtin.map_or(Source::File(file), Source::Builtin);
    // Neither kind is looked up in a store.
    let none = Path::new("");
    Ok(module::load(source, None, &Store::new(None, none, none))?)
}

/// The plugin with this table. It may call what it asks for: nothing answers, and it is not in the way of anything.
pub(crate) fn definition(
    inspection: &Inspection,
    module: &Bytes,
    config: &str,
    isolation: Isolation,
) -> anyhow::Result<Definition> {
    let config: Map<String, Value> =
        serde_json::from_str(config).context("--config is no JSON object, such as {\"key\": \"value\"}")?;
    let asks = |name: &str| inspection.imports.iter().any(|import| import == name);
    Ok(Definition {
        name: Arc::from("tried"),
        module: module.clone(),
        config: Value::Object(config).to_string(),
        limits: Limits { instances: 1, ..Limits::default() },
        grants: Grants {
            log: asks("log"),
            metrics: asks("metrics"),
            clock: asks("clock"),
            random: asks("random"),
            key_value: asks("key-value"),
            http: asks("http").then(Vec::new),
            // Those that its table names.
            files: asks("files").then(Vec::new),
            journal: None,
        },
        isolation,
        on_failure: OnFailure::Refuse,
        workers: 1,
    })
}
