//! Strict HTTP/1 framing in front of hyper, and the deadlines of a connection that waits for a request head.
//!
//! hyper and httparse take things that two programs in a row could read in two ways: bare LF, a length beside chunks,
//! folded fields, space in chunk sizes. That is how requests are smuggled. A [`Guard`] reads what the client sends first and
//! lets through only what has one meaning. Its strictness is that of RFC 9112 where the RFC allows a recipient to be strict.
//!
//! - A head reaches hyper whole and checked, or not at all. In place of a refused head hyper gets a made-up request; the service finds
//!   the [`Refusal`] in what [`Shared::admit`] returns and answers it, so that a refusal keeps its place behind earlier
//!   pipelined responses and goes the way of every exchange to the log. After a refused head nothing more is read.
//! - A target with bytes that must be percent-encoded reaches hyper encoded ([`raw`](super::raw)); [`Admitted::raw_target`] is what was sent.
//! - What is wrong with a head, but does not put its lines in doubt, is answered once the head has ended: so it can be shown to those that
//!   judge requests ([`Refusal::shown`]).
//! - A fixed-length body flows straight into hyper's buffer and is counted; a chunked one is checked there. A violation is an
//!   error of the read with a [`BadBody`] inside.
//! - Bytes after a request that asks for an upgrade are not looked at before it is decided.
//! - A head that is late is refused (408); a connection that stays idle ends. While an exchange is in flight neither
//!   happens; deadlines inside exchanges are the exchange's.
//!
//! An idle connection holds no buffer here. A head that comes in one read is checked in hyper's own buffer; only one that comes in
//! pieces, or bytes that come too early, are kept aside. What is kept aside is bounded by `header_bytes` plus one read.
//!
//! hyper must be told limits that are no narrower than ours: `max_headers` at least `header_count` where that is above 100,
//! `max_buf_size` above `header_bytes` and twice `target_length`, which encoding may add. HTTP/2 has its own framing and does not come through here; whoever accepts a connection
//! looks for its preface first.

mod chunked;
mod field;
mod head;
mod refusal;
mod rules;
mod shared;
mod shown;
mod timer;

#[cfg(test)]
mod tests;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use self::{chunked::Chunked, head::Head, shared::Decision, timer::Timer};
pub use self::{
    head::{BodyLength, HeadFacts, check_head},
    refusal::{Refusal, RefusalKind},
    rules::Rules,
    shared::{Admitted, InFlight, Shared},
    shown::Shown,
};

/// Stands between a connection and hyper; hyper gets it inside a `hyper_util::rt::TokioIo`.
///
/// Reading is cancel safe. Writing goes through untouched. Shutting down lingers, see [`AsyncWrite::poll_shutdown`] below.
#[derive(Debug)]
pub struct Guard<IO> {
    io: IO,
    rules: Arc<Rules>,
    shared: Arc<Shared>,
    state: State,
    /// Bytes that were read and are not hyper's yet.
    kept: Vec<u8>,
    /// How many of `kept` hyper may have.
    cleared: usize,
    /// Whether hyper has something to send that the client does not take, and when that last began.
    write_blocked: bool,
    blocked_at: Option<Instant>,
    timer: Timer,
}

#[derive(Debug)]
enum State {
    /// Waiting for a head, or inside one.
    Head { head: Head, since: Option<Instant> },
    /// In a body of so many bytes more.
    Known(u64),
    /// In a chunked body.
    Chunked(Box<Chunked>),
    /// After a request that asks for an upgrade.
    Held,
    /// No longer HTTP.
    Switched,
    /// After a refused head: hyper answers and closes.
    Refused,
    /// After a body that broke the rules.
    Broken(BadBody),
    /// After a silence that was too long: as if the client had closed.
    Ended,
    /// The response side was shut down; what still comes is thrown away until then.
    Lingering { until: Instant, silent: Instant },
}

/// A body that is not framed as it must be; inside the `InvalidData` error of a read. The answer is 400, and the
/// connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed request body: {reason}")]
pub struct BadBody {
    /// What is counted.
    pub kind: RefusalKind,
    /// One sentence, no trailing full stop.
    pub reason: &'static str,
}

impl BadBody {
    /// The violation in `error` or in one of its sources, if that is what it is.
    pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(bad) = error.downcast_ref() {
                return Some(bad);
            }
            // An `io::Error` shows as its source not what it holds, but that one's source.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }
}

/// What hyper gets in place of a refused head.
const MADE_UP: &[u8] = b"GET / HTTP/1.1\r\nhost: invalid\r\nconnection: close\r\n\r\n";

/// Bytes read ahead while an upgrade is undecided, so that a client that goes away is noticed: more are left to the socket.
const HELD_BYTES: usize = 16 * 1024;

/// A client that is still sending when we close would get a reset, and lose the response it has not read yet (RFC 9112
/// section 9.6). So what it sends is read and thrown away this long, and no longer than it keeps sending. Not so many bytes: a client that
/// looks for the answer only after its last byte is not rare, and its body may be large.
const LINGER: Duration = Duration::from_secs(10);
const LINGER_SILENCE: Duration = Duration::from_secs(2);
const LINGER_READS: usize = 64;

impl<IO> Guard<IO> {
    /// Guards `io`, from its first byte on.
    pub fn new(io: IO, rules: Arc<Rules>) -> (Self, Arc<Shared>) {
        let shared = Arc::new(Shared::new());
        let guard = Self {
            io,
            rules,
            shared: shared.clone(),
            state: State::next_head(),
            kept: Vec::new(),
            cleared: 0,
            write_blocked: false,
            blocked_at: None,
            timer: Timer::default(),
        };
        (guard, shared)
    }

    /// The connection, and bytes read from it that nobody has seen. For what takes over after an upgrade.
    pub fn into_parts(self) -> (IO, Vec<u8>) {
        (self.io, self.kept)
    }

    /// The first head has been coming since then, as somebody saw who read before hyper.
    pub fn begun_at(&mut self, at: Option<Instant>) {
        if let State::Head { since, .. } = &mut self.state {
            *since = at;
        }
    }

    /// The connection itself.
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// Gives hyper what it may have.
    fn give_kept(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.cleared.min(buf.remaining());
        buf.put_slice(&self.kept[..length]);
        self.cleared -= length;
        if length == self.kept.len() {
            // Back to nothing: an idle connection holds no buffer.
            self.kept = Vec::new();
        } else {
            self.kept.drain(..length);
        }
    }

    /// Takes a head that was found whole in `head`, and sets what comes after it.
    fn accept(&mut self, facts: &HeadFacts, head: &[u8]) {
        let raw_target = facts.raw_target(head).map(Arc::new);
        self.shared.give(facts.body, facts.upgrade, None, raw_target);
        self.state = match facts.body {
            BodyLength::Known(length) => State::Known(length),
            BodyLength::Chunked => State::Chunked(Box::default()),
            BodyLength::None => self.after_request(),
        };
    }

    fn after_request(&self) -> State {
        // A switch may be decided while the body is still coming; `Held` finds out.
        if self.shared.asks_upgrade() { State::Held } else { State::next_head() }
    }

    /// Puts the made-up request where the refused head was.
    fn refuse(&mut self, refusal: Refusal) {
        self.shared.give(BodyLength::None, false, Some(Box::new(refusal)), None);
        self.kept = MADE_UP.to_vec();
        self.cleared = MADE_UP.len();
        self.state = State::Refused;
    }

    /// Refuses a head that does not go on; what was wrong with it before comes first.
    fn refuse_here(&mut self, status: u16, kind: RefusalKind, reason: &'static str) {
        let found = match &self.state {
            State::Head { head, .. } => head.cut(&self.kept, &self.rules),
            _ => None,
        };
        let refusal = found.unwrap_or_else(|| Refusal::new(status, kind, reason, &self.kept, &self.rules));
        self.refuse(refusal);
    }

    /// Looks at the bytes that were kept aside, if any, and clears those that hyper may have. False when it needs more.
    fn advance_kept(&mut self) -> bool {
        if self.kept.is_empty() {
            return false;
        }
        match &mut self.state {
            State::Head { head, .. } => match head.read(&self.kept, &self.rules) {
                Ok(false) => return false,
                Ok(true) => {
                    let facts = std::mem::take(&mut head.facts);
                    let mut kept = std::mem::take(&mut self.kept);
                    self.accept(&facts, &kept[..facts.length]);
                    self.cleared = facts.length;
                    if facts.unencoded > 0 {
                        let encoded = facts.encoded(&kept);
                        self.cleared = encoded.len();
                        kept.splice(..facts.length, encoded);
                    }
                    self.kept = kept;
                }
                Err(refusal) => self.refuse(refusal),
            },
            State::Known(_) | State::Chunked(_) => {
                let kept = std::mem::take(&mut self.kept);
                self.cleared = self.advance_body(&kept);
                self.kept = kept;
            }
            State::Switched => self.cleared = self.kept.len(),
            State::Held | State::Refused | State::Broken(_) | State::Ended | State::Lingering { .. } => return false,
        }
        true
    }

    /// Counts or checks body bytes. How many of `bytes` belong to the body.
    fn advance_body(&mut self, bytes: &[u8]) -> usize {
        let (taken, ended) = match &mut self.state {
            State::Known(left) => {
                // At most the length of a slice.
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                (taken as usize, *left == 0)
            }
            State::Chunked(chunked) => match chunked.read(bytes) {
                Ok(read) => read,
                Err((kind, reason)) => {
                    self.shared.end_body();
                    self.state = State::Broken(BadBody { kind, reason });
                    return 0;
                }
            },
            _ => return 0,
        };
        if ended {
            self.shared.end_body();
            self.state = self.after_request();
        }
        taken
    }
}

impl State {
    fn next_head() -> Self {
        Self::Head { head: Head::default(), since: None }
    }
}

impl<IO: AsyncRead + Unpin> Guard<IO> {
    /// Reads into `buf`, which is hyper's, looks at what came, and leaves there what hyper may have.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<Filled>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let came = buf.filled().len() - before;
        if came == 0 {
            return Poll::Ready(Ok(Filled::End));
        }
        let bytes = &buf.filled()[before..];
        if matches!(self.state, State::Switched) {
            return Poll::Ready(Ok(Filled::Given));
        }
        let mut taken = 0;
        if self.kept.is_empty() {
            match &mut self.state {
                State::Head { head, .. } => match head.read(bytes, &self.rules) {
                    Ok(true) => {
                        let facts = std::mem::take(&mut head.facts);
                        taken = facts.length;
                        self.accept(&facts, &bytes[..taken]);
                        if facts.unencoded > 0 {
                            self.kept = facts.encoded(bytes);
                            self.cleared = self.kept.len();
                            self.kept.extend_from_slice(&bytes[taken..]);
                            buf.set_filled(before);
                            return Poll::Ready(Ok(Filled::Kept));
                        }
                    }
                    Ok(false) => {}
                    Err(refusal) => {
                        buf.set_filled(before);
                        self.refuse(refusal);
                        return Poll::Ready(Ok(Filled::Kept));
                    }
                },
                State::Known(_) | State::Chunked(_) => taken = self.advance_body(bytes),
                _ => {}
            }
        }
        if let State::Broken(_) = self.state {
            buf.set_filled(before);
            return Poll::Ready(Ok(Filled::Kept));
        }
        self.kept.extend_from_slice(&bytes[taken..]);
        buf.set_filled(before + taken);
        Poll::Ready(Ok(if taken > 0 { Filled::Given } else { Filled::Kept }))
    }

    /// The client sends no more.
    fn end(&mut self) -> bool {
        if let State::Head { head, .. } = &self.state
            && head.begun(&self.kept)
        {
            self.refuse_here(400, RefusalKind::Truncated, "the connection ended inside the request head");
            return false;
        }
        true
    }

    /// Looks at the clock while nothing comes. Ready when the state changed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Head { head, since } = &mut self.state else { return Poll::Pending };
        let partial = head.begun(&self.kept);
        if !partial && self.timer.waits(cx) {
            // Set before, for no later than the end of this wait. Most polls end here and ask no clock.
            return Poll::Pending;
        }
        loop {
            let deadline = if partial {
                *since.get_or_insert_with(Instant::now) + self.rules.header_time
            } else {
                // While an exchange is in flight the wait has not begun. The timer is set all the same: when it rings
                // this is looked at again, and hyper does not always read between the end of an exchange and the wait.
                let since = self.shared.idle_since().unwrap_or_else(Instant::now);
                // A client that still takes its time to read a response is not idle.
                self.blocked_at.map_or(since, |at| at.max(since)) + self.rules.idle_time
            };
            ready!(self.timer.poll(cx, deadline));
            // It rang, perhaps for an older deadline.
            if Instant::now() < deadline {
                self.timer.set(deadline);
                continue;
            }
            if partial {
                self.refuse_here(408, RefusalKind::HeaderTime, "the request head took longer than `header_time`");
            } else {
                self.state = State::Ended;
            }
            return Poll::Ready(());
        }
    }
}

/// What became of bytes that came.
enum Filled {
    /// Hyper has some.
    Given,
    /// None yet.
    Kept,
    /// None came: the client sends no more.
    End,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guard<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.cleared > 0 {
                this.give_kept(buf);
                return Poll::Ready(Ok(()));
            }
            match &this.state {
                State::Broken(bad) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, *bad))),
                State::Ended | State::Lingering { .. } => return Poll::Ready(Ok(())),
                // The answer is under way, and hyper closes after it. An end here would make it drop the answer.
                State::Refused => return Poll::Pending,
                State::Held => match this.shared.upgrade_decision(cx.waker()) {
                    Some(Decision::Stays) => this.state = State::next_head(),
                    Some(Decision::Switched) => this.state = State::Switched,
                    None if this.kept.len() >= HELD_BYTES => return Poll::Pending,
                    None => {}
                },
                _ => {}
            }
            if this.advance_kept() {
                continue;
            }
            match this.poll_fill(cx, buf) {
                Poll::Ready(Ok(Filled::Given)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(Filled::Kept)) => {}
                Poll::Ready(Ok(Filled::End)) => {
                    if this.end() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => ready!(this.poll_deadline(cx)),
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin> Guard<IO> {
    fn wrote<T>(&mut self, result: Poll<T>) -> Poll<T> {
        if result.is_ready() {
            self.write_blocked = false;
        } else if !self.write_blocked {
            self.write_blocked = true;
            self.blocked_at = Some(Instant::now());
        }
        result
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(cx, buf);
        this.wrote(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_flush(cx);
        this.wrote(result)
    }

    /// Closes our side. Where the client may still be sending (a refused head, a body not read to its end), its bytes are then read and
    /// thrown away for up to ten seconds, or until it is silent for two, so that it gets to read the answer.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !matches!(this.state, State::Lingering { .. }) {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            match this.state {
                State::Refused | State::Broken(_) | State::Known(_) | State::Chunked(_) => {
                    let now = Instant::now();
                    let silent = now + LINGER_SILENCE;
                    this.timer.set(silent);
                    this.kept = Vec::new();
                    this.state = State::Lingering { until: now + LINGER, silent };
                }
                _ => return Poll::Ready(Ok(())),
            }
        }
        let State::Lingering { until, silent } = &mut this.state else { return Poll::Ready(Ok(())) };
        let mut scratch = [0; 16 * 1024];
        let (mut came, mut waits) = (false, false);
        for _ in 0..LINGER_READS {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => came = true,
                // An end or an error: the client is done.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    waits = true;
                    break;
                }
            }
        }
        let now = Instant::now();
        if came {
            *silent = now + LINGER_SILENCE;
        }
        if !waits {
            // Others' turn; and a client that never pauses must meet its deadline too.
            cx.waker().wake_by_ref();
        }
        loop {
            let deadline = (*until).min(*silent);
            if now >= deadline {
                return Poll::Ready(Ok(()));
            }
            ready!(this.timer.poll(cx, deadline));
            // It rang, perhaps for an older deadline.
            if Instant::now() >= deadline {
                return Poll::Ready(Ok(()));
            }
            this.timer.set(deadline);
        }
    }
}
