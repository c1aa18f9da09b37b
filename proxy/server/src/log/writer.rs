//! The thread that writes a log, and what it does when writing fails.
//!
//! It alone waits for the disk or the reader of a pipe. Its queue is bounded; what does not fit is dropped and counted,
//! because a full disk must not stop the traffic. The count goes to the error log and to [`Writer::dropped`].

mod output;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread,
    time::{Duration, Instant},
};

use portcullis_config::log::AccessFormat;

use self::output::Output;
use super::AccessLog;

/// Pieces that may wait: at 32 KiB each, 8 MiB, about a second of a busy proxy.
const QUEUE: usize = 256;

/// Bytes that may wait.
const QUEUED_MAX: usize = 16 << 20;

/// How often a file is checked for rotation, and dropped lines are reported.
const TICK: Duration = Duration::from_secs(1);

/// How long [`Writer`]'s end waits for the last lines. A reader of our pipe may be stuck; the process must end.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, appended to, created with mode 0640, opened again after it was moved away or removed.
    File(PathBuf),
}

impl From<&portcullis_config::log::Log> for Target {
    fn from(log: &portcullis_config::log::Log) -> Self {
        log.file.clone().map_or(Self::Stdout, Self::File)
    }
}

/// Owns the thread that writes. Dropping it writes what is queued, waiting two seconds at most; drop the
/// [`AccessLog`]s first, or flush them.
#[derive(Debug)]
pub struct Writer {
    queue: Queue,
    finished: Receiver<()>,
}

/// Whole lines on their way to the thread.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    pub(super) count: u64,
}

impl Lines {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }
}

#[derive(Debug, Default)]
struct Shared {
    closing: AtomicBool,
    dropped: AtomicU64,
    /// Bytes on their way to the thread.
    queued: AtomicUsize,
}

impl Shared {
    fn lost(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }
}

/// The way to the thread. Nothing here ever waits.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    lines: SyncSender<Lines>,
    shared: Arc<Shared>,
}

impl Queue {
    /// Hands lines over.
    ///
    /// # Errors
    /// The lines, where there is no room for them; they are counted as lost.
    pub(super) fn send(&self, lines: Lines) -> Result<(), Lines> {
        let length = lines.bytes.len();
        if self.shared.queued.fetch_add(length, Ordering::Relaxed) + length > QUEUED_MAX {
            return Err(self.lost(lines, length));
        }
        match self.lines.try_send(lines) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(lines) | TrySendError::Disconnected(lines)) => Err(self.lost(lines, length)),
        }
    }

    fn lost(&self, lines: Lines, length: usize) -> Lines {
        self.shared.queued.fetch_sub(length, Ordering::Relaxed);
        self.shared.lost(lines.count);
        lines
    }

    /// Lines that could not be written since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Writer {
    /// Opens the target of the access log and starts the thread.
    ///
    /// # Errors
    /// Where the file cannot be opened or the thread cannot be started; the message names the file.
    pub fn start(target: Target) -> io::Result<Self> {
        Self::named("access log", target)
    }

    /// The same for another log: `name` is how messages call it.
    ///
    /// # Errors
    /// As of [`start`](Self::start).
    pub(super) fn named(name: &'static str, target: Target) -> io::Result<Self> {
        let output = Output::open(name, target)?;
        let (queue, pieces) = mpsc::sync_channel(QUEUE);
        let (finish, finished) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        thread::Builder::new().name(name.replace(' ', "-")).spawn(move || {
            write_until_closed(name, output, &pieces, &of_thread);
            // Nobody listens any more where the wait for us is over.
            _ = finish.send(());
        })?;
        Ok(Self { queue: Queue { lines: queue, shared }, finished })
    }

    /// An end for one worker. With [`AccessFormat::Off`], one that writes nothing.
    pub fn log(&self, format: AccessFormat) -> AccessLog {
        AccessLog::new(format, self.queue.clone())
    }

    /// Lines that could not be written since the start.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.shared.closing.store(true, Ordering::Release);
        // Wakes the thread; where the queue is full it is awake.
        _ = self.queue.lines.try_send(Lines::default());
        _ = self.finished.recv_timeout(LAST_LINES);
    }
}

fn write_until_closed(name: &str, mut output: Output, pieces: &Receiver<Lines>, shared: &Shared) {
    let mut reported = 0;
    let mut next_tick = Instant::now() + TICK;
    loop {
        // Read before receiving: pieces sent before the flag was set are then still received below.
        let closing = shared.closing.load(Ordering::Acquire);
        let patience = if closing { Duration::ZERO } else { next_tick.saturating_duration_since(Instant::now()) };
        match pieces.recv_timeout(patience) {
            Ok(lines) if lines.count == 0 => {}
            Ok(lines) => {
                if !output.write(&lines.bytes) {
                    shared.lost(lines.count);
                }
                shared.queued.fetch_sub(lines.bytes.len(), Ordering::Relaxed);
            }
            Err(RecvTimeoutError::Timeout) if !closing => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
        if Instant::now() >= next_tick {
            next_tick = Instant::now() + TICK;
            output.follow_rotation();
            let dropped = shared.dropped.load(Ordering::Relaxed);
            if dropped > reported {
                tracing::warn!(lines = dropped - reported, total = dropped, "{name}: lines dropped");
                reported = dropped;
            }
        }
    }
}
