//! HTTP/1.1: the end of a message is found, and its bytes are passed on as they are.

use std::{
    io::{BufRead, ErrorKind, Write},
    os::fd::OwnedFd,
};

use anyhow::Result;
use rustls::ServerConnection;

use super::{Floor, Side};
use crate::{
    http::{self, Body},
    sys::{self, Flags, Moved, Writer},
};

pub(super) struct Peer {
    pub(super) socket: OwnedFd,
    client: bool,
    tls: Option<Box<ServerConnection>>,
    /// The exchange's other side.
    other: Option<usize>,
    /// What waits to be written, and how much of it was.
    output: Vec<u8>,
    written: usize,
    /// A head that is not whole yet.
    head: Vec<u8>,
    body: Option<Body>,
    close: bool,
    /// Reading stopped because the other side does not take more.
    stalled: bool,
    ended: bool,
}

impl Peer {
    pub(super) fn client(socket: OwnedFd, tls: Option<ServerConnection>) -> Self {
        Self { client: true, tls: tls.map(Box::new), ..Self::backend(socket) }
    }

    fn backend(socket: OwnedFd) -> Self {
        Self {
            socket,
            client: false,
            tls: None,
            other: None,
            output: Vec::new(),
            written: 0,
            head: Vec::new(),
            body: None,
            close: false,
            stalled: false,
            ended: false,
        }
    }

    /// Writes what waits. False: broken.
    fn flush(&mut self) -> bool {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut Writer(&self.socket)) {
                    Ok(_) => {}
                    Err(error) => return error.kind() == ErrorKind::WouldBlock,
                }
            }
            return true;
        }
        while self.written < self.output.len() {
            match sys::write(&self.socket, &self.output[self.written..]) {
                Moved::Bytes(n) => self.written += n,
                Moved::WouldBlock => return true,
                Moved::End | Moved::Failed(_) => return false,
            }
        }
        self.output.clear();
        self.written = 0;
        true
    }

    /// Writes bytes, or keeps what the socket does not take. False: broken.
    fn send(&mut self, bytes: &[u8]) -> bool {
        if let Some(tls) = &mut self.tls {
            tls.set_buffer_limit(None);
            return tls.writer().write_all(bytes).is_ok() && self.flush();
        }
        let mut bytes = bytes;
        while self.output.is_empty() && !bytes.is_empty() {
            match sys::write(&self.socket, bytes) {
                Moved::Bytes(n) => bytes = &bytes[n..],
                Moved::WouldBlock => break,
                Moved::End | Moved::Failed(_) => return false,
            }
        }
        self.output.extend_from_slice(bytes);
        true
    }

    fn has_backlog(&self) -> bool {
        !self.output.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Decrypts. None: broken.
    fn decrypt(tls: &mut ServerConnection, mut bytes: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes).ok()?;
            tls.process_new_packets().ok()?;
            let mut reader = tls.reader();
            while let Ok(some @ [_, ..]) = reader.fill_buf() {
                let n = some.len();
                plain.extend_from_slice(some);
                reader.consume(n);
            }
        }
        Some(plain)
    }
}

impl Floor {
    fn peer(&mut self, at: usize) -> Option<&mut Peer> {
        match self.sides.get_mut(at) {
            Some(Side::Http(peer)) => Some(peer),
            _ => None,
        }
    }

    /// Ends a connection, and the exchange's other one.
    fn end(&mut self, at: usize) {
        if let Some(Side::Http(peer)) = self.sides.remove(at) {
            self.pool.retain(|idle| *idle != at);
            if let Some(other) = peer.other {
                self.end(other);
            }
        }
    }

    pub(super) fn http_woken(&mut self, at: usize, flags: Flags, buffer: &mut [u8]) -> Result<()> {
        let Some(peer) = self.peer(at) else { return Ok(()) };
        peer.ended |= flags.contains(Flags::RDHUP);
        if flags.contains(Flags::ERR) || (flags.contains(Flags::OUT) && !peer.flush()) {
            self.end(at);
            return Ok(());
        }
        if flags.contains(Flags::OUT) && !peer.has_backlog() {
            let other = peer.other;
            if let Some(other) = other
                && let Some(source) = self.peer(other)
                && std::mem::take(&mut source.stalled)
            {
                self.readable(other, buffer)?;
            }
        }
        if flags.intersects(sys::READABLE) { self.readable(at, buffer) } else { Ok(()) }
    }

    fn readable(&mut self, at: usize, buffer: &mut [u8]) -> Result<()> {
        loop {
            let Some(other) = self.peer(at).map(|peer| peer.other) else { return Ok(()) };
            let full = other.and_then(|other| self.peer(other)).is_some_and(|other| other.has_backlog());
            let Some(peer) = self.peer(at) else { return Ok(()) };
            peer.stalled = full;
            if full {
                return Ok(());
            }
            let n = match sys::read(&peer.socket, buffer) {
                Moved::Bytes(n) => n,
                Moved::WouldBlock => return Ok(()),
                Moved::End | Moved::Failed(_) => {
                    self.end(at);
                    return Ok(());
                }
            };
            let whole = match &mut peer.tls {
                None => self.message(at, &buffer[..n])?,
                Some(tls) => match Peer::decrypt(tls, &buffer[..n]) {
                    Some(plain) if peer.flush() => plain.is_empty() || self.message(at, &plain)?,
                    _ => false,
                },
            };
            if !whole {
                self.end(at);
                return Ok(());
            }
            if n < buffer.len() && !self.peer(at).is_some_and(|peer| peer.ended) {
                return Ok(());
            }
        }
    }

    /// Passes bytes of a message on. False: broken.
    fn message(&mut self, at: usize, bytes: &[u8]) -> Result<bool> {
        let Some(peer) = self.peer(at) else { return Ok(false) };
        let mut held = std::mem::take(&mut peer.head);
        let mut bytes = bytes;
        let mut needs_backend = false;
        if let Some(body) = &mut peer.body {
            body.feed(bytes);
        } else {
            if !held.is_empty() {
                held.extend_from_slice(bytes);
                bytes = &held;
            }
            let Some(length) = http::head_length(bytes) else {
                peer.head = bytes.to_vec();
                return Ok(true);
            };
            let head = http::parse_head(&bytes[..length]);
            let mut body = if peer.client { Body::of_request(&head) } else { Body::of_response(&head) };
            body.feed(&bytes[length..]);
            peer.body = Some(body);
            peer.close = head.close;
            needs_backend = peer.client && peer.other.is_none();
        }
        if needs_backend && !self.lease(at)? {
            return Ok(false);
        }
        let Some(other) = self.peer(at).and_then(|peer| peer.other) else { return Ok(false) };
        // A backend that still connects takes the bytes with its first event.
        if !self.peer(other).is_some_and(|other| other.send(bytes)) {
            return Ok(false);
        }
        let whole = self.peer(at).is_some_and(|peer| !peer.client && peer.body.is_some_and(|body| body.is_done()));
        if whole {
            self.exchanged(at, other);
        }
        Ok(true)
    }

    /// Finds a client its backend.
    fn lease(&mut self, client: usize) -> Result<bool> {
        let backend = match self.pool.pop() {
            Some(idle) => idle,
            None => {
                let Ok(socket) = sys::connect(&self.upstream, None) else { return Ok(false) };
                self.add(Side::Http(Peer::backend(socket)))?
            }
        };
        for (at, other) in [(client, backend), (backend, client)] {
            if let Some(peer) = self.peer(at) {
                peer.other = Some(other);
            }
        }
        Ok(true)
    }

    /// The response has gone: both connections are free.
    fn exchanged(&mut self, backend: usize, client: usize) {
        let mut free = |at| {
            self.peer(at).is_some_and(|peer| {
                (peer.body, peer.other) = (None, None);
                peer.close
            })
        };
        let (close_backend, close_client) = (free(backend), free(client));
        if close_backend {
            self.end(backend);
        } else {
            self.pool.push(backend);
        }
        if close_client {
            self.end(client);
        }
    }
}
