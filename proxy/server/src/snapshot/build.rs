//! From a configuration to a snapshot: files are read, matchers compiled, names followed. Nothing changes for exchanges.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, atomic::AtomicUsize},
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use portcullis_config::{
    Config, Location,
    listener::Protocol,
    names::{BackendName, ListenerName},
    plugin::{Plugin, Use},
    route as config,
};
use tokio::runtime::Handle;

use super::{Action, Lasting, Listener, RouteState, Shares, Snapshot};
use crate::{
    acme::{Acme, Wanted},
    backend::Backend,
    dns::Names,
    http::edits::Edits,
    log::Journals,
    plugins,
    route::{Passthrough, Table},
    tls::{
        certificates::{self, Loaded},
        client::ClientTls,
        server::{Resumption, ServerTls},
        store::Store,
    },
};

/// What outlives every snapshot.
pub struct Ground {
    /// How many workers there are.
    pub workers: usize,
    /// Where names are followed.
    pub runtime: Handle,
    /// The certificates in force.
    pub store: Arc<Store>,
    /// Those that are ordered.
    pub acme: Arc<Acme>,
    /// TLS sessions.
    pub resumption: Resumption,
    /// What all plugins share.
    pub plugins: Arc<portcullis_plugin::Host>,
    /// The files that plugins write lines to.
    pub journals: Option<Arc<Journals>>,
    /// The file or folder that the configuration is read from: what `plugin pull` wrote down lies beside it.
    pub config: PathBuf,
}

/// Why a configuration cannot be put in force.
#[derive(Clone, Debug)]
pub struct BuildError {
    /// Where the cause is configured, if it has one place.
    pub at: Option<Location>,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// A snapshot that could be put in force, and what the log should say about it.
pub struct Built {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Sentences for the log.
    pub warnings: Vec<String>,
}

/// Builds the snapshot for `config`, taking over from `previous` what did not change. Reads files; opens no sockets.
///
/// # Errors
/// Everything that is wrong, not only the first thing.
pub fn build(config: Config, previous: Option<&Snapshot>, ground: &Ground) -> Result<Built, Vec<BuildError>> {
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    let nothing = Loaded::default();
    let before = previous.map_or(&nothing, |previous| &previous.certificates);
    let certificates = match certificates::load_all(&config.certificates, before) {
        Ok(loaded) => loaded,
        Err(failed) => {
            errors.extend(failed.into_iter().map(|error| BuildError { at: Some(error.at), message: error.message }));
            Loaded::default()
        }
    };
    for certificate in &certificates.certificates {
        let name = &certificate.name;
        warnings
            .extend(certificate.warnings(SystemTime::now()).into_iter().map(|w| format!("certificate {name}: {w}")));
    }
    let wanted = match Wanted::of(&config, &certificates, &mut warnings) {
        Ok(wanted) => wanted,
        Err(failed) => {
            errors.extend(failed);
            None
        }
    };
    let runtime = ground.runtime.clone();
    let names = match previous {
        Some(previous) if previous.config.dns == config.dns => Ok(previous.names.clone()),
        Some(previous) => Names::replacing(&previous.names, &config.dns, runtime),
        None => Names::new(&config.dns, runtime),
    };
    let names = match names {
        Ok(names) => names,
        Err(error) => {
            errors.push(BuildError { at: None, message: format!("[dns]: {error}") });
            return Err(errors);
        }
    };
    let mut backends = BTreeMap::new();
    for (name, wanted) in &config.backends {
        let old = previous.and_then(|previous| previous.backends.get(name));
        let tls = match ClientTls::new(&wanted.tls) {
            Ok(tls) => tls,
            Err(message) => {
                let message = format!("backend {name}: {message}");
                errors.push(BuildError { at: Some(wanted.at.clone()), message });
                continue;
            }
        };
        warnings.extend(tls.warnings().iter().cloned());
        let same = old.filter(|old| {
            old.config == *wanted
                && old.tls.authorities() == tls.authorities()
                && previous.is_some_and(|previous| Arc::ptr_eq(&previous.names, &names))
        });
        let backend = match same {
            Some(old) => old.clone(),
            None => {
                let old = old.map(Arc::as_ref);
                Backend::new(wanted.clone(), tls, &names, old, ground.workers, &ground.runtime)
            }
        };
        backends.insert(name.clone(), backend);
    }
    let before = previous.map_or(&[][..], |previous| &previous.plugins);
    let spent = |plugin: &Arc<portcullis_plugin::Plugin>| {
        let kept = previous.and_then(|previous| {
            let position = previous.plugins.iter().position(|old| Arc::ptr_eq(old, plugin))?;
            previous.spent.get(position).cloned()
        });
        kept.unwrap_or_else(|| Arc::new(plugins::Spent::new(ground.workers)))
    };
    let plugins = match plugins::build(&config, &ground.config, before, &ground.plugins, ground.workers) {
        Ok(built) => built,
        Err(failed) => {
            errors.extend(failed);
            plugins::Built::default()
        }
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    warnings.extend(plugins.warnings);
    warnings.dedup();
    let listener_names: Vec<ListenerName> = config.listeners.iter().map(|listener| listener.name.clone()).collect();
    let passthrough = Passthrough::new(&config.routes, &listener_names);
    let mut routes = Vec::with_capacity(config.routes.len());
    for (route, chain) in config.routes.iter().zip(plugins.chains) {
        let edits = match Edits::new(&route.edits) {
            Ok(edits) => (route.edits != config::Edits::default()).then_some(edits),
            Err(error) => {
                errors.push(BuildError { at: Some(route.at.clone()), message: error.to_string() });
                continue;
            }
        };
        let old = previous.and_then(|previous| previous.route(&route.name));
        let judges = |(used, position): (&Use, &usize)| {
            config.plugins.get(&used.name).is_some_and(Plugin::is_waf).then_some(*position)
        };
        routes.push(Arc::new(RouteState {
            judges: route.plugins.iter().zip(&chain).filter_map(judges).collect(),
            name: route.name.shared(),
            action: action(route, &backends),
            edits,
            chain,
            // A route that comes back by its name while its exchanges are drained is no longer gone.
            drain: old.filter(|old| old.drain.get().is_none()).map(|old| old.drain.clone()).unwrap_or_default(),
            config: route.clone(),
        }));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut by_address = hashbrown::HashMap::default();
    let mut listeners = Vec::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let name = listener.name.shared();
        for &address in &listener.addresses {
            by_address.insert(address, index);
        }
        let old = previous.and_then(|previous| previous.listeners.iter().find(|old| old.name == name));
        let read_alike = old.filter(|old| {
            old.config.protocol == listener.protocol && old.config.tls.is_some() == listener.tls.is_some()
        });
        listeners.push(Arc::new(Listener {
            tls: listener.tls.as_ref().map(|tls| ServerTls::new(tls, ground.store.clone(), &ground.resumption)),
            backend: match &listener.protocol {
                Protocol::Http => None,
                Protocol::Tcp { backend } => backends.get(backend).cloned(),
            },
            lasting: read_alike
                .map_or_else(|| Arc::new(Lasting { open: AtomicUsize::new(0) }), |old| old.lasting.clone()),
            config: listener.clone(),
            name,
        }));
    }
    let generation = previous.map_or(1, |previous| previous.generation + 1);
    let table = Table::new(&config.routes, &listener_names);
    let snapshot = Snapshot {
        generation,
        config: Arc::new(config),
        listeners,
        by_address,
        table,
        passthrough,
        by_route: routes.iter().enumerate().map(|(index, route)| (route.name.clone(), index)).collect(),
        routes,
        backends,
        names,
        certificates,
        acme: ground.acme.clone(),
        wanted,
        wants_ja4: plugins.plugins.iter().any(|plugin| plugin.wants_facts()),
        spent: plugins.plugins.iter().map(spent).collect(),
        plugins: plugins.plugins,
    };
    Ok(Built { snapshot, warnings })
}

fn action(route: &config::Route, backends: &BTreeMap<BackendName, Arc<Backend>>) -> Action {
    // The configuration was checked: every name it holds exists.
    let backend = |name: &BackendName| backends.get(name).cloned();
    match &route.action {
        config::Action::Forward(shares) => Action::Forward(Shares::new(
            shares.iter().filter_map(|share| Some((share.weight, backend(&share.backend)?))).collect(),
        )),
        config::Action::Redirect(redirect) => Action::Redirect(redirect.clone()),
        config::Action::Respond(respond) => Action::Respond {
            status: StatusCode::from_u16(respond.status).unwrap_or(StatusCode::OK),
            body: Bytes::from(respond.body.clone()),
            content_type: match &respond.content_type {
                Some(content_type) => HeaderValue::from_str(content_type).ok(),
                None => (!respond.body.is_empty()).then(|| HeaderValue::from_static("text/plain; charset=utf-8")),
            },
        },
        config::Action::Passthrough(name) => match backend(name) {
            Some(backend) => Action::Passthrough(backend),
            None => Action::Forward(Shares::new(Vec::new())),
        },
    }
}

/// Names of certificates with what tells one content from another.
pub(super) fn fingerprints(loaded: &Loaded) -> BTreeMap<String, String> {
    let certificates = loaded.certificates.iter();
    certificates.map(|certificate| (certificate.name.to_string(), format!("{:?}", certificate.fingerprint))).collect()
}
