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

impl Inspection {
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
