//! A client's bytes: TCP, with what was read ahead put back, with or without TLS; and a client that takes no bytes
//! for too long is given up, whatever protocol the layer above speaks.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::{
    alarm::Alarm,
    net::{rewind::Rewind, tcp::Tcp},
};

/// A client's bytes.
pub struct ClientIo {
    inner: Inner,
    stall: Duration,
    stalled: Alarm,
    is_stalled: bool,
    ending: Arc<Ending>,
}

/// How a connection ends when it ends now. A response whose end is the end of its connection must not end cleanly before it is whole, or a
/// part would pass for all of it: then the connection is reset.
#[derive(Debug, Default)]
pub struct Ending(AtomicU8);

impl Ending {
    const CLEAN: u8 = 0;
    /// Inside such a response.
    const CUT: u8 = 1;
    /// Its last byte was given to hyper: a clean end from the moment that hyper has written it, and shuts down.
    const WRITING: u8 = 2;

    /// Such a response begins.
    pub fn begins(&self) {
        self.0.store(Self::CUT, Relaxed);
    }

    /// The response, if it is such a one, is whole.
    pub fn is_whole(&self) {
        if self.0.load(Relaxed) == Self::CUT {
            self.0.store(Self::WRITING, Relaxed);
        }
    }
}

enum Inner {
    Plain(Rewind<Tcp>),
    Tls(Box<TlsStream<Tcp>>),
}

impl ClientIo {
    /// Plain bytes. A write that makes no progress for `stall` fails.
    pub fn plain(stream: Rewind<Tcp>, stall: Duration) -> Self {
        Self::new(Inner::Plain(stream), stall)
    }

    /// Bytes inside TLS.
    pub fn tls(stream: TlsStream<Tcp>, stall: Duration) -> Self {
        Self::new(Inner::Tls(Box::new(stream)), stall)
    }

    fn new(inner: Inner, stall: Duration) -> Self {
        Self { inner, stall, stalled: Alarm::new(), is_stalled: false, ending: Arc::default() }
    }

    /// For who knows how the connection's last response ends.
    pub fn ending(&self) -> Arc<Ending> {
        self.ending.clone()
    }

    fn tcp(&self) -> &TcpStream {
        match &self.inner {
            Inner::Plain(stream) => &stream.get_ref().0,
            Inner::Tls(stream) => &stream.get_ref().0.0,
        }
    }

    fn poll_stall<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.is_stalled = false;
            return result;
        }
        if !self.is_stalled {
            self.is_stalled = true;
            self.stalled.set_after(self.stall);
        }
        self.stalled.poll(cx).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no bytes")))
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.ending.0.load(Relaxed) != Ending::CLEAN {
            // Without lingering, closing sends a reset. When it fails the connection is gone already.
            let _ = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
        }
    }
}

macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match &mut $self.inner {
            Inner::Plain($stream) => $call,
            Inner::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for ClientIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = either!(self, stream => Pin::new(stream).poll_write(cx, buf));
        self.poll_stall(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = either!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs));
        self.poll_stall(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Plain(stream) => stream.is_write_vectored(),
            Inner::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = either!(self, stream => Pin::new(stream).poll_flush(cx));
        self.poll_stall(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ending.0.load(Relaxed) == Ending::CUT {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let result = either!(self, stream => Pin::new(stream).poll_shutdown(cx));
        if let Poll::Ready(Ok(())) = result {
            self.ending.0.store(Ending::CLEAN, Relaxed);
        }
        self.poll_stall(cx, result)
    }
}
