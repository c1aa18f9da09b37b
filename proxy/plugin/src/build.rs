//! From a module's bytes to a plugin that runs: componentised, checked against its grants, configured, kept as an image, compiled.

use std::sync::Arc;

use crate::{Declaration, Definition, Health, Host};

/// Why a plugin cannot be used: a few sentences that say what to write instead.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(pub String);

/// A plugin that can run, shared by all workers.
pub struct Plugin {
    definition: Definition,
    declaration: Declaration,
}

impl Plugin {
    /// Compiles, configures, and takes the image. Takes seconds for large modules that the cache does not know: not to be called on a
    /// worker. Needs no runtime.
    ///
    /// # Errors
    /// When the module is no plugin, asks for what is not granted, refuses its configuration, or the machine cannot give what its limits
    /// promise.
    pub fn build(host: &Arc<Host>, definition: Definition) -> Result<Arc<Self>, BuildError> {
        let _ = (host, definition);
        Err(BuildError("not there yet".into()))
    }

    /// As configured.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// What it wants to see.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// How it does.
    pub fn health(&self) -> Health {
        Health::default()
    }

    /// What the log should say about how it was built, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &[]
    }

    /// Whether it can ask for the facts of an exchange.
    pub(crate) fn wants_facts(&self) -> bool {
        true
    }
}
