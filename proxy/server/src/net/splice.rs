//! Copying between two TCP connections inside the kernel, by splice(2) through a pipe: SNI passthrough and raw TCP.
//!
//! Short messages are read and written as `copy` does, which takes two system calls where a pipe takes three and
//! moves pages about. A direction whose reads fill the buffer is sending in bulk and gets a pipe, for as long as it has bytes to
//! move; a quiet connection holds neither buffer nor pipe.

use std::{
    cell::Cell,
    future::Future,
    io::{self, ErrorKind},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use rustix::{
    io::Errno,
    pipe::{SpliceFlags, splice},
};
use tokio::{io::Interest, net::TcpStream};

use super::{
    copy::{Broken, Counts, End, Half, SCRATCH, Side, Step, drive},
    pipe::{CAPACITY, Pipe},
};

/// Copies between `a` and `b` until both have ended, nothing moves for `idle`, or `stop` is ready (use
/// [`std::future::pending`] for never). `head`, bytes of `a` that were read before, goes to `b` first. The end of one
/// side is passed on at once while the other still sends.
///
/// Dropping it midway loses bytes on their way: the connections are then good for closing only.
pub async fn splice_both(
    a: &mut TcpStream,
    b: &mut TcpStream,
    head: Bytes,
    counts: &Counts,
    idle: Duration,
    stop: impl Future<Output = ()>,
) -> End {
    let mut there = Direction::new(Side::A, head);
    let mut back = Direction::new(Side::B, Bytes::new());
    let step = |context: &mut Context<'_>| {
        let there = there.poll(context, a, b, &counts.a_to_b)?;
        let back = back.poll(context, b, a, &counts.b_to_a)?;
        if there.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    };
    drive(counts, idle, stop, step).await
}

#[derive(Debug)]
struct Direction {
    half: Half,
    /// Lent while bytes are on their way in bulk.
    pipe: Option<Pipe>,
    pace: Pace,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pace {
    /// Messages shorter than the buffer.
    Short,
    /// More than that at a time.
    Bulk,
    /// splice(2) does not work on these sockets (some sandboxes, sockets with an upper layer protocol).
    CopyOnly,
}

impl Direction {
    fn new(from: Side, head: Bytes) -> Self {
        Self { half: Half::new(from, head), pipe: None, pace: Pace::Short }
    }

    /// Moves until there is no more to do now.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        source: &mut TcpStream,
        sink: &mut TcpStream,
        count: &Cell<u64>,
    ) -> Poll<Result<(), Broken>> {
        for _ in 0..ROUNDS {
            if self.pace == Pace::Bulk {
                ready!(self.poll_splice(context, source, sink, count))?;
                continue;
            }
            match ready!(self.half.poll_step(context, source, sink, count))? {
                Step::Closed => return Poll::Ready(Ok(())),
                Step::Moved(SCRATCH) if self.pace == Pace::Short => self.pace = Pace::Bulk,
                Step::Moved(_) => {}
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// One pipe full, in and out. Leaves [`Pace::Bulk`] where the copying half has to go on.
    fn poll_splice(
        &mut self,
        context: &mut Context<'_>,
        source: &TcpStream,
        sink: &TcpStream,
        count: &Cell<u64>,
    ) -> Poll<Result<(), Broken>> {
        if self.pipe.is_none() {
            match Pipe::lend() {
                Ok(pipe) => self.pipe = Some(pipe),
                // Out of descriptors: slower is better than broken.
                Err(_) => {
                    self.pace = Pace::CopyOnly;
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Ok(())) };
        while pipe.filled == 0 {
            match source.poll_read_ready(context) {
                Poll::Ready(ready) => ready.map_err(|cause| self.half.source(cause))?,
                Poll::Pending => {
                    self.pipe = None;
                    return Poll::Pending;
                }
            }
            let moved = source
                .try_io(Interest::READABLE, || Ok(splice(source, None, pipe.write_end(), None, CAPACITY, FLAGS)?));
            match moved {
                Ok(0) => {
                    self.half.source_ended();
                    self.leave_bulk(Pace::Short);
                    return Poll::Ready(Ok(()));
                }
                Ok(moved) => {
                    pipe.filled = moved;
                    if moved < SCRATCH {
                        // The last of a large message, or the source has slowed down.
                        self.pace = Pace::Short;
                    }
                }
                Err(cause) if retriable(&cause) => {}
                Err(cause) if unsupported(&cause) => {
                    self.leave_bulk(Pace::CopyOnly);
                    return Poll::Ready(Ok(()));
                }
                Err(cause) => return Poll::Ready(Err(self.half.source(cause))),
            }
        }
        // The pace may have changed, but the pipe is emptied before anything else is moved.
        while pipe.filled > 0 {
            match sink.poll_write_ready(context) {
                Poll::Ready(ready) => ready.map_err(|cause| self.half.sink(cause))?,
                Poll::Pending => {
                    self.pace = Pace::Bulk;
                    return Poll::Pending;
                }
            }
            // No SIGPIPE comes of a sink that is gone: Rust's runtime ignores that signal.
            let moved =
                sink.try_io(Interest::WRITABLE, || Ok(splice(pipe.read_end(), None, sink, None, pipe.filled, FLAGS)?));
            match moved {
                Ok(0) => return Poll::Ready(Err(self.half.sink(ErrorKind::WriteZero.into()))),
                Ok(moved) => {
                    pipe.filled -= moved;
                    count.set(count.get() + moved as u64);
                }
                Err(cause) if retriable(&cause) => {}
                Err(cause) => return Poll::Ready(Err(self.half.sink(cause))),
            }
        }
        if self.pace != Pace::Bulk {
            self.pipe = None;
        }
        Poll::Ready(Ok(()))
    }

    fn leave_bulk(&mut self, pace: Pace) {
        self.pipe = None;
        self.pace = pace;
    }
}

/// `WouldBlock` has told tokio that the socket is not ready: asking for readiness again waits.
fn retriable(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn unsupported(cause: &io::Error) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP]
        .iter()
        .any(|errno| cause.raw_os_error() == Some(errno.raw_os_error()))
}

/// NONBLOCK is for the pipe; the sockets are nonblocking themselves.
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);
/// Pipes full in a row before other tasks have their turn: 2 MiB.
const ROUNDS: usize = 8;

#[cfg(test)]
mod tests;
