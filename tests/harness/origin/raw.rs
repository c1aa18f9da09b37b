//! Origins that are scripted byte by byte.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use super::listen;
use crate::{port::Port, scenario::runtime};

/// An origin that runs a script on each connection.
#[derive(Debug)]
pub struct RawOrigin {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
    _port: Port,
}

impl RawOrigin {
    /// Runs `script` on each connection; it is told how many came before.
    pub async fn start<F>(script: impl Fn(TcpStream, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let port = Port::reserve();
        let listener = listen(port.address()).await;
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        let accepting = runtime().spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                drop(stream.set_nodelay(true));
                // A script ends when the proxy closes, or with the runtime.
                tokio::spawn(script(stream, counter.fetch_add(1, SeqCst)));
            }
        });
        Self { address: port.address(), connections, accepting, _port: port }
    }

    /// Reads a request's head, sends `response`, and closes; on every connection.
    pub async fn answering(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::start(move |mut stream, _| {
            let response = response.clone();
            async move {
                read_head(&mut stream).await;
                drop(stream.write_all(&response).await);
                drop(stream.shutdown().await);
            }
        })
        .await
    }

    /// Echoes bytes until the other side has said all, then closes.
    pub async fn echo() -> Self {
        Self::start(|mut stream, _| async move {
            let (mut from, mut to) = stream.split();
            drop(tokio::io::copy(&mut from, &mut to).await);
            drop(to.shutdown().await);
        })
        .await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Reads up to the end of a head, and gives what came; less when the other side closed.
pub async fn read_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => head.extend_from_slice(&buffer[..read]),
        }
    }
    head
}

/// Closes with a reset instead of an end.
pub fn reset(stream: TcpStream) {
    drop(stream.set_zero_linger());
}
