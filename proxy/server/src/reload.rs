//! From a changed file to a new snapshot in force, or to an error and nothing changed.
//!
//! Order matters: load, build, bind what is new, and only then swap; after the swap, close what is gone. At every moment before
//! the swap a mistake leaves the old configuration serving as if nothing had happened.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use portcullis_config::load;
use serde_json::{Value, json};

use crate::{
    control::Failure,
    lifeline::Stage,
    log::{Target, Writer},
    net::bind,
    process::{blocking, lines},
    running::Running,
    snapshot::{Built, Snapshot, build, diff},
    watch,
};

/// Reloads, one at a time.
pub struct Reloader {
    running: Arc<Running>,
    turn: tokio::sync::Mutex<()>,
    last: Mutex<Last>,
}

/// How the last reload went.
#[derive(Clone, Debug, Default)]
pub struct Last {
    /// When it was.
    pub at: Option<SystemTime>,
    /// Why it changed nothing, if it failed.
    pub error: Option<String>,
    /// How many failed since the start.
    pub failures: u64,
}

impl Reloader {
    /// For this process.
    pub fn new(running: Arc<Running>) -> Self {
        Self { running, turn: tokio::sync::Mutex::new(()), last: Mutex::default() }
    }

    /// How the last one went.
    pub fn last(&self) -> Last {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the configuration again and puts it in force. `cause` is for the log.
    ///
    /// Dropping the future may leave sockets bound that the next reload finds and closes; the configuration in force is whole
    /// either way.
    ///
    /// # Errors
    /// When it has mistakes, cannot be built, or needs a port that is in use: then nothing has changed.
    pub async fn reload(&self, cause: &str) -> Result<Value, Failure> {
        let _turn = self.turn.lock().await;
        let begun = Instant::now();
        let result = self.try_reload(cause, begun).await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.at = Some(SystemTime::now());
        match &result {
            Ok(_) => last.error = None,
            Err(failure) => {
                tracing::error!(
                    "the configuration was not taken ({cause}); generation {} serves on\n{}",
                    self.running.snapshot().generation,
                    failure.message.trim_end()
                );
                last.error = Some(failure.message.clone());
                last.failures += 1;
            }
        }
        result
    }

    async fn try_reload(&self, cause: &str, begun: Instant) -> Result<Value, Failure> {
        let running = &self.running;
        let old = running.snapshot();
        let path = running.options.config.clone();
        let loaded = blocking("reload", move || load::load(&path)).await.ok_or_else(|| lost("loading"))?;
        let load::Loaded { config, files, warnings } =
            loaded.map_err(|report| Failure { message: report.to_string(), detail: report.to_json() })?;
        *running.wanted.lock().unwrap_or_else(PoisonError::into_inner) = watch::named(&config);
        *running.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
        let builder = (running.clone(), old.clone());
        let built = blocking("build", move || build(config, Some(&builder.1), &builder.0.ground)).await;
        let Built { snapshot, warnings: more } =
            built.ok_or_else(|| lost("building"))?.map_err(|errors| Failure::from(lines(&errors).join("\n")))?;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        for warning in &more {
            tracing::warn!("{warning}");
        }
        let changes = diff(&old, &snapshot);
        if changes.is_empty() && Arc::ptr_eq(&old.names, &snapshot.names) {
            tracing::info!("reloaded ({cause}): nothing changed, generation {} stays", old.generation);
            return Ok(json!({ "generation": old.generation, "changed": {} }));
        }
        let snapshot = Arc::new(snapshot);
        let writer = (old.config.log.file != snapshot.config.log.file)
            .then(|| Writer::start(Target::from(&snapshot.config.log)))
            .transpose()
            .map_err(|error| Failure::from(error.to_string()))?;
        let addresses = |snapshot: &Snapshot| -> Vec<_> {
            snapshot.config.listeners.iter().flat_map(|listener| listener.addresses.iter().copied()).collect()
        };
        let (held, wanted) = (addresses(&old), addresses(&snapshot));
        let mut bound = Vec::new();
        for &address in wanted.iter().filter(|address| !held.contains(address)) {
            let sockets = bind::bind(address, running.workers(), &held).map_err(|error| error.to_string())?;
            bound.push((address, sockets));
        }
        let staged = running.ground.acme.stage(&snapshot).await?;
        snapshot.settled(NAMES).await;
        // From here on nothing can fail.
        running.ground.store.replace(snapshot.certificates.clone());
        running.ground.acme.put(staged, old.wanted.as_deref());
        running.swap(snapshot.clone());
        for (address, sockets) in bound {
            running.listen(address, sockets).await;
        }
        running.ground.acme.begin();
        for &address in held.iter().filter(|address| !wanted.contains(address)) {
            running.unlisten(address).await;
        }
        match writer {
            Some(writer) => running.log(writer).await,
            None if old.config.log.access != snapshot.config.log.access => running.reformat_log().await,
            None => {}
        }
        if old.config.log.level != snapshot.config.log.level {
            (running.options.level)(snapshot.config.log.level);
        }
        if old.config.server.workers != snapshot.config.server.workers
            || old.config.server.control != snapshot.config.server.control
            || old.config.server.plugin_cache != snapshot.config.server.plugin_cache
        {
            tracing::warn!("[server] workers, control and plugin_cache take effect at the next start");
        }
        self.retire(&old, &snapshot).await;
        let took = begun.elapsed();
        tracing::info!("generation {} in force after {took:?} ({cause}): {changes}", snapshot.generation);
        Ok(json!({
            "generation": snapshot.generation,
            "changed": changes.to_json(),
            "took_us": took.as_micros() as u64,
        }))
    }

    /// Sees to what `old` had and `new` has not: exchanges and connections may finish within the drain time.
    async fn retire(&self, old: &Snapshot, new: &Snapshot) {
        let drain = new.config.server.drain;
        let now = Instant::now();
        for route in old.routes.iter().filter(|route| new.route(&route.config.name).is_none()) {
            route.retire(now, drain);
        }
        let kept: HashSet<u64> = new
            .backends
            .values()
            .flat_map(|backend| backend.members().list.iter().map(|member| member.endpoint.id).collect::<Vec<_>>())
            .collect();
        for backend in old.backends.values() {
            for member in &backend.members().list {
                if !kept.contains(&member.endpoint.id) {
                    member.endpoint.retire();
                }
            }
        }
        let gone: Vec<_> = old
            .listeners
            .iter()
            .filter(|old| !new.listeners.iter().any(|new| Arc::ptr_eq(&old.lasting, &new.lasting)))
            .map(|listener| listener.lasting.clone())
            .collect();
        for listener in &gone {
            self.running.tell(listener, Stage::Stop).await;
        }
        if !gone.is_empty() {
            let running = self.running.clone();
            // Ends by itself at the drain deadline; the process does not wait for it.
            tokio::spawn(async move {
                tokio::time::sleep(drain).await;
                for listener in &gone {
                    running.tell(listener, Stage::End).await;
                }
            });
        }
    }
}

fn lost(what: &str) -> Failure {
    Failure::from(format!("{what} the configuration ended in a panic; this is a bug in portcullis, please report it"))
}

/// How long names that are new are waited for before a snapshot is in force. Those that have no answer by then get one later.
pub const NAMES: Duration = Duration::from_secs(2);

/// How long after a change the files are read: an editor may still be writing, and one save is several events.
pub const SETTLE: Duration = Duration::from_millis(100);
