//! The process: starts the workers, watches the configuration, answers on the control socket, stops.
//!
//! Runs on the calling thread with an executor of its own: names are followed and files are watched here, never on a
//! worker. **How it stops**: the first SIGTERM or SIGINT cancels `Shared::stop` (nothing is accepted any more, connections end after
//! their exchange); `server.drain` later, or at the second signal, `Shared::end` ends what is left; the process leaves when
//! every worker has ended, and a few seconds after `end` in any case.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use portcullis_config::{Config, diagnostic::Report, load, log::Level};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc, oneshot},
};

use crate::{
    acme::Acme,
    control::{self, Socket},
    log::{Journals, Target, Writer},
    net::bind,
    reload::{NAMES, Reloader},
    running::Running,
    shared::Shared,
    snapshot::{BuildError, Ground, build},
    tls::{certificates::Loaded, server::Resumption, store::Store},
    watch, worker,
};

/// How long workers may take to leave after everything was ended.
const LEAVE: Duration = Duration::from_secs(3);

/// How often values of plugins that are past their time are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What [`run`] is given.
pub struct Options {
    /// A TOML file, or a folder of them.
    pub config: PathBuf,
    /// Version and commit, for `status`.
    pub version: &'static str,
    /// Called with `[log] level` at the start and whenever it changes.
    pub level: Box<dyn Fn(Level) + Send + Sync>,
}

/// Why the process could not start. Its `Display` is complete and may have several lines.
#[derive(Debug)]
pub enum StartError {
    /// The configuration has mistakes.
    Config(Box<Report>),
    /// It has none, but it cannot be built.
    Build(Vec<String>),
    /// Anything else: a port in use, a control socket in use, no threads.
    Other(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(report) => report.fmt(f),
            Self::Build(messages) => f.write_str(&messages.join("\n")),
            Self::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for StartError {}

/// Runs the proxy until it is told to stop. Blocks.
///
/// # Errors
/// When it cannot start: nothing is left behind then.
pub fn run(options: Options) -> Result<(), StartError> {
    let other = |error: std::io::Error| StartError::Other(error.to_string());
    // Before they are read: what changes from here on is found by `watch`.
    let mut marks = watch::marks(watch::own(&options.config));
    let loaded = load::load(&options.config).map_err(|report| StartError::Config(Box::new(report)))?;
    marks.extend(watch::marks(watch::named(&loaded.config)));
    raise_descriptors();
    // Files are read and written on threads of their own (see `blocking`), so one thread is enough for all that waits.
    let runtime = Builder::new_current_thread().enable_all().build().map_err(other)?;
    let result = start(&runtime, options, loaded, marks);
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

fn start(
    runtime: &Runtime,
    options: Options,
    loaded: load::Loaded,
    mut marks: BTreeSet<watch::Mark>,
) -> Result<(), StartError> {
    let load::Loaded { config, files, warnings } = loaded;
    (options.level)(config.log.level);
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let workers = config.server.workers.map_or_else(cores, usize::from);
    let journals = Some(Arc::new(Journals::default()));
    let ground = ground(workers, runtime.handle().clone(), &config, &options.config, journals)?;
    let built = build(config, None, &ground).map_err(|errors| StartError::Build(lines(&errors)))?;
    for warning in built.warnings {
        tracing::warn!("{warning}");
    }
    let snapshot = Arc::new(built.snapshot);
    // Which files plugins read is only known now.
    marks.extend(watch::marks(watch::asked_for(&snapshot)));
    if !snapshot.plugins.iter().all(|plugin| plugin.files_are_unchanged()) {
        marks.clear();
    }
    ground.store.replace(snapshot.certificates.clone());
    let failed = |error: &dyn fmt::Display| StartError::Other(error.to_string());
    let socket = Socket::bind(&control::path(&snapshot.config.server)).map_err(|error| failed(&error))?;
    let socket = Arc::new(socket);
    let writer = Writer::start(Target::from(&snapshot.config.log)).map_err(|error| failed(&error))?;
    // Every port is held before the first connection is accepted: one that is in use fails the start.
    let mut sockets = Vec::new();
    for &address in snapshot.config.listeners.iter().flat_map(|listener| &listener.addresses) {
        let held: Vec<_> = sockets.iter().map(|(address, _)| *address).collect();
        sockets.push((address, bind::bind(address, workers, &held).map_err(|error| failed(&error))?));
    }
    if let Some(warning) = bind::backlog_warning() {
        tracing::warn!("{warning}");
    }
    let staged = runtime.block_on(ground.acme.stage(&snapshot)).map_err(StartError::Other)?;
    let shared = Arc::new(Shared::new(snapshot.clone()));
    ground.acme.serves(&shared);
    let mut handles = Vec::new();
    for index in 0..workers {
        let log = writer.log(snapshot.config.log.access);
        handles.push(worker::Handle::start(index, shared.clone(), log).map_err(|error| failed(&error))?);
    }
    let running = Arc::new(Running::new(shared, handles, ground, writer, options, files));
    runtime.block_on(async {
        snapshot.settled(NAMES).await;
        running.ground.acme.put(staged, None);
        for (address, per_worker) in sockets {
            running.listen(address, per_worker).await;
            tracing::info!(%address, "listening");
        }
        running.ground.acme.begin();
        serve(&running, &socket, &snapshot.config, marks).await
    })
}

async fn serve(
    running: &Arc<Running>,
    socket: &Arc<Socket>,
    config: &Config,
    marks: BTreeSet<watch::Mark>,
) -> Result<(), StartError> {
    let failed = |error: std::io::Error| StartError::Other(format!("signals cannot be received: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let reloader = Arc::new(Reloader::new(running.clone()));
    let changed = Arc::new(Notify::new());
    let watching = tokio::spawn(watch::watch(running.clone(), changed.clone(), marks));
    let answering = tokio::spawn({
        let (socket, control) = (socket.clone(), running.control(reloader.clone()));
        async move { control::serve(&socket, control).await }
    });
    tracing::info!(
        pid = std::process::id(),
        workers = running.workers(),
        control = %socket.path().display(),
        "running generation 1: {} listeners, {} routes, {} backends",
        config.listeners.len(),
        config.routes.len(),
        config.backends.len()
    );
    // Reloads run beside this loop: a signal to stop must not wait for one. One that is asked for while another waits is the same one.
    let (ask, mut asked) = mpsc::channel(1);
    let reloading = tokio::spawn(async move {
        while let Some(cause) = asked.recv().await {
            // What went wrong is in the log, and in `status`.
            let _ = reloader.reload(cause).await;
        }
    });
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = sweep.tick() => running.ground.plugins.sweep(),
            _ = interrupt.recv() => break,
            _ = hangup.recv() => drop(ask.try_send("SIGHUP")),
            () = changed.notified() => drop(ask.try_send("a file changed")),
            () = running.workers_gone() => return Err(StartError::Other("a worker ended; see the log".into())),
        }
    }
    let drain = running.snapshot().config.server.drain;
    tracing::info!("draining: open exchanges may go on for {drain:?}; a second signal ends them");
    watching.abort();
    reloading.abort();
    let begun = Instant::now();
    running.stop();
    let mut ended = Box::pin(running.join());
    let left = tokio::select! {
        () = &mut ended => true,
        () = tokio::time::sleep(drain) => {
            tracing::warn!("the drain deadline came; what is open is cut off");
            false
        }
        _ = terminate.recv() => {
            tracing::warn!("a second signal; what is open is cut off");
            false
        }
        _ = interrupt.recv() => {
            tracing::warn!("a second signal; what is open is cut off");
            false
        }
    };
    running.end();
    if !left && tokio::time::timeout(LEAVE, ended).await.is_err() {
        tracing::error!("a worker did not end within {LEAVE:?}");
    }
    answering.abort();
    running.close_log();
    tracing::info!("stopped after {:?}", begun.elapsed());
    Ok(())
}

/// What outlives every snapshot. Without `journals`, nothing is written of what plugins write.
///
/// # Errors
/// When the system has no randomness to give, or the cache of compiled plugins cannot be used.
pub(crate) fn ground(
    workers: usize,
    runtime: Handle,
    config: &Config,
    path: &Path,
    journals: Option<Arc<Journals>>,
) -> Result<Ground, StartError> {
    let resumption = Resumption::new().map_err(|error| StartError::Other(format!("no TLS ticket keys: {error}")))?;
    let cache = config.server.plugin_cache.clone().or_else(portcullis_plugin::cache_folder);
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let open = journals
        .clone()
        .map(|journals| -> portcullis_plugin::OpenJournal { Arc::new(move |path| Ok(journals.open(path)?)) });
    let settings =
        portcullis_plugin::Settings { cache, folder: folder.to_owned(), journals: open, ..Default::default() };
    let plugins = portcullis_plugin::Host::new(settings)
        .map_err(|error| StartError::Other(format!("plugins cannot be run: {error}")))?;
    let acme = Arc::<Acme>::default();
    let store = Arc::new(Store::with(Loaded::default(), acme.clone()));
    Ok(Ground { workers, runtime, store, acme, resumption, plugins, journals, config: path.to_owned() })
}

/// A line for each.
pub(crate) fn lines(errors: &[BuildError]) -> Vec<String> {
    errors.iter().map(|error| format!("error: {error}")).collect()
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// A proxy holds two descriptors an exchange; the usual soft limit of 1024 is from another time.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit of open files could not be raised");
    }
}

/// Runs `work` on a thread of its own and waits for it: for what blocks (files, joins) beside the control executor.
pub(crate) async fn blocking<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tell, told) = oneshot::channel();
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || drop(tell.send(work())));
    if let Err(error) = spawned {
        tracing::error!(%error, "no thread could be started for {name}");
        return None;
    }
    told.await.ok()
}
