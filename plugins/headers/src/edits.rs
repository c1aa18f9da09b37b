//! Changes prepared for every head.

use portcullis_sdk::{Edits, Field, FieldEdit, check_name};

use crate::config::Table;

/// What is done to a head: removals first, then what is set, appended, and set where there is none.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Those that no head changes, in order.
    fixed: Vec<FieldEdit>,
    /// Beginnings of names to remove.
    prefixes: Vec<String>,
    /// Set where there is none of that name.
    defaults: Vec<Field>,
}

impl Changes {
    /// Checks a table. `side` is its key, for errors.
    pub(crate) fn new(side: &str, table: Table) -> Result<Self, String> {
        let mut changes = Self::default();
        for name in table.remove {
            let (prefix, all) = name.strip_suffix('*').map_or((name.as_str(), false), |prefix| (prefix, true));
            check_name(prefix).map_err(|why| format!("{side}.remove: {why}"))?;
            if all {
                changes.prefixes.push(prefix.to_ascii_lowercase());
            } else {
                changes.fixed.push(FieldEdit::Remove(prefix.to_owned()));
            }
        }
        for (name, value) in table.set {
            changes.fixed.push(FieldEdit::Set(field(side, "set", name, value)?));
        }
        for (name, values) in table.append {
            for value in values.0 {
                changes.fixed.push(FieldEdit::Append(field(side, "append", name.clone(), value)?));
            }
        }
        for (name, value) in table.default {
            changes.defaults.push(field(side, "default", name, value)?);
        }
        Ok(changes)
    }

    /// Puts removals and fields before all others. Fields whose name is in `keep` are set only where there are none.
    pub(crate) fn begin_with(&mut self, fields: Vec<Field>, removed: Vec<String>, keep: &[String]) {
        let (defaults, set): (Vec<_>, Vec<_>) = fields.into_iter().partition(|field| keep.contains(&field.name));
        self.defaults.splice(0..0, defaults);
        let removed = removed.into_iter().filter(|name| !keep.contains(name)).map(FieldEdit::Remove);
        self.fixed.splice(0..0, removed.chain(set.into_iter().map(FieldEdit::Set)));
    }

    /// Whether no head would be changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.prefixes.is_empty() && self.defaults.is_empty()
    }

    /// The edits for a head with these fields.
    pub(crate) fn edits(&self, fields: &[Field]) -> Edits {
        let mut edits = Edits::new();
        edits.fields.reserve(self.fixed.len() + self.defaults.len());
        for field in fields {
            // What the proxy keeps right by itself (`te` for `t*`) cannot be removed.
            if self.prefixes.iter().any(|prefix| field.name.starts_with(prefix.as_str()))
                && check_name(&field.name).is_ok()
            {
                edits.fields.push(FieldEdit::Remove(field.name.clone()));
            }
        }
        edits.fields.extend_from_slice(&self.fixed);
        for default in &self.defaults {
            if !fields.iter().any(|field| field.name.eq_ignore_ascii_case(&default.name)) {
                edits.fields.push(FieldEdit::Set(default.clone()));
            }
        }
        edits
    }
}

fn field(side: &str, key: &str, name: String, value: String) -> Result<Field, String> {
    let field = Field::new(name, value);
    field.check().map_err(|why| format!("{side}.{key}: {why}"))?;
    Ok(field)
}
