//! The lock file: which manifest and which code each reference meant when it was fetched.

use std::{collections::BTreeMap, fmt, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{BuildError, module::read};

const VERSION: u32 = 1;

/// What is in a lock file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// By reference, as written behind `oci://`.
    #[serde(rename = "module", default)]
    pub modules: BTreeMap<String, Locked>,
}

/// What a reference meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The digest of the manifest.
    pub manifest: String,
    /// The digest of the code.
    pub module: String,
}

impl Default for Lock {
    fn default() -> Self {
        Self { version: VERSION, modules: BTreeMap::new() }
    }
}

impl Lock {
    pub(super) fn read(path: &Path) -> Result<Self, BuildError> {
        let bad = |problem: String| BuildError(format!("{} cannot be used: {problem}", path.display()));
        let text = match read(path, 4 << 20) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| bad("it is not UTF-8".to_owned()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(bad(error.to_string())),
        };
        let lock: Self = toml::from_str(&text).map_err(|error| bad(error.to_string().trim_end().to_owned()))?;
        match lock.version {
            VERSION => Ok(lock),
            other => Err(bad(format!("it has version {other}, and this portcullis knows {VERSION}"))),
        }
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("# Written by `portcullis plugin pull`. Keep it with the configuration.\n")?;
        f.write_str(&toml::to_string(self).map_err(|_| fmt::Error)?)
    }
}
