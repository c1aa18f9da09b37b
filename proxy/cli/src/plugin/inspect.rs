//! `portcullis plugin inspect`

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::Args;
use portcullis_plugin::{
    AtLimit, BodyMode, Declaration, Host, Inspection, Isolation, Plugin, Settings,
    module::{digest, hex},
};
use serde_json::{Value, json};

use super::{definition, load};
use crate::{
    outline,
    output::{Outcome, Paint, print, print_json},
};

const EXAMPLES: &str = "\
Examples:
  portcullis plugin inspect geo.wasm
  portcullis plugin inspect builtin:headers --config '{}'
  portcullis plugin inspect --json geo.wasm

Exit status: 0 when it is a plugin that this portcullis can run; 1 when it is not, or refuses the configuration.";

/// Show what a plugin's file is and asks for: contract, permissions with the line to grant them, size, memory
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Inspect {
    /// A WebAssembly file, or builtin:NAME
    file: PathBuf,

    /// Also configure it with this JSON object, and show the phases that it then declares
    #[arg(long, value_name = "JSON")]
    config: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let shown = self.file.display().to_string();
        let module = load(&self.file)?;
        let inspection = portcullis_plugin::inspect(&module).map_err(|error| anyhow!("{shown}: {error}"))?;
        let built = match &self.config {
            Some(config) => {
                let plugin = build(&inspection, &module, config).map_err(|error| anyhow!("{shown}: {error}"))?;
                Some(*plugin.declaration())
            }
            None => None,
        };
        let value = described(&shown, &inspection, &hex(&digest(&module)), built.as_ref());
        match self.json {
            true => print_json(&value)?,
            false => print(&outline::render(&value, Paint::for_stdout()))?,
        }
        Ok(Outcome::Well)
    }
}

/// The plugin, configured.
fn build(inspection: &Inspection, module: &Bytes, config: &str) -> anyhow::Result<Arc<Plugin>> {
    let definition = definition(inspection, module, config, Isolation::Exchange)?;
    let host = Host::new(Settings::default()).context("no plugin can be run here")?;
    Ok(Plugin::build(&host, definition)?)
}

fn described(file: &str, inspection: &Inspection, sha256: &str, built: Option<&Declaration>) -> Value {
    let manifest = inspection.manifest.as_ref();
    let text = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    json!({
        "file": file,
        "name": text(manifest.map(|manifest| &manifest.name)),
        "version": text(manifest.map(|manifest| &manifest.version)),
        "description": text(manifest.map(|manifest| &manifest.description)),
        "contract": inspection.contract,
        "kind": if inspection.is_component { "component" } else { "core module, made a component when it is loaded" },
        "size_bytes": inspection.size,
        "memory_bytes": inspection.memory,
        "sha256": sha256,
        "imports": inspection.imports,
        "other_imports": inspection.other_imports,
        "grants": if file.starts_with("builtin:") { inspection.grants_line_of_own() } else { inspection.grants_line() },
        "files_by_its_table": manifest.map(|manifest| &manifest.files).filter(|keys| !keys.is_empty()),
        "journal_by_its_table": text(manifest.map(|manifest| &manifest.journal)),
        "warms_up_with": manifest.map_or(0, |manifest| manifest.warm.len()),
        "phases": match built {
            Some(declaration) => phases(declaration),
            None => json!("declared when it is configured: add --config '{}' or its table as JSON"),
        },
    })
}

fn phases(declaration: &Declaration) -> Value {
    json!({
        "request_head": declaration.request_head,
        "request_body": body(declaration.request_body),
        "response_head": declaration.response_head,
        "response_body": body(declaration.response_body),
        "log": declaration.log,
    })
}

fn body(mode: BodyMode) -> String {
    match mode {
        BodyMode::None => "no".to_owned(),
        BodyMode::Stream => "piece by piece".to_owned(),
        BodyMode::Hold { limit, at_limit } => {
            let more = match at_limit {
                AtLimit::Refuse => "more is refused",
                AtLimit::Inspect => "more passes unseen",
            };
            format!("held up to {limit} bytes, {more}")
        }
    }
}
