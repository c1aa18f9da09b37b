//! A client that sends bytes and looks at bytes.

use std::{net::SocketAddr, sync::Arc};

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Duplex, tcp, tls};
use crate::scenario::soon;

/// A connection.
pub struct Raw {
    stream: Box<dyn Duplex>,
    /// Read and not yet asked for.
    buffer: Vec<u8>,
}

/// An HTTP/1 response as it came.
#[derive(Clone, Debug)]
pub struct RawResponse {
    /// The status.
    pub status: u16,
    /// The head, with its empty line.
    pub head: String,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
    /// The trailer section, as it came.
    pub trailers: String,
    /// Whether the connection ended before the body did.
    pub is_cut: bool,
}

/// Most bytes that a scenario reads into memory.
const MOST: usize = 64 << 20;

impl Raw {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(tcp(address).await)
    }

    /// Connects with TLS.
    ///
    /// # Panics
    /// When the handshake fails.
    pub async fn tls(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Self {
        Self::over(tls(address, name, config).await.expect("the handshake succeeds"))
    }

    /// Over a connection that is there.
    pub fn over(stream: impl Duplex + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new() }
    }

    /// Sends bytes. That the other side may have closed shows when reading.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let write = async {
            drop(self.stream.write_all(bytes.as_ref()).await);
            drop(self.stream.flush().await);
        };
        soon("bytes can be sent", write).await;
    }

    /// Sends bytes in pieces of `size`, letting each leave alone.
    pub async fn send_in_pieces(&mut self, bytes: impl AsRef<[u8]>, size: usize) {
        for piece in bytes.as_ref().chunks(size) {
            self.send(piece).await;
            // The reader on the other side gets a chance to see this piece alone; whether it does is its business.
            tokio::time::sleep(std::time::Duration::from_micros(300)).await;
        }
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        drop(self.stream.shutdown().await);
    }

    /// Reads once. Empty at the end, also where the end is a reset.
    pub async fn read(&mut self) -> Vec<u8> {
        if !self.buffer.is_empty() {
            return std::mem::take(&mut self.buffer);
        }
        let mut bytes = vec![0; 64 * 1024];
        let read = soon("bytes arrive, or the end", self.stream.read(&mut bytes)).await.unwrap_or(0);
        bytes.truncate(read);
        bytes
    }

    /// Reads up to the end of the connection.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.buffer);
        while self.more(&mut all).await {}
        all
    }

    /// Reads exactly `length` bytes; fewer when the connection ends before.
    pub async fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.buffer);
        while all.len() < length && self.more(&mut all).await {}
        if all.len() > length {
            self.buffer = all.split_off(length);
        }
        all
    }

    /// Reads up to and with `end`; everything when the connection ends before.
    pub async fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.buffer);
        loop {
            if let Some(at) = find(&all, end) {
                self.buffer = all.split_off(at + end.len());
                return all;
            }
            if !self.more(&mut all).await {
                return all;
            }
        }
    }

    /// Whether the connection ended, with nothing left to read.
    pub async fn is_closed(&mut self) -> bool {
        self.read().await.is_empty()
    }

    /// Sends a request and reads its response.
    pub async fn exchange(&mut self, request: impl AsRef<[u8]>) -> RawResponse {
        self.send(request).await;
        self.response().await
    }

    /// Reads a response to a request that was not HEAD.
    ///
    /// # Panics
    /// When what comes is not one.
    pub async fn response(&mut self) -> RawResponse {
        self.response_to("GET").await
    }

    /// Reads a response to a request with this method.
    ///
    /// # Panics
    /// When what comes is not one.
    pub async fn response_to(&mut self, method: &str) -> RawResponse {
        let head = self.read_until(b"\r\n\r\n").await;
        let head = String::from_utf8(head).expect("the proxy's heads are text");
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let Some(status) = status else { panic!("no response but {head:?}") };
        let mut response = RawResponse { status, head, body: Vec::new(), trailers: String::new(), is_cut: false };
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return response;
        }
        if response.header("transfer-encoding").is_some() {
            self.read_chunked(&mut response).await;
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().expect("the proxy's lengths are numbers");
            response.body = self.read_exactly(length).await;
            response.is_cut = response.body.len() < length;
        } else {
            response.body = self.read_to_end().await;
        }
        response
    }

    async fn read_chunked(&mut self, response: &mut RawResponse) {
        loop {
            let line = self.read_until(b"\r\n").await;
            let size = std::str::from_utf8(&line)
                .ok()
                .and_then(|line| usize::from_str_radix(line.trim_end().split(';').next()?, 16).ok());
            let Some(size) = size else {
                response.is_cut = true;
                return;
            };
            if size == 0 {
                break;
            }
            let chunk = self.read_exactly(size + 2).await;
            if chunk.len() < size + 2 {
                response.body.extend_from_slice(&chunk[..chunk.len().min(size)]);
                response.is_cut = true;
                return;
            }
            response.body.extend_from_slice(&chunk[..size]);
        }
        loop {
            let line = self.read_until(b"\r\n").await;
            if line.len() <= 2 {
                response.is_cut = line.is_empty();
                return;
            }
            response.trailers.push_str(&String::from_utf8_lossy(&line));
        }
    }

    async fn more(&mut self, all: &mut Vec<u8>) -> bool {
        assert!(all.len() < MOST, "the proxy sends more than a scenario can want");
        let mut bytes = [0; 16 * 1024];
        let read = soon("bytes arrive, or the end", self.stream.read(&mut bytes)).await.unwrap_or(0);
        all.extend_from_slice(&bytes[..read]);
        read > 0
    }
}

impl RawResponse {
    /// The value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
