//! From what a compiler made to a plugin's file.

use wasm_encoder::{CustomSection, Encode, Section};

use crate::{BuildError, Inspection, component, inspect, manifest};

/// A component of a core module, with `manifest` (TOML text) in it. What is a component already, or has a manifest, stays as it is.
///
/// # Errors
/// When it is no plugin, or the manifest is none.
pub fn pack(module: &[u8], manifest: &str) -> Result<(Vec<u8>, Inspection), BuildError> {
    manifest::parse(manifest.as_bytes())?;
    let mut packed = component::read(module)?.component;
    if inspect(&packed)?.manifest.is_none() {
        // Sections of this kind may stand anywhere, at the end too.
        let section = CustomSection { name: manifest::SECTION.into(), data: manifest.as_bytes().into() };
        packed.push(section.id());
        section.encode(&mut packed);
    }
    let inspection = inspect(&packed)?;
    Ok((packed, inspection))
}
