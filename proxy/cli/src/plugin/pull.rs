//! `portcullis plugin pull`

mod registry;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use portcullis_config::plugin::{Module, Reference, lock_path};
use portcullis_plugin::{
    module::LARGEST_MODULE,
    store::{LARGEST_MANIFEST, Lock, Locked, Store, module_of, name},
};
use serde_json::{Value, json};

use self::registry::Registry;
use crate::{
    config_file, outline,
    output::{Outcome, Paint, print, print_json},
};

const EXAMPLES: &str = "\
Examples:
  portcullis plugin pull
  portcullis plugin pull --config /etc/portcullis/portcullis.toml
  portcullis plugin pull --locked --config portcullis.toml
  portcullis plugin pull --update

portcullis.lock, beside the configuration, keeps the digest that each tag had. Credentials are those of `docker login`.

Exit status: 0 when every module is in the store; 1 when one could not be fetched, or when --locked forbids what there is to do.";

/// Fetch the modules that a configuration has from registries into the local store
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Pull {
    /// The configuration; by default ./portcullis.toml, then /etc/portcullis/portcullis.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Fail rather than change portcullis.lock
    #[arg(long)]
    locked: bool,

    /// Ask anew what tags mean; without it those in portcullis.lock mean what they meant
    #[arg(long, conflicts_with = "locked")]
    update: bool,

    /// Speak HTTP without TLS to every registry; to those on this machine that is done anyway
    #[arg(long)]
    insecure: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Pull {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let path = config_file::choose(self.config.clone())?;
        let config = config_file::load(&path)?.config;
        let references: BTreeMap<String, &Reference> = config
            .plugins
            .values()
            .filter_map(|plugin| match &plugin.module {
                Module::Oci(reference) => Some((reference.to_string(), reference)),
                Module::File(_) | Module::Builtin(_) => None,
            })
            .collect();
        let store = Store::new(config.server.plugin_store.as_deref(), &path, &lock_path(&path));
        let old = store.lock()?;
        let mut new = Lock::default();
        let mut modules = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let registry = Registry::new(references.values().copied(), self.insecure)?;
        for (text, reference) in &references {
            let wanted = self.wanted(text, reference, &old)?;
            let fetched = runtime
                .block_on(fetch(&registry, &store, reference, wanted.as_deref()))
                .with_context(|| format!("oci://{text}"))?;
            modules.push(fetched.described(text));
            new.modules.insert(text.clone(), fetched.locked);
        }
        let changed = new != old;
        if changed && self.locked {
            bail!("{}: {}; --locked keeps it as it is", store.lock_path().display(), difference(&old, &new));
        }
        if changed {
            store.write_lock(&new)?;
        }
        let value = json!({ "lock": store.lock_path(), "changed": changed, "modules": modules });
        match self.json {
            true => print_json(&value)?,
            false => print(&outline::render(&value, Paint::for_stdout()))?,
        }
        Ok(Outcome::Well)
    }

    /// The digest to fetch; `None`: whatever the tag means now.
    fn wanted(&self, text: &str, reference: &Reference, old: &Lock) -> anyhow::Result<Option<String>> {
        if let Some(digest) = &reference.digest {
            return Ok(Some(digest.clone()));
        }
        match old.modules.get(text) {
            Some(locked) if !self.update => Ok(Some(locked.manifest.clone())),
            None if self.locked => {
                bail!("oci://{text} is not in portcullis.lock, and --locked keeps it as it is")
            }
            _ => Ok(None),
        }
    }
}

/// What was fetched for a reference, or was there.
struct Fetched {
    locked: Locked,
    size: usize,
    from_registry: bool,
}

impl Fetched {
    fn described(&self, reference: &str) -> Value {
        json!({
            "reference": format!("oci://{reference}"),
            "manifest": self.locked.manifest,
            "module": self.locked.module,
            "size_bytes": self.size,
            "fetched": self.from_registry,
        })
    }
}

/// Sees to it that manifest and code are in the store. Cancel-safe: the store takes whole files only.
async fn fetch(
    registry: &Registry,
    store: &Store,
    reference: &Reference,
    wanted: Option<&str>,
) -> anyhow::Result<Fetched> {
    let (manifest, manifest_fetched) = match wanted.and_then(|digest| stored(store, digest, LARGEST_MANIFEST)) {
        Some(manifest) => (manifest, false),
        None => (registry.manifest(reference, wanted).await?, true),
    };
    let layer = module_of(&manifest).map_err(anyhow::Error::msg)?;
    let (module, module_fetched) = match stored(store, &layer.digest, LARGEST_MODULE) {
        Some(module) => (module, false),
        None => (registry.module(reference, &layer).await?, true),
    };
    // The code first: a manifest in the store says that all of it is there.
    if module_fetched {
        store.put(&module)?;
    }
    if manifest_fetched {
        store.put(&manifest)?;
    }
    Ok(Fetched {
        locked: Locked { manifest: name(&manifest), module: layer.digest },
        size: module.len(),
        from_registry: manifest_fetched || module_fetched,
    })
}

/// What the store has and is as it should be; what is not is fetched again and replaced.
fn stored(store: &Store, digest: &str, largest: u64) -> Option<Bytes> {
    store.get(digest, largest).ok().flatten()
}

/// The first difference between two lock files, in words.
fn difference(old: &Lock, new: &Lock) -> String {
    for (reference, locked) in &new.modules {
        match old.modules.get(reference) {
            None => return format!("oci://{reference} is not in it"),
            Some(other) if other != locked => {
                return format!(
                    "for oci://{reference} it has the module {} of {}, and there is {} of {}",
                    other.module, other.manifest, locked.module, locked.manifest
                );
            }
            Some(_) => {}
        }
    }
    match old.modules.keys().find(|reference| !new.modules.contains_key(*reference)) {
        Some(reference) => format!("it has oci://{reference}, which the configuration has not"),
        None => "there is no difference".to_owned(),
    }
}
