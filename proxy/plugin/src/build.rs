//! From a module's bytes to a plugin that runs: made a component, checked against its grants, configured, kept as an image, compiled.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{
    Engine,
    component::{Component, Linker},
};
use wasmtime_wizer::{WasmtimeWizerComponent, Wizer};

use crate::{
    AtLimit, BodyMode, Declaration, Definition, Failure, Grants, Health, Host, Inspection,
    breaker::{Breaker, Trial},
    bulk,
    component::{self, Read},
    contract::{
        Plugin as Bindings, PluginPre, exports::portcullis::filter::filter as guest, portcullis::filter as host,
    },
    engine, failure,
    inspect::grants_line,
    instance::{Calls, Instance, Kind, State},
    metered::{self, Allowance},
    services::{
        Services,
        files::{Files, Granted, Seen, from_table, texts},
        journal::Journal,
    },
    warm,
};

/// What configuring and warming up may take. Rules by the thousand are compiled here.
const CONFIGURE: Allowance = Allowance { time: Duration::from_secs(30), wait: Duration::from_secs(60) };

/// Bytes that a guest may hand to the host in one call, beside bodies that it holds.
const HAND_OVER: usize = 4 << 20;

/// The largest body that can be held.
const HOLD_MAX: u64 = 1 << 30;

/// Why a plugin cannot be used: a few sentences that say what to write instead.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(pub String);

/// A plugin that can run, shared by all workers.
pub struct Plugin {
    definition: Definition,
    declaration: Declaration,
    inspection: Inspection,
    warnings: Vec<String>,
    is_imaged: bool,
    pub(crate) host: Arc<Host>,
    pub(crate) engine: Engine,
    pub(crate) pre: PluginPre<State>,
    pub(crate) kind: Kind,
    pub(crate) allowance: Allowance,
    pub(crate) breaker: Breaker,
    places: Arc<Semaphore>,
    /// Files that its configuration came from.
    seen: Arc<Seen>,
    /// One for each [`crate::Local`] there ever was, with those that are gone summed up in the first.
    exchanges: Mutex<Vec<Arc<AtomicU64>>>,
}

impl Plugin {
    /// Compiles, configures, and takes the image. Takes seconds for large modules that the cache does not know: not to be called on a
    /// worker. Needs no runtime.
    ///
    /// # Errors
    /// When the module is no plugin, asks for what is not granted, refuses its configuration, or the machine cannot give what its limits
    /// promise.
    pub fn build(host: &Arc<Host>, definition: Definition) -> Result<Arc<Self>, BuildError> {
        // Guests are configured by an executor of their own, which must not be started inside of another one's.
        let name = format!("plugin-{}", definition.name);
        thread::scope(|scope| {
            let building = thread::Builder::new().name(name).spawn_scoped(scope, || Self::build_here(host, definition));
            match building.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(built)) => built,
                Ok(Err(_)) => {
                    Err(BuildError("a panic while it was built; this is a bug in portcullis, please report it".into()))
                }
                Err(error) => Err(BuildError(format!("no thread to build it on: {error}"))),
            }
        })
    }

    fn build_here(host: &Arc<Host>, definition: Definition) -> Result<Arc<Self>, BuildError> {
        let mut seen = Seen::default();
        let built = Self::build_of(host, definition, &mut seen);
        if built.is_err() {
            host.remember_failed(seen.paths());
        }
        built
    }

    /// `seen` becomes what was asked for, however it ends.
    fn build_of(host: &Arc<Host>, definition: Definition, seen: &mut Seen) -> Result<Arc<Self>, BuildError> {
        let Read { component: bytes, inspection, needs } = component::read(&definition.module)?;
        granted(&inspection, &definition.grants)?;
        if inspection.memory > definition.limits.memory {
            return Err(BuildError(format!(
                "it begins with {} KiB of memory, and limits.memory allows {} KiB",
                inspection.memory >> 10,
                definition.limits.memory >> 10
            )));
        }
        let bytes = bulk::in_pieces(&bytes)?;
        let mut warnings = Vec::new();
        let services = host.services(&definition.name);
        services.key_value.set_quota(definition.limits.key_value);
        let Opened { granted, journal } = opened(host, &definition, &inspection)?;
        *seen = Seen::new(granted);
        let mut kind = kind(&definition, services, journal);
        let configuring = engine::for_configuring(host)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| BuildError(format!("no executor to configure it on: {error}")))?;
        let (image, declaration) =
            runtime.block_on(configure(host, &configuring, &bytes, &inspection, &definition, &kind, seen))?;
        kind.hand_over = HAND_OVER + 2 * held(&declaration);
        if held(&declaration) as u64 > definition.limits.memory {
            return Err(BuildError(format!(
                "it holds bodies of up to {} KiB, and limits.memory allows {} KiB for everything",
                held(&declaration) >> 10,
                definition.limits.memory >> 10
            )));
        }
        let is_imaged = image.is_ok();
        let bytes = match image {
            Ok(image) => image,
            Err(why) => {
                warnings.push(format!(
                    "plugin {}: no image can be taken of it ({why}), so that each instance is configured by itself; isolation = \"worker\" \
                     does that least often",
                    definition.name
                ));
                bytes
            }
        };
        let mut seen = std::mem::take(seen);
        if is_imaged {
            seen.forget_contents();
        }
        let engine = engine::for_running(host, &definition.limits, needs)?;
        let pre = link(&engine, &bytes, &inspection)?;
        let plugin = Self {
            declaration,
            warnings,
            is_imaged,
            host: host.clone(),
            engine,
            pre,
            kind,
            allowance: Allowance { time: definition.limits.time, wait: definition.limits.wait },
            breaker: Breaker::default(),
            places: Arc::new(Semaphore::new(definition.limits.instances as usize)),
            seen: Arc::new(seen),
            exchanges: Mutex::default(),
            inspection,
            definition,
        };
        runtime.block_on(plugin.try_one())?;
        plugin.kind.services.journaled.set(plugin.kind.journal.as_ref());
        Ok(Arc::new(plugin))
    }

    /// Makes an instance and drops it: what cannot work is found out now.
    async fn try_one(&self) -> Result<(), BuildError> {
        let (outbound, _) = tokio::sync::mpsc::channel(1);
        let store = self.kind.store(&self.engine, Some(outbound));
        let mut used = Duration::ZERO;
        let tried = metered::run(&self.host.ticker, CONFIGURE, &mut used, async {
            let mut instance = Instance::new(store, &self.pre).await?;
            self.prepare(&mut instance).await
        });
        tried.await.map_err(|error| BuildError(format!("no instance of it can be made: {}", said(&error))))
    }

    /// What a fresh instance needs before its first exchange: nothing, if it came from an image.
    pub(crate) async fn prepare(&self, instance: &mut Instance) -> wasmtime::Result<()> {
        if self.is_imaged {
            return Ok(());
        }
        let exports = instance.bindings.portcullis_filter_filter();
        instance.store.data_mut().files = Files::Again(self.seen.clone());
        let answer = exports.call_configure(&mut instance.store, &self.definition.config).await;
        instance.store.data_mut().files = Files::Unavailable;
        match answer? {
            Ok(_) => Ok(()),
            Err(refused) => {
                Err(wasmtime::Error::msg(format!("it refused the configuration that it had taken before: {refused}")))
            }
        }
    }

    /// As configured.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// What it wants to see.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// What its file says of it.
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// Whether instances start from an image of the configured guest.
    pub fn is_imaged(&self) -> bool {
        self.is_imaged
    }

    /// How it does.
    pub fn health(&self) -> Health {
        let instances = self.definition.limits.instances as usize - self.places.available_permits();
        let exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        Health {
            exchanges: exchanges.iter().map(|count| count.load(Relaxed)).sum(),
            instances: u32::try_from(instances).unwrap_or(u32::MAX),
            ..self.breaker.health()
        }
    }

    /// Whether the files that its configuration came from are as they were. Reads all of them.
    pub fn files_are_unchanged(&self) -> bool {
        self.seen.is_unchanged()
    }

    /// The files that it asked for, there or not, and the folders that it listed.
    pub fn files(&self) -> Vec<PathBuf> {
        self.seen.paths()
    }

    /// What the log should say about how it was built, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether it can ask for the facts of an exchange.
    pub fn wants_facts(&self) -> bool {
        self.inspection.imports.iter().any(|import| import == "connection")
    }

    pub(crate) fn try_place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    pub(crate) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().acquire_owned().await.ok()
    }

    /// A counter for one worker.
    pub(crate) fn count_exchanges(&self) -> Arc<AtomicU64> {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: u64 =
            exchanges.extract_if(.., |count| Arc::strong_count(count) == 1).map(|count| count.load(Relaxed)).sum();
        let count = Arc::new(AtomicU64::new(gone));
        exchanges.push(count.clone());
        count
    }

    /// A run of it failed: counted, and written into the log unless there is too much of that.
    pub(crate) fn failed(&self, failure: &Failure, trial: Trial) {
        let suspended = self.breaker.failed(failure, trial);
        let name = &*self.definition.name;
        let is_news = !matches!(failure.kind, crate::FailureKind::Suspended);
        if is_news && self.kind.services.lines.admit() {
            let Failure { kind, message, backtrace } = failure;
            tracing::warn!(
                plugin = name,
                kind = kind.name(),
                backtrace = &**backtrace,
                "plugin {name} failed: {message}"
            );
        }
        if let Some(lasts) = suspended {
            tracing::error!(plugin = name, "plugin {name} keeps failing and is not asked for {lasts:?}");
        }
    }
}

/// The most bytes of a body that it holds at once.
fn held(declaration: &Declaration) -> usize {
    let of = |mode| match mode {
        BodyMode::Hold { limit, .. } => limit,
        BodyMode::None | BodyMode::Stream => 0,
    };
    of(declaration.request_body).max(of(declaration.response_body))
}

/// What a plugin reaches of the file system.
struct Opened {
    granted: Granted,
    journal: Option<Arc<dyn Journal>>,
}

/// By its grants, and by what its own table says under the keys that its manifest declares.
fn opened(host: &Host, definition: &Definition, inspection: &Inspection) -> Result<Opened, BuildError> {
    let imports = |name: &str| inspection.imports.iter().any(|import| import == name);
    let table: serde_json::Value = serde_json::from_str(&definition.config)
        .map_err(|error| BuildError(format!("its configuration is no JSON: {error}")))?;
    let manifest = inspection.manifest.as_ref();
    let folder = &host.settings.folder;
    let named = manifest.map(|manifest| from_table(&table, &manifest.files)).unwrap_or_default();
    let granted = definition.grants.files.iter().flatten().chain(&named).map(PathBuf::as_path);
    let granted = if imports("files") { Granted::new(folder, granted) } else { Granted::default() };
    let named = manifest.map(|manifest| texts(&table, &manifest.journal)).unwrap_or_default();
    let named = named.first().map(Path::new);
    let path = named.or(definition.grants.journal.as_deref()).filter(|_| imports("journal"));
    let journal = match (path, &host.settings.journals) {
        (Some(path), Some(open)) => Some(open(&folder.join(path)).map_err(|error| BuildError(error.to_string()))?),
        _ => None,
    };
    Ok(Opened { granted, journal })
}

fn kind(definition: &Definition, services: Arc<Services>, journal: Option<Arc<dyn Journal>>) -> Kind {
    Kind {
        plugin: definition.name.clone(),
        services,
        http: definition.grants.http.clone().unwrap_or_default().into(),
        wait: definition.limits.wait,
        memory: usize::try_from(definition.limits.memory).unwrap_or(usize::MAX),
        hand_over: HAND_OVER,
        journal,
    }
}

/// Every import is granted, or there is no plugin.
fn granted(inspection: &Inspection, grants: &Grants) -> Result<(), BuildError> {
    let mut missing = Vec::new();
    for import in &inspection.imports {
        let is_granted = match import.as_str() {
            "connection" | "bodies" | "notes" => true,
            "files" => grants.files.is_some() || inspection.is_granted_by_its_table(import),
            "journal" => grants.journal.is_some() || inspection.is_granted_by_its_table(import),
            "log" => grants.log,
            "metrics" => grants.metrics,
            "clock" => grants.clock,
            "random" => grants.random,
            "key-value" => grants.key_value,
            "http" => grants.http.is_some(),
            other => {
                return Err(BuildError(format!(
                    "it imports portcullis:filter/{other}, which this proxy does not have"
                )));
            }
        };
        if !is_granted {
            missing.push(import.as_str());
        }
    }
    if let Some(other) = inspection.other_imports.iter().find(|import| !import.starts_with("wasi:")) {
        return Err(BuildError(format!("it imports {other}, which this proxy does not have")));
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(BuildError(format!(
        "it imports {} without a grant: if you trust it with that, write {}",
        missing.join(", "),
        grants_line(missing.iter().copied())
    )))
}

/// Compiles and links.
fn link(engine: &Engine, bytes: &[u8], inspection: &Inspection) -> Result<PluginPre<State>, BuildError> {
    let component = Component::new(engine, bytes)
        .map_err(|error| BuildError(format!("it cannot be compiled: {}", said(&error))))?;
    let linked = linker(engine, inspection).and_then(|linker| PluginPre::new(linker.instantiate_pre(&component)?));
    linked.map_err(|error| BuildError(format!("it does not fit the contract: {}", said(&error))))
}

/// What the guest imports, and no more.
fn linker(engine: &Engine, inspection: &Inspection) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let own: fn(&mut State) -> &mut State = |state| state;
    host::types::add_to_linker::<_, Calls>(&mut linker, own)?;
    for import in &inspection.imports {
        match import.as_str() {
            "connection" => host::connection::add_to_linker::<_, Calls>(&mut linker, own)?,
            "bodies" => host::bodies::add_to_linker::<_, Calls>(&mut linker, own)?,
            "notes" => host::notes::add_to_linker::<_, Calls>(&mut linker, own)?,
            "files" => host::files::add_to_linker::<_, Calls>(&mut linker, own)?,
            "journal" => host::journal::add_to_linker::<_, Calls>(&mut linker, own)?,
            "log" => host::log::add_to_linker::<_, Calls>(&mut linker, own)?,
            "metrics" => host::metrics::add_to_linker::<_, Calls>(&mut linker, own)?,
            "clock" => host::clock::add_to_linker::<_, Calls>(&mut linker, own)?,
            "random" => host::random::add_to_linker::<_, Calls>(&mut linker, own)?,
            "key-value" => host::key_value::add_to_linker::<_, Calls>(&mut linker, own)?,
            "http" => host::http::add_to_linker::<_, Calls>(&mut linker, own)?,
            // `granted` has refused it.
            _ => {}
        }
    }
    if inspection.needs_wasi() {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    }
    Ok(linker)
}

type Image = Result<Vec<u8>, String>;

/// Configures an instance and warms it up; gives its image, or why none can be taken, and what the plugin wants.
async fn configure(
    host: &Host,
    engine: &Engine,
    bytes: &[u8],
    inspection: &Inspection,
    definition: &Definition,
    kind: &Kind,
    seen: &mut Seen,
) -> Result<(Image, Declaration), BuildError> {
    let wizer = Wizer::new();
    let instrumented = if inspection.needs_wasi() {
        Err("it uses WASI".to_owned())
    } else {
        wizer.instrument_component(bytes).map_err(|error| format!("{error:#}"))
    };
    let to_run = instrumented.as_ref().map_or(bytes, |(_, instrumented)| instrumented);
    let pre = link(engine, to_run, inspection)?;
    let mut store = kind.store(engine, None);
    store.set_epoch_deadline(crate::ticker::FIRST_SLICE);
    store.data_mut().files = Files::Reading(Box::new(std::mem::take(seen)));
    let mut used = Duration::ZERO;
    let configured = metered::run(&host.ticker, CONFIGURE, &mut used, async {
        let instance = pre.instance_pre().instantiate_async(&mut store).await?;
        let bindings = Bindings::new(&mut store, &instance)?;
        let exports = bindings.portcullis_filter_filter();
        let answer = exports.call_configure(&mut store, &definition.config).await?;
        Ok((instance, bindings, answer))
    })
    .await;
    *seen = store.data_mut().files.end();
    let (instance, bindings, answer) = configured.map_err(|error| {
        let trace = failure::backtrace(&error);
        let refused = if store.data().memory.refused { " (it wanted more than limits.memory)" } else { "" };
        let inside =
            if trace.is_empty() { String::new() } else { format!("; inside of {}", trace.replace('\n', ", ")) };
        BuildError(format!("configuring it failed: {}{refused}{inside}", failure::reason(&error)))
    })?;
    let declared =
        answer.map_err(|refused| BuildError(format!("it refuses its configuration: {}", some_lines(&refused))))?;
    let declaration = declaration(&declared)?;
    let (context, _) = match instrumented {
        Ok(instrumented) => instrumented,
        Err(why) => return Ok((Err(why), declaration)),
    };
    if let Some(manifest) = &inspection.manifest {
        let warmed = metered::run(
            &host.ticker,
            CONFIGURE,
            &mut used,
            warm::up(&mut store, bindings.portcullis_filter_filter(), &declaration, &manifest.warm),
        );
        warmed.await.map_err(|error| {
            BuildError(format!("warming it up with the exchanges of its manifest failed: {}", failure::reason(&error)))
        })?;
    }
    // The image is read through calls that the guest has no part in.
    store.set_hostcall_fuel(usize::MAX);
    let mut instance = WasmtimeWizerComponent { store: &mut store, instance };
    let image = wizer.snapshot_component(&context, &mut instance).await.map_err(|error| format!("{error:#}"));
    Ok((image, declaration))
}

fn declaration(declared: &guest::Declaration) -> Result<Declaration, BuildError> {
    let mode = |mode: &guest::BodyMode| match mode {
        guest::BodyMode::None => Ok(BodyMode::None),
        guest::BodyMode::Stream => Ok(BodyMode::Stream),
        guest::BodyMode::Hold(hold) => {
            if !(1..=HOLD_MAX).contains(&hold.limit) {
                return Err(BuildError(format!(
                    "it wants to hold bodies of {} bytes; 1 to {HOLD_MAX} are possible",
                    hold.limit
                )));
            }
            let at_limit = match hold.at_limit {
                guest::AtLimit::Refuse => AtLimit::Refuse,
                guest::AtLimit::Inspect => AtLimit::Inspect,
            };
            Ok(BodyMode::Hold { limit: usize::try_from(hold.limit).unwrap_or(usize::MAX), at_limit })
        }
    };
    Ok(Declaration {
        request_head: declared.phases.contains(guest::Phases::REQUEST_HEAD),
        response_head: declared.phases.contains(guest::Phases::RESPONSE_HEAD),
        log: declared.phases.contains(guest::Phases::LOG),
        request_body: mode(&declared.request_body)?,
        response_body: mode(&declared.response_body)?,
    })
}

/// An error of wasmtime on one line.
fn said(error: &wasmtime::Error) -> String {
    one_line(&format!("{error:#}"))
}

/// A guest's report of mistakes: a line for each, not too many and not too long.
fn some_lines(text: &str) -> String {
    const LINES: usize = 20;
    let lines: Vec<_> = text.lines().map(one_line).filter(|line| !line.is_empty()).collect();
    let more = lines.len().saturating_sub(LINES);
    let mut report = lines[..lines.len() - more].join("\n  ");
    if more > 0 {
        report.push_str(&format!("\n  and {more} more"));
    }
    report
}

/// What a guest or a compiler says may have many lines, and no end.
fn one_line(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(1000)];
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_line_for_each_mistake_and_an_end() {
        assert_eq!(some_lines("one\n\n two  words \n"), "one\n  two words");
        let many = "x\n".repeat(1000);
        assert!(some_lines(&many).ends_with("\n  and 980 more"), "{}", some_lines(&many));
        assert_eq!(some_lines(&"y".repeat(5000)).len(), 1000);
    }
}
