//! The running process as the control thread sees it: its workers, the snapshot in force, and what lasts longer.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::{
    answers::Answers,
    counters,
    lifeline::Stage,
    log::{AccessLog, Writer},
    process::{Options, blocking},
    record::Record,
    reload::Reloader,
    shared::Shared,
    snapshot::{Ground, Lasting, Snapshot},
    worker::{Command, Handle},
};

/// The running process.
pub struct Running {
    /// What it was started with.
    pub options: Options,
    /// What outlives every snapshot.
    pub ground: Ground,
    /// When it started.
    pub since: SystemTime,
    /// Files that the configuration in force was read from.
    pub files: Mutex<Vec<PathBuf>>,
    /// Files that the last configuration named which could not be taken: it may be taken once they change.
    pub wanted: Mutex<Vec<PathBuf>>,
    shared: Arc<Shared>,
    workers: Mutex<Vec<Handle>>,
    commands: Vec<tokio::sync::mpsc::Sender<Command>>,
    counters: Vec<Arc<counters::Counters>>,
    writer: Mutex<Option<Writer>>,
}

impl Running {
    /// A process with these workers.
    pub fn new(
        shared: Arc<Shared>,
        workers: Vec<Handle>,
        ground: Ground,
        writer: Writer,
        options: Options,
        files: Vec<PathBuf>,
    ) -> Self {
        Self {
            options,
            ground,
            since: SystemTime::now(),
            files: Mutex::new(files),
            wanted: Mutex::default(),
            shared,
            commands: workers.iter().map(|worker| worker.commands.clone()).collect(),
            counters: workers.iter().map(|worker| worker.counters.clone()).collect(),
            workers: Mutex::new(workers),
            writer: Mutex::new(Some(writer)),
        }
    }

    /// What the workers share with this side.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Puts `snapshot` in force.
    pub fn swap(&self, snapshot: Arc<Snapshot>) {
        self.shared.swap(snapshot);
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.commands.len()
    }

    /// What answers on the control socket.
    pub fn control(self: &Arc<Self>, reloader: Arc<Reloader>) -> Arc<Answers> {
        Arc::new(Answers::new(self.clone(), reloader))
    }

    /// Gives each worker its socket for `address`.
    pub async fn listen(&self, address: SocketAddr, sockets: Vec<TcpListener>) {
        for (commands, socket) in self.commands.iter().zip(sockets) {
            // A worker that is gone ends the process; see `workers_gone`.
            let _ = commands.send(Command::Listen(address, socket)).await;
        }
    }

    /// Closes the sockets for `address`.
    pub async fn unlisten(&self, address: SocketAddr) {
        for commands in &self.commands {
            let _ = commands.send(Command::Unlisten(address)).await;
        }
    }

    /// Tells the connections of a listener how far they may go.
    pub async fn tell(&self, listener: &Arc<Lasting>, stage: Stage) {
        for commands in &self.commands {
            let _ = commands.send(Command::Tell(listener.clone(), stage)).await;
        }
    }

    /// Writes the access log to `writer` from now on. Waits until what was written before is with the old one.
    pub async fn log(&self, writer: Writer) {
        let access = self.snapshot().config.log.access;
        for commands in &self.commands {
            let _ = commands.send(Command::Log(writer.log(access))).await;
        }
        let old = self.writer().replace(writer);
        // Its last lines may wait for a slow disk.
        let _ = blocking("access-log-end", move || drop(old)).await;
    }

    /// Lines of the access log that could not be written.
    pub fn log_dropped(&self) -> u64 {
        self.writer().as_ref().map_or(0, Writer::dropped)
    }

    /// Writes what is still queued for the access log, and of what plugins wrote.
    pub fn close_log(&self) {
        drop(self.writer().take());
        if let Some(journals) = &self.ground.journals {
            journals.close();
        }
    }

    /// Makes every worker write its access lines in the format that the snapshot in force asks for.
    pub async fn reformat_log(&self) {
        let access = self.snapshot().config.log.access;
        for commands in &self.commands {
            let log = self.writer().as_ref().map_or_else(AccessLog::off, |writer| writer.log(access));
            let _ = commands.send(Command::Log(log)).await;
        }
    }

    /// The record of a finished exchange, where a worker still remembers it.
    pub async fn find(&self, id: &str) -> Option<Box<Record>> {
        for commands in &self.commands {
            let (reply, answer) = oneshot::channel();
            if commands.send(Command::Find(id.to_owned(), reply)).await.is_ok()
                && let Ok(Some(record)) = answer.await
            {
                return Some(record);
            }
        }
        None
    }

    /// Connections to endpoints over all workers: (endpoint, open, idle).
    pub async fn pools(&self) -> Vec<(u64, usize, usize)> {
        let mut all = Vec::new();
        for commands in &self.commands {
            let (reply, answer) = oneshot::channel();
            if commands.send(Command::Pools(reply)).await.is_ok() {
                all.extend(answer.await.unwrap_or_default());
            }
        }
        all
    }

    /// What the workers have counted, summed.
    pub fn counted(&self) -> Map<String, Value> {
        counters::sum(self.counters.iter().map(Arc::as_ref))
    }

    /// Nothing is accepted any more; connections end after their exchange.
    pub fn stop(&self) {
        self.shared.stop.cancel();
    }

    /// Whether the process is on its way out.
    pub fn is_stopping(&self) -> bool {
        self.shared.stop.is_cancelled()
    }

    /// What is open is cut off.
    pub fn end(&self) {
        self.shared.end.cancel();
    }

    /// Waits until a worker has ended that should not have.
    pub async fn workers_gone(&self) {
        let gone = self.commands.iter().map(|commands| Box::pin(commands.closed()));
        futures_util::future::select_all(gone).await;
    }

    /// Waits until every worker has ended.
    pub async fn join(&self) {
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = blocking("join", move || workers.into_iter().for_each(Handle::join)).await;
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
