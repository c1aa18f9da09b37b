//! `portcullis schema`

use clap::Args;

use crate::output::{Outcome, print_json};

const EXAMPLES: &str = "\
Examples:
  portcullis schema > portcullis.schema.json

Editors with a TOML language server complete and check keys when the file's first line is
  #:schema ./portcullis.schema.json";

/// Print the JSON Schema of the configuration, for editors
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        print_json(&portcullis_config::schema::schema())?;
        Ok(Outcome::Well)
    }
}
