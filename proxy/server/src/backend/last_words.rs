//! What a backend said before it broke the connection.
//!
//! A server that refuses an upload answers, closes, and the rest of the upload then meets a reset. hyper's client gives up at the
//! first write that fails, before it reads; the answer, perhaps a 413, lies unread in the socket.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Keeps quiet about a write that failed because the other side has closed, and lets reading find out what that means. Only for
/// HTTP/1.1: whoever would not read before it has written waits for ever.
#[derive(Debug)]
pub struct LastWords<IO> {
    io: IO,
    /// What writing failed with. Reading gives it at the end: after it, an end is no clean one.
    failed: Option<io::ErrorKind>,
}

impl<IO> LastWords<IO> {
    /// Around a connection.
    pub fn new(io: IO) -> Self {
        Self { io, failed: None }
    }

    fn written<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(Err(error)) if is_closed(error.kind()) => {
                self.failed = Some(error.kind());
                // Whoever polls reads first, and has perhaps done so already.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            result => result,
        }
    }
}

fn is_closed(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl<IO: AsyncRead + Unpin> AsyncRead for LastWords<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        match (&result, self.failed) {
            (Poll::Ready(Ok(())), Some(failed)) if buf.filled().len() == before && buf.remaining() > 0 => {
                Poll::Ready(Err(failed.into()))
            }
            _ => result,
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for LastWords<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.failed.is_some() {
            return Poll::Pending;
        }
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.failed.is_some() {
            return Poll::Pending;
        }
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.failed.is_some() {
            return Poll::Pending;
        }
        let result = Pin::new(&mut self.io).poll_flush(cx);
        self.written(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.failed.is_some() {
            // There is nobody left to say goodbye to.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn what_came_before_a_reset_is_read_after_a_failed_write() {
        let (near, mut far) = pair().await;
        let mut near = LastWords::new(near);
        near.write_all(b"never read").await.unwrap();
        far.readable().await.unwrap();
        far.write_all(b"no, thank you").await.unwrap();
        // Bytes that nobody read: a reset.
        drop(far);
        let pushing = async {
            loop {
                near.write_all(&[0; 1000]).await.unwrap();
            }
        };
        assert!(tokio::time::timeout(Duration::from_millis(200), pushing).await.is_err(), "writing waits");
        let mut got = [0; 13];
        near.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"no, thank you");
        assert!(near.read(&mut got).await.is_err(), "the end is no clean one");
    }

    #[tokio::test]
    async fn a_clean_end_stays_one() {
        let (near, mut far) = pair().await;
        let mut near = LastWords::new(near);
        far.write_all(b"all").await.unwrap();
        far.shutdown().await.unwrap();
        let mut got = Vec::new();
        near.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"all");
    }
}
