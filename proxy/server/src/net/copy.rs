//! Copying between two streams, both ways in one task, until both have ended: WebSockets, CONNECT-like upgrades, raw TCP
//! where TLS is on one side. `splice` does the same between two plain TCP connections, without the bytes in user space.
//!
//! A connection holds no buffer while it is quiet: reads go to a scratch buffer of the thread's, and only what the
//! other side does not take at once is kept, at most [`SCRATCH`] bytes each way; nothing more is read until it is gone.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep_until},
};

/// Bytes handed on so far. The caller's, so that they are there at any time, also when the copying is dropped.
#[derive(Debug, Default)]
pub struct Counts {
    /// From the first stream to the second.
    pub a_to_b: Cell<u64>,
    /// From the second stream to the first.
    pub b_to_a: Cell<u64>,
}

impl Counts {
    fn total(&self) -> u64 {
        self.a_to_b.get().wrapping_add(self.b_to_a.get())
    }
}

/// How copying ended.
#[derive(Debug)]
pub enum End {
    /// Both sides have ended, and each was told of the other's end.
    Finished,
    /// Nothing moved either way for the idle time.
    Idle,
    /// The caller's `stop` was ready.
    Stopped,
    /// One side broke.
    Broken(Broken),
}

/// A side that broke.
#[derive(Debug)]
pub struct Broken {
    /// Which of the two streams.
    pub side: Side,
    /// What it said.
    pub cause: io::Error,
}

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// Copies between `a` and `b` until both have ended, nothing moves for `idle`, or `stop` is ready (use
/// [`std::future::pending`] for never). `head`, bytes of `a` that were read before, goes to `b` first. The end of one
/// side is passed on at once (for TLS as close_notify) while the other still sends.
///
/// Dropping it midway loses bytes on their way: the streams are then good for closing only.
pub async fn copy_both<A, B>(
    a: &mut A,
    b: &mut B,
    head: Bytes,
    counts: &Counts,
    idle: Duration,
    stop: impl Future<Output = ()>,
) -> End
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut there = Half::new(Side::A, head);
    let mut back = Half::new(Side::B, Bytes::new());
    let step = |context: &mut Context<'_>| {
        let there = there.poll(context, a, b, &counts.a_to_b)?;
        let back = back.poll(context, b, a, &counts.b_to_a)?;
        if there.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    };
    drive(counts, idle, stop, step).await
}

/// Polls `step` to its end, under the idle deadline and the caller's wish to stop.
pub(super) async fn drive(
    counts: &Counts,
    idle: Duration,
    stop: impl Future<Output = ()>,
    mut step: impl FnMut(&mut Context<'_>) -> Poll<Result<(), Broken>>,
) -> End {
    let mut stop = pin!(stop);
    let mut moved = counts.total();
    let mut last = Instant::now();
    let mut timer = pin!(sleep_until(last + idle));
    poll_fn(|context| {
        match step(context) {
            Poll::Ready(Ok(())) => return Poll::Ready(End::Finished),
            Poll::Ready(Err(broken)) => return Poll::Ready(End::Broken(broken)),
            Poll::Pending => {}
        }
        if stop.as_mut().poll(context).is_ready() {
            return Poll::Ready(End::Stopped);
        }
        if counts.total() != moved {
            moved = counts.total();
            last = Instant::now();
        }
        // Moving the timer at every byte would cost more than the byte: it is moved when it fires.
        while timer.as_mut().poll(context).is_ready() {
            if last + idle <= Instant::now() {
                return Poll::Ready(End::Idle);
            }
            timer.as_mut().reset(last + idle);
        }
        Poll::Pending
    })
    .await
}

/// One direction.
#[derive(Debug)]
pub(super) struct Half {
    from: Side,
    /// Read and not taken by the other side yet.
    kept: Bytes,
    state: State,
    unflushed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    Closing,
    Closed,
}

/// What one step of a direction came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// So many bytes were moved; there may be more.
    Moved(usize),
    /// The source has ended and the other side knows.
    Closed,
}

impl Half {
    pub(super) fn new(from: Side, head: Bytes) -> Self {
        Self { from, kept: head, state: State::Open, unflushed: false }
    }

    /// Copies until there is no more to do now.
    fn poll<R, W>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        count: &Cell<u64>,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        for _ in 0..ROUNDS {
            if ready!(self.poll_step(context, source, sink, count))? == Step::Closed {
                return Poll::Ready(Ok(()));
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// One read and the writes of it. After [`Step::Closed`] always that again.
    pub(super) fn poll_step<R, W>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        count: &Cell<u64>,
    ) -> Poll<Result<Step, Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while !self.kept.is_empty() {
            let written = ready!(self.poll_write(context, sink, &self.kept.clone(), count))?;
            self.kept.advance(written);
            if self.kept.is_empty() {
                self.kept = Bytes::new();
            }
        }
        match self.state {
            State::Open => {}
            State::Closing => {
                match ready!(Pin::new(&mut *sink).poll_shutdown(context)) {
                    // A connection that is gone already needs no end told to it.
                    Err(cause) if cause.kind() != io::ErrorKind::NotConnected => {
                        return Poll::Ready(Err(self.sink(cause)));
                    }
                    _ => self.state = State::Closed,
                }
                return Poll::Ready(Ok(Step::Closed));
            }
            State::Closed => return Poll::Ready(Ok(Step::Closed)),
        }
        let mut scratch = SCRATCH_BUFFER.take();
        scratch.resize(SCRATCH, 0);
        let result = self.poll_through(context, source, sink, count, &mut scratch);
        SCRATCH_BUFFER.set(scratch);
        result
    }

    /// Learnt elsewhere that the source has ended.
    pub(super) fn source_ended(&mut self) {
        self.state = State::Closing;
    }

    pub(super) fn source(&self, cause: io::Error) -> Broken {
        Broken { side: self.from, cause }
    }

    pub(super) fn sink(&self, cause: io::Error) -> Broken {
        Broken { side: if self.from == Side::A { Side::B } else { Side::A }, cause }
    }

    fn poll_through<R, W>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        count: &Cell<u64>,
        scratch: &mut [u8],
    ) -> Poll<Result<Step, Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut buffer = ReadBuf::new(scratch);
        match Pin::new(source).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(cause)) => return Poll::Ready(Err(self.source(cause))),
            Poll::Pending => {
                if self.unflushed {
                    // Nothing more to come for now: what lies in the other side's own buffers (TLS) must leave.
                    ready!(Pin::new(&mut *sink).poll_flush(context)).map_err(|cause| self.sink(cause))?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
        }
        let read = buffer.filled();
        if read.is_empty() {
            self.source_ended();
            return Poll::Ready(Ok(Step::Moved(0)));
        }
        let mut rest = read;
        while !rest.is_empty() {
            match self.poll_write(context, sink, rest, count)? {
                Poll::Ready(written) => rest = &rest[written..],
                Poll::Pending => {
                    self.kept = Bytes::copy_from_slice(rest);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(Step::Moved(read.len())))
    }

    fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut W,
        bytes: &[u8],
        count: &Cell<u64>,
    ) -> Poll<Result<usize, Broken>> {
        match ready!(Pin::new(sink).poll_write(context, bytes)) {
            Ok(0) => Poll::Ready(Err(self.sink(io::ErrorKind::WriteZero.into()))),
            Ok(written) => {
                count.set(count.get() + written as u64);
                self.unflushed = true;
                Poll::Ready(Ok(written))
            }
            Err(cause) => Poll::Ready(Err(self.sink(cause))),
        }
    }
}

thread_local! {
    /// Taken while in use rather than borrowed: whatever a stream does when it is read from, it cannot meet a buffer in use.
    static SCRATCH_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes read at a time: a TLS record's worth.
pub(super) const SCRATCH: usize = 16 * 1024;
/// Reads in a row before other tasks have their turn: half a MiB.
const ROUNDS: usize = 32;

#[cfg(test)]
mod tests;
