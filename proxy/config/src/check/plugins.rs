//! `[plugin.NAME]`: limits that fit together, backends that are granted; and the chains of routes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    time::Duration,
};

use super::backends::{self, Backends};
use crate::{
    diagnostic::Sink,
    names::PluginName,
    plugin::{Grants, Isolation, Limits, Module, OnFailure, Plugin, Use},
    raw::{self, At},
    source::Span,
    units::Size,
    waf,
};

/// The plugins there are.
pub(super) struct Plugins {
    all: BTreeMap<PluginName, Plugin>,
    keys: BTreeMap<PluginName, Span>,
    used: BTreeSet<PluginName>,
    /// Whether some could not be read, so that one that is missed may be among them.
    unsure: bool,
}

impl Plugins {
    pub(super) fn check(file: &raw::File, backends: &mut Backends, out: &mut Sink<'_>) -> Self {
        let entries = file.plugin.get().map(|map| map.entries.as_slice()).unwrap_or_default();
        let mut plugins = Self {
            all: BTreeMap::new(),
            keys: BTreeMap::new(),
            used: BTreeSet::new(),
            unsure: file.plugin.is_broken() || file.plugin.get().is_some_and(|map| map.incomplete),
        };
        for entry in entries {
            let name = entry.key.value.clone();
            if let Some(plugin) = entry.value.as_ref().and_then(|raw| plugin(&name, entry.span, raw, backends, out)) {
                plugins.all.insert(name.clone(), plugin);
            }
            plugins.keys.insert(name, entry.key.span);
        }
        plugins
    }

    /// The chain of a route.
    pub(super) fn chain(&mut self, raw: &raw::Route, out: &mut Sink<'_>) -> Vec<Use> {
        if let (Some(plugins), Some(passthrough)) = (raw.plugins.key, raw.passthrough.key) {
            out.error(plugins, "`plugins` has no effect: with `passthrough` the connection's bytes stay encrypted")
                .other(passthrough, "`passthrough` is here")
                .help("plugins need a listener that ends TLS, and `backend`");
        }
        let mut first: HashMap<&PluginName, Span> = HashMap::new();
        let mut chain = Vec::new();
        for link in raw.plugins.get().map(|links| links.0.as_slice()).unwrap_or_default() {
            let Some(name) = &link.value.name else { continue };
            self.used(name, out);
            if let Some(other) = first.insert(&name.value, name.span) {
                out.error(name.span, format!("plugin `{}` is here twice", name.value))
                    .other(other, "the first one is here")
                    .help(format!("a second table, such as `[plugin.{}-2]`, may have the same `module`", name.value));
            }
            chain.push(Use { name: name.value.clone(), config: link.value.config.clone() });
        }
        chain
    }

    /// Whether the WAF is, or may be, in the chain of a route.
    pub(super) fn judge(&self, raw: &raw::Route) -> bool {
        let links = raw.plugins.get().map(|links| links.0.as_slice()).unwrap_or_default();
        links.iter().filter_map(|link| link.value.name.as_ref()).any(|name| match self.all.get(&name.value) {
            Some(plugin) => plugin.is_waf(),
            // One that could not be read, or that there is not: that is reported.
            None => true,
        })
    }

    /// The name of a WAF, where there is one.
    pub(super) fn waf(&self) -> Option<&PluginName> {
        self.all.values().find(|plugin| plugin.is_waf()).map(|plugin| &plugin.name)
    }

    fn used(&mut self, name: &At<PluginName>, out: &mut Sink<'_>) {
        self.used.insert(name.value.clone());
        if !self.unsure && !self.keys.contains_key(&name.value) {
            let known = self.keys.keys().map(PluginName::as_str);
            super::unknown_name(name.span, "plugin", name.value.as_str(), known, out);
        }
    }

    /// Plugins in no chain.
    pub(super) fn unused(&self) -> impl Iterator<Item = (&PluginName, Span)> {
        self.keys.iter().filter(|(name, _)| !self.used.contains(*name)).map(|(name, key)| (name, *key))
    }

    pub(super) fn finish(self) -> BTreeMap<PluginName, Plugin> {
        self.all
    }
}

/// A plugin; `None` when its module could not be read.
fn plugin(
    name: &PluginName,
    table: Span,
    raw: &raw::Plugin,
    backends: &mut Backends,
    out: &mut Sink<'_>,
) -> Option<Plugin> {
    let limits = limits(&raw.limits.get().cloned().unwrap_or_default(), out);
    let module = raw.module.value.as_ref();
    // What comes with the executable is as trusted as the rest of it.
    let builtin = module.and_then(|module| match &module.value {
        raw::Module::Builtin(name) => Some(name.as_str()),
        _ => None,
    });
    let grants = grants(&raw.grants.get().cloned().unwrap_or_default(), builtin.is_some(), backends, out);
    let module = module?;
    let config = raw.config.get().cloned().unwrap_or_default().0;
    if builtin == Some("waf")
        && let (Some(key), true) = (raw.config.key, config.contains_key(waf::ROUTES))
    {
        out.error(key, "`routes` of the WAF is made from the routes' own tables")
            .help("write `[route.waf]` below the route");
    }
    Some(Plugin {
        name: name.clone(),
        at: out.sources.locate(table),
        module: match &module.value {
            raw::Module::File(path) => Module::File(beside(module.span, path, out)),
            raw::Module::Builtin(name) => Module::Builtin(name.clone()),
            raw::Module::Oci(reference) => Module::Oci(reference.clone()),
        },
        sha256: raw.sha256.get().map(|digest| digest.0),
        isolation: raw.isolation.or(Isolation::Worker),
        on_failure: raw.on_failure.or(OnFailure::Refuse),
        limits,
        grants,
        config,
    })
}

fn beside(at: Span, path: &std::path::Path, out: &Sink<'_>) -> PathBuf {
    out.sources.beside(at.file, path)
}

fn limits(raw: &raw::PluginLimits, out: &mut Sink<'_>) -> Limits {
    const WAIT: Duration = Duration::from_secs(5);
    let time = raw.time.get().map_or(Duration::from_millis(50), |time| time.0);
    let wait = raw.wait.get().map_or(WAIT.max(time), |wait| wait.0);
    if wait < time
        && let Some(key) = raw.wait.key
    {
        out.error(key, format!("`wait` ({wait:?}) is shorter than `time` ({time:?}), which is a part of it"));
    }
    let memory = raw.memory.get().map_or(64 << 20, |memory| memory.0.0);
    Limits {
        memory: Size(memory.next_multiple_of(raw::PAGE)),
        time,
        wait,
        instances: raw.instances.get().map_or(1000, |instances| instances.to()),
        key_value: raw.key_value.get().map_or(Size(1 << 20), |bytes| bytes.0),
    }
}

fn grants(raw: &raw::Grants, is_own: bool, backends: &mut Backends, out: &mut Sink<'_>) -> Grants {
    let http = raw.http.get().map(|names| {
        let mut first = HashMap::new();
        let mut granted = Vec::new();
        for name in &names.0 {
            backends.used(name, backends::Use::Plugin, out);
            match first.insert(&name.value, name.span) {
                Some(other) => {
                    out.error(name.span, format!("backend `{}` is here twice", name.value))
                        .other(other, "the first one is here");
                }
                None => granted.push(name.value.clone()),
            }
        }
        granted
    });
    Grants {
        log: raw.log.or(is_own),
        metrics: raw.metrics.or(is_own),
        clock: raw.clock.or(is_own),
        random: raw.random.or(is_own),
        key_value: raw.key_value.or(is_own),
        http,
        files: raw.files.get().map(|paths| paths.0.iter().map(|path| beside(path.span, &path.value, out)).collect()),
        journal: raw.journal.value.as_ref().map(|path| beside(path.span, &path.value, out)),
    }
}
