//! What a plugin's file asks for, without running it.

use crate::{BuildError, Manifest, component};

/// What is in a plugin's file.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Whether it is a component already, or a core module that is made one when loading.
    pub is_component: bool,
    /// The version of the contract that it was built against, as `0.1.0`.
    pub contract: String,
    /// Interfaces of the contract that it imports, by their short names (`log`, `key-value`), in alphabetical order.
    pub imports: Vec<String>,
    /// Other imports (`wasi:cli/environment@0.2.3`), in alphabetical order.
    pub other_imports: Vec<String>,
    /// Bytes of the file.
    pub size: usize,
    /// Linear memory at the beginning, in bytes, over all memories.
    pub memory: u64,
    /// Its manifest, where it has one.
    pub manifest: Option<Manifest>,
}

/// Interfaces that take a grant, and how it is written.
const GRANTS: [(&str, &str); 8] = [
    ("log", "log = true"),
    ("metrics", "metrics = true"),
    ("clock", "clock = true"),
    ("random", "random = true"),
    ("key-value", "key_value = true"),
    ("http", "http = [\"name of a backend\"]"),
    ("files", "files = [\"/folder/\"]"),
    ("journal", "journal = \"/path\""),
];

/// The line that grants interfaces, as it is written in the configuration.
pub(crate) fn grants_line<'i>(interfaces: impl Iterator<Item = &'i str> + Clone) -> String {
    let asked = GRANTS.iter().filter(|(interface, _)| interfaces.clone().any(|one| one == *interface));
    format!("grants = {{ {} }}", asked.map(|(_, words)| *words).collect::<Vec<_>>().join(", "))
}

impl Inspection {
    /// The line to write in the plugin's table, so that it may call all that it imports; `None` when it imports nothing that takes a
    /// grant. What its own table grants, by the keys of its manifest, is not in it.
    pub fn grants_line(&self) -> Option<String> {
        let takes = |import: &&str| {
            GRANTS.iter().any(|(interface, _)| interface == import) && !self.is_granted_by_its_table(import)
        };
        let asked = self.imports.iter().map(String::as_str).filter(takes);
        asked.clone().next()?;
        Some(grants_line(asked))
    }

    /// The same for one that is part of the executable, which has some of them without a grant.
    pub fn grants_line_of_own(&self) -> Option<String> {
        let takes =
            |import: &&str| ["http", "files", "journal"].contains(import) && !self.is_granted_by_its_table(import);
        let asked = self.imports.iter().map(String::as_str).filter(takes);
        asked.clone().next()?;
        Some(grants_line(asked))
    }

    /// Whether its manifest declares keys of its table that stand for the grant of this import.
    pub(crate) fn is_granted_by_its_table(&self, import: &str) -> bool {
        let declares = |which: fn(&Manifest) -> bool| self.manifest.as_ref().is_some_and(which);
        match import {
            "files" => declares(|manifest| !manifest.files.is_empty()),
            "journal" => declares(|manifest| !manifest.journal.is_empty()),
            _ => false,
        }
    }

    /// Whether it needs WASI. Such a plugin holds handles that the host gave it, so that no image can be taken of it.
    pub fn needs_wasi(&self) -> bool {
        self.other_imports.iter().any(|import| import.starts_with("wasi:"))
    }
}

/// Reads a plugin's file.
///
/// # Errors
/// When it is no plugin, or one of another contract.
pub fn inspect(module: &[u8]) -> Result<Inspection, BuildError> {
    component::read(module).map(|read| read.inspection)
}
