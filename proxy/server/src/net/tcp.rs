//! A TCP stream that writes small pieces as one.
//!
//! hyper hands over a head and a body, rustls a record or several, each as a list of buffers. For a few KiB the kernel
//! takes longer to read the list than we take to copy the pieces; for more, the list is passed on.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Lists up to this many bytes are joined. A guess between the costs of a page of copying and of an `iovec`; above it
/// bodies are streamed, and their buffers are large.
const JOINED: usize = 8 << 10;

thread_local! {
    static JOIN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A TCP stream that writes small pieces as one.
#[derive(Debug)]
pub struct Tcp(pub TcpStream);

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        if let [buf] = bufs {
            return stream.poll_write(cx, buf);
        }
        if bufs.iter().map(|buf| buf.len()).sum::<usize>() > JOINED {
            return stream.poll_write_vectored(cx, bufs);
        }
        JOIN.with_borrow_mut(|joined| {
            joined.clear();
            bufs.iter().for_each(|buf| joined.extend_from_slice(buf));
            stream.poll_write(cx, joined)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
