//! From `[plugin.NAME]` and the chains of routes to plugins that can run.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Bytes;
use portcullis_config::{
    Config,
    names::PluginName,
    plugin::{self as config, Use},
    route::Route,
};
use portcullis_plugin::{
    Definition, Grants, Host, Isolation, Limits, OnFailure, Plugin,
    module::{self, Source},
    store::Store,
};

use crate::snapshot::BuildError;

/// The plugins of a snapshot.
#[derive(Default)]
pub struct Built {
    /// One for each table of a name that some route uses, in the order of first use.
    pub plugins: Vec<Arc<Plugin>>,
    /// Of each route, in the configuration's order.
    pub chains: Chains,
    /// Sentences for the log.
    pub warnings: Vec<String>,
}

/// Positions in [`Built::plugins`], for each route.
pub type Chains = Vec<Box<[usize]>>;

/// Builds what the routes of `config` use. Those of `previous` that would come out the same are taken over with all their state. Blocks,
/// for seconds where a large module was not compiled before.
///
/// # Errors
/// Everything that is wrong.
pub fn build(
    config: &Config,
    path: &Path,
    previous: &[Arc<Plugin>],
    host: &Arc<Host>,
    workers: usize,
) -> Result<Built, Vec<BuildError>> {
    let store = Store::new(config.server.plugin_store.as_deref(), path, &config::lock_path(path));
    host.forget_failed();
    let mut building = Building { config, previous, host, workers, store, modules: BTreeMap::new(), known: Vec::new() };
    let mut built = Built::default();
    let mut errors: Vec<BuildError> = Vec::new();
    for route in &config.routes {
        let mut chain = Vec::with_capacity(route.plugins.len());
        for used in &route.plugins {
            match building.position(&mut built, route, used) {
                Ok(position) => chain.push(position),
                Err(error) if errors.iter().any(|known| known.message == error.message) => {}
                Err(error) => errors.push(error),
            }
        }
        built.chains.push(chain.into());
    }
    if errors.is_empty() { Ok(built) } else { Err(errors) }
}

struct Building<'a> {
    config: &'a Config,
    previous: &'a [Arc<Plugin>],
    host: &'a Arc<Host>,
    workers: usize,
    store: Store,
    /// Read once, however many routes use them.
    modules: BTreeMap<&'a PluginName, Result<Bytes, String>>,
    /// What the plugins so far were made of: the same thing on many routes is one plugin. `None`: it could not be built.
    known: Vec<(&'a PluginName, String, Option<usize>)>,
}

impl<'a> Building<'a> {
    fn position(&mut self, built: &mut Built, route: &Route, used: &'a Use) -> Result<usize, BuildError> {
        let config = self.config;
        let Some(wanted) = config.plugins.get(&used.name) else {
            // The configuration was checked: every name it holds exists.
            let message = format!("route {} uses the plugin {}, which there is not", route.name, used.name);
            return Err(BuildError { at: Some(route.at.clone()), message });
        };
        let table = serde_json::Value::Object(config.plugin_table(wanted, used)).to_string();
        let failed = |why: &str| {
            let on =
                if used.config.is_some() { format!(" (as route {} configures it)", route.name) } else { String::new() };
            BuildError { at: Some(wanted.at.clone()), message: format!("plugin {}{on}: {why}", used.name) }
        };
        let same = self.known.iter().find(|(name, known, _)| **name == used.name && *known == table);
        if let Some((.., position)) = same {
            return position.ok_or_else(|| failed("it could not be built"));
        }
        let result = self.plugin(wanted, table.clone());
        let position = result.as_ref().ok().map(|_| built.plugins.len());
        self.known.push((&used.name, table, position));
        let plugin = result.map_err(|why| failed(&why))?;
        built.warnings.extend(plugin.warnings().iter().cloned());
        built.plugins.push(plugin);
        Ok(built.plugins.len() - 1)
    }

    fn plugin(&mut self, wanted: &'a config::Plugin, table: String) -> Result<Arc<Plugin>, String> {
        let store = &self.store;
        let module = self.modules.entry(&wanted.name).or_insert_with(|| load(wanted, store)).clone()?;
        let definition = Definition {
            name: wanted.name.shared(),
            module,
            config: table,
            limits: limits(&wanted.limits),
            grants: grants(&wanted.grants),
            isolation: match wanted.isolation {
                config::Isolation::Exchange => Isolation::Exchange,
                config::Isolation::Worker => Isolation::Worker,
            },
            on_failure: match wanted.on_failure {
                config::OnFailure::Refuse => OnFailure::Refuse,
                config::OnFailure::Continue => OnFailure::Continue,
            },
            workers: self.workers,
        };
        let same = self.previous.iter().find(|old| *old.definition() == definition);
        if let Some(same) = same.filter(|same| same.files_are_unchanged()) {
            return Ok(same.clone());
        }
        Plugin::build(self.host, definition).map_err(|error| error.0)
    }
}

fn load(wanted: &config::Plugin, store: &Store) -> Result<Bytes, String> {
    let reference;
    let source = match &wanted.module {
        config::Module::File(path) => Source::File(path),
        config::Module::Builtin(name) => Source::Builtin(name),
        config::Module::Oci(oci) => {
            reference = oci.to_string();
            Source::Oci { reference: &reference, digest: oci.digest.as_deref() }
        }
    };
    module::load(source, wanted.sha256.as_ref(), store).map_err(|error| error.0)
}

fn limits(wanted: &config::Limits) -> Limits {
    Limits {
        memory: wanted.memory.bytes(),
        time: wanted.time,
        wait: wanted.wait,
        instances: wanted.instances,
        key_value: wanted.key_value.bytes(),
    }
}

fn grants(wanted: &config::Grants) -> Grants {
    Grants {
        log: wanted.log,
        metrics: wanted.metrics,
        clock: wanted.clock,
        random: wanted.random,
        key_value: wanted.key_value,
        http: wanted.http.as_ref().map(|backends| backends.iter().map(|backend| backend.shared()).collect()),
        files: wanted.files.clone(),
        journal: wanted.journal.clone(),
    }
}
