//! A worker's end of the access log.

use portcullis_config::log::AccessFormat;

use super::{
    human, json,
    writer::{Lines, Queue},
};
use crate::record::Record;

/// A buffer is handed over once it is this large. Large enough that a system call carries about a hundred lines, small
/// enough that a worker's buffer stays in the cache.
const FULL: usize = 32 * 1024;

/// Collects a worker's lines and hands them to the [`Writer`](super::Writer)'s thread.
///
/// Not shared: each worker has its own. The worker calls [`flush`](Self::flush) about every 100 ms, so that lines of a
/// quiet worker are not late. Nothing here ever waits: where the thread cannot keep up, lines are dropped and counted.
#[derive(Debug)]
pub struct AccessLog {
    /// `None` where no access log is wanted.
    out: Option<Out>,
}

#[derive(Debug)]
struct Out {
    write: fn(&Record, &mut Vec<u8>),
    lines: Lines,
    queue: Queue,
}

impl AccessLog {
    /// A log that writes nothing.
    pub fn off() -> Self {
        Self { out: None }
    }

    pub(super) fn new(format: AccessFormat, queue: Queue) -> Self {
        let write = match format {
            AccessFormat::Json => json,
            AccessFormat::Human => human,
            AccessFormat::Off => return Self::off(),
        };
        Self { out: Some(Out { write, lines: Lines::default(), queue }) }
    }

    /// Adds the line of one record.
    pub fn write(&mut self, record: &Record) {
        let Some(out) = &mut self.out else { return };
        (out.write)(record, &mut out.lines.bytes);
        out.lines.count += 1;
        if out.lines.bytes.len() >= FULL {
            out.hand_over();
        }
    }

    /// Hands over what has been collected; cheap where there is nothing.
    pub fn flush(&mut self) {
        if let Some(out) = &mut self.out
            && out.lines.count > 0
        {
            out.hand_over();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Out {
    fn hand_over(&mut self) {
        // As much room as was needed now: a busy worker does not grow its buffer step by step, a quiet one holds little.
        let room = if self.lines.bytes.len() >= FULL { FULL + 4096 } else { self.lines.bytes.len() };
        let next = Lines { bytes: Vec::with_capacity(room), count: 0 };
        let lines = std::mem::replace(&mut self.lines, next);
        if let Err(mut lost) = self.queue.send(lines) {
            lost.clear();
            self.lines = lost;
        }
    }
}
