//! A worker: one thread with its own executor, accept sockets, connections, pools and log buffer.
//!
//! Workers share the snapshot and nothing else that is written on the way of an exchange. They are told what to do through a
//! bounded channel and end when their last connection has ended after a stop, or at once when they are told to.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Acquire},
    thread,
    time::{Duration, Instant, SystemTime},
};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use portcullis_plugin::{Local, Outbound, OutboundSender, Plugin};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot},
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{
    accept,
    backend::pool::Pools,
    counters::Counters,
    flight::Open,
    lifeline::{Lifeline, Lifelines, Stage},
    log::AccessLog,
    plugins,
    record::{End, Record},
    shared::Shared,
    snapshot::{Lasting, Snapshot},
};

/// Commands that may wait for a worker.
const COMMANDS_MAX: usize = 64;

/// How often the log buffer is flushed, pools and overdue exchanges are looked at.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
const TICK_EVERY: Duration = Duration::from_secs(1);

/// What a worker is told.
pub enum Command {
    /// Accept on this socket.
    Listen(SocketAddr, std::net::TcpListener),
    /// Stop accepting on this address; what is queued in the socket is still served.
    Unlisten(SocketAddr),
    /// Connections of this listener end after their exchange, or at once.
    Tell(Arc<Lasting>, Stage),
    /// Write the access log here from now on.
    Log(AccessLog),
    /// Answer with the finished exchange of this id, if it is remembered.
    Find(String, oneshot::Sender<Option<Box<Record>>>),
    /// Answer with the connections to endpoints: (endpoint, open, idle).
    Pools(oneshot::Sender<Vec<(u64, usize, usize)>>),
}

/// A worker as the control thread holds it.
pub struct Handle {
    /// Tells it what to do.
    pub commands: mpsc::Sender<Command>,
    /// What it has counted.
    pub counters: Arc<Counters>,
    thread: thread::JoinHandle<()>,
}

impl Handle {
    /// Starts worker number `index`.
    ///
    /// # Errors
    /// When the thread or its executor cannot be made.
    pub fn start(index: usize, shared: Arc<Shared>, log: AccessLog) -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let counters = Arc::new(Counters::default());
        let counted = counters.clone();
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => runtime.block_on(async {
                    let worker = Rc::new(Worker::new(index, shared, counted, log));
                    worker.run(inbox).await;
                }),
                Err(error) => tracing::error!(worker = index, %error, "a worker could not start"),
            }
        })?;
        Ok(Self { commands, counters, thread })
    }

    /// Waits for the thread's end.
    pub fn join(self) {
        drop(self.commands);
        let _ = self.thread.join();
    }
}

/// A worker as everything on its thread sees it.
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// What this one has counted.
    pub counters: Arc<Counters>,
    /// Connections to endpoints.
    pub pools: Pools,
    /// Exchanges that are open.
    pub open: RefCell<Open>,
    /// Connections that are open.
    pub lifelines: Rc<Lifelines>,
    /// Connections and tunnels; the worker ends after the last one.
    pub tasks: TaskTracker,
    log: RefCell<AccessLog>,
    recent: RefCell<VecDeque<Box<Record>>>,
    view: RefCell<(u64, Rc<View>)>,
    /// Exchanges whose plugins are still to be told of their end.
    pub plugin_logs: Cell<usize>,
    /// Where this worker's plugins make requests.
    outbound: OutboundSender,
    asked: Cell<Option<mpsc::Receiver<Outbound>>>,
    connections: Cell<u64>,
    /// One moment on both clocks, taken anew at each tick.
    clocks: Cell<(Instant, SystemTime)>,
}

/// The snapshot in force, behind a counter of this thread's own: taking it for an exchange touches no shared cache line.
pub struct View {
    snapshot: Arc<Snapshot>,
    /// What this worker has of each plugin.
    pub locals: Box<[Rc<Local>]>,
}

impl View {
    /// This worker's view of `snapshot`. What it has of plugins that stay is taken over from the view `before`.
    fn new(snapshot: Arc<Snapshot>, before: &[Rc<Local>], outbound: &OutboundSender) -> Rc<Self> {
        let local = |plugin: &Arc<Plugin>| {
            let same = before.iter().find(|local| Arc::ptr_eq(local.plugin(), plugin));
            same.cloned().unwrap_or_else(|| Local::new(plugin.clone(), outbound.clone()))
        };
        Rc::new(Self { locals: snapshot.plugins.iter().map(local).collect(), snapshot })
    }
}

impl std::ops::Deref for View {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Worker {
    /// Number `index`, with nothing open.
    pub fn new(index: usize, shared: Arc<Shared>, counters: Arc<Counters>, log: AccessLog) -> Self {
        let snapshot = shared.snapshot.load_full();
        let (outbound, asked) = mpsc::channel(plugins::QUEUE);
        Self {
            index,
            counters,
            pools: Pools::default(),
            open: RefCell::default(),
            lifelines: Rc::default(),
            tasks: TaskTracker::new(),
            log: RefCell::new(log),
            recent: RefCell::default(),
            view: RefCell::new((snapshot.generation, View::new(snapshot, &[], &outbound))),
            plugin_logs: Cell::new(0),
            outbound,
            asked: Cell::new(Some(asked)),
            connections: Cell::new(0),
            clocks: Cell::new((Instant::now(), SystemTime::now())),
            shared,
        }
    }

    /// The snapshot in force. Keep it for as long as the exchange lasts.
    pub fn snapshot(&self) -> Rc<View> {
        let generation = self.shared.generation.load(Acquire);
        let mut view = self.view.borrow_mut();
        if view.0 != generation {
            let snapshot = self.shared.snapshot.load_full();
            *view = (generation, View::new(snapshot, &view.1.locals, &self.outbound));
        }
        view.1.clone()
    }

    /// A connection number that no other connection of this process has.
    pub fn next_connection(&self) -> u64 {
        let n = self.connections.get();
        self.connections.set(n + 1);
        ((self.index as u64) << 48) | n
    }

    /// Spawns a task that the worker waits for when it stops.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(self.tasks.track_future(task));
    }

    /// The end of an exchange: logged and remembered.
    pub fn finish(&self, record: Box<Record>) {
        self.log.borrow_mut().write(&record);
        let keep = self.shared.recent.load(std::sync::atomic::Ordering::Relaxed);
        if keep == 0 {
            return;
        }
        let mut recent = self.recent.borrow_mut();
        while recent.len() >= keep {
            recent.pop_front();
        }
        recent.push_back(record);
    }

    async fn run(self: &Rc<Self>, mut inbox: mpsc::Receiver<Command>) {
        let mut listening: HashMap<SocketAddr, CancellationToken, FixedState> = HashMap::default();
        // Not among the tasks that are waited for: it ends with whoever could ask.
        let _outbound = self.asked.take().map(|asked| {
            AbortOnDropHandle::new(tokio::task::spawn_local(plugins::serve_outbound(self.clone(), asked)))
        });
        let mut flush = tokio::time::interval(FLUSH_EVERY);
        let mut tick = tokio::time::interval(TICK_EVERY);
        flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stop = self.shared.stop.clone();
        let end = self.shared.end.clone();
        let mut stopping = false;
        let mut ending = false;
        loop {
            tokio::select! {
                biased;
                () = end.cancelled(), if !ending => {
                    ending = true;
                    self.drain(|_| true);
                    self.lifelines.tell(Stage::End, |_| true);
                }
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    listening.drain().for_each(|(_, accepting)| accepting.cancel());
                    self.lifelines.tell(Stage::Stop, |_| true);
                    self.tasks.close();
                }
                () = self.tasks.wait(), if stopping => break,
                command = inbox.recv() => match command {
                    None => {
                        // The control thread is gone: nobody could stop this worker any more.
                        stop.cancel();
                        end.cancel();
                    }
                    Some(Command::Listen(address, socket)) => {
                        let accepting = stop.child_token();
                        match accept::start(self, socket, accepting.clone()) {
                            Ok(()) => drop(listening.insert(address, accepting)),
                            Err(error) => tracing::error!(%address, %error, "a socket could not be used"),
                        }
                    }
                    Some(Command::Unlisten(address)) => {
                        if let Some(accepting) = listening.remove(&address) {
                            accepting.cancel();
                        }
                    }
                    Some(Command::Tell(listener, stage)) => {
                        if stage == Stage::End {
                            self.drain(|connection| connection.is_of(&listener));
                        }
                        self.lifelines.tell(stage, |connection| connection.is_of(&listener));
                    }
                    Some(Command::Log(log)) => {
                        let mut current = self.log.borrow_mut();
                        current.flush();
                        *current = log;
                    }
                    Some(Command::Find(id, reply)) => {
                        let recent = self.recent.borrow();
                        let _ = reply.send(recent.iter().rev().find(|record| *record.id == *id).cloned());
                    }
                    Some(Command::Pools(reply)) => {
                        let _ = reply.send(self.pools.counts());
                    }
                },
                _ = flush.tick() => self.log.borrow_mut().flush(),
                _ = tick.tick() => self.tick(),
            }
        }
        self.log.borrow_mut().flush();
    }

    /// Ends the exchanges whose connection `of` picks.
    fn drain(&self, of: impl Fn(&Lifeline) -> bool) {
        let picked: Vec<_> = self.open.borrow().all().filter(|sentence| of(&sentence.connection)).cloned().collect();
        for sentence in picked {
            sentence.stop(End::Drained);
        }
    }

    /// What a wall clock showed at `at`, to within what it was set by since the last tick.
    pub fn wall_clock(&self, at: Instant) -> SystemTime {
        let (instant, wall) = self.clocks.get();
        wall + at.saturating_duration_since(instant)
    }

    fn tick(&self) {
        let now = Instant::now();
        self.clocks.set((now, SystemTime::now()));
        self.pools.tick(now);
        // An idle worker must not keep what a reload has taken away.
        self.snapshot().locals.iter().for_each(|local| local.tick());
        let overdue = self.open.borrow().overdue(now);
        for (sentence, end) in overdue {
            sentence.stop(end);
        }
        let stalled = self.open.borrow().stalled(now);
        for sentence in stalled {
            // Nobody would hear a word of warning: the body is not asked for more.
            sentence.cut_off(End::ClientGone);
        }
    }
}
