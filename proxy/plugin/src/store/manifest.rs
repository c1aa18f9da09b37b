//! Finds the code in the manifest of an OCI artifact.

use serde::Deserialize;

use crate::module::LARGEST_MODULE;

/// Bytes of a manifest, as the distribution specification advises registries.
pub const LARGEST_MANIFEST: u64 = 4 << 20;

/// Media types of code: the CNCF's guidance for Wasm artifacts, and what was there before it.
pub const MODULE_TYPES: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];

/// Where the code is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    /// What it is.
    pub media_type: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
    #[serde(default)]
    manifests: Vec<serde::de::IgnoredAny>,
}

/// The layer with the code in a manifest.
///
/// # Errors
/// One sentence, when it is not the manifest of one module.
pub fn module_of(manifest: &[u8]) -> Result<Layer, String> {
    let manifest: Manifest =
        serde_json::from_slice(manifest).map_err(|error| format!("the manifest cannot be read: {error}"))?;
    if !manifest.manifests.is_empty() {
        return Err("this is an index of several manifests: write the digest of one of them behind `@`".to_owned());
    }
    let mut modules = manifest.layers.iter().filter(|layer| MODULE_TYPES.contains(&layer.media_type.as_str()));
    match (modules.next(), modules.next()) {
        (Some(module), None) if module.size > LARGEST_MODULE => {
            Err(format!("the module has {} bytes, and {LARGEST_MODULE} are the most", module.size))
        }
        (Some(module), None) => Ok(module.clone()),
        (Some(_), Some(_)) => Err("the manifest has several modules, and a plugin is one".to_owned()),
        (None, _) => {
            let types: Vec<_> = manifest.layers.iter().map(|layer| format!("{:?}", layer.media_type)).collect();
            Err(format!(
                "there is no module in it: a layer has the type {}, and these have {}",
                MODULE_TYPES.join(" or "),
                if types.is_empty() { "none".to_owned() } else { types.join(", ") }
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(kind: &str, size: u64) -> String {
        format!(r#"{{"mediaType":"{kind}","digest":"sha256:00","size":{size},"annotations":{{}}}}"#)
    }

    fn module(layers: &[String]) -> Result<Layer, String> {
        module_of(format!(r#"{{"schemaVersion":2,"layers":[{}]}}"#, layers.join(",")).as_bytes())
    }

    #[test]
    fn one_layer_is_the_module() {
        let other = layer("text/plain", 1);
        for kind in MODULE_TYPES {
            assert_eq!(module(&[other.clone(), layer(kind, 7)]).unwrap().size, 7);
        }
        assert!(module(&[]).unwrap_err().contains("have none"));
        assert!(module(&[other]).unwrap_err().contains("\"text/plain\""));
        assert!(
            module(&[layer(MODULE_TYPES[0], 1), layer(MODULE_TYPES[1], 1)]).unwrap_err().contains("several modules")
        );
        assert!(module(&[layer(MODULE_TYPES[0], u64::MAX)]).unwrap_err().contains("the most"));
        assert!(module_of(br#"{"manifests":[{}]}"#).unwrap_err().contains("index"));
        assert!(module_of(b"<html>").unwrap_err().contains("cannot be read"));
    }
}
