//! One connection of the load generator: moves bytes, knows when an answer is whole.

use std::{
    io::{BufRead, ErrorKind, Write},
    os::fd::OwnedFd,
    time::Instant,
};

use rustls::ClientConnection;

use crate::{
    http::Response,
    sys::{self, Flags, Moved, Writer},
};

/// Bytes that are remembered of a raw answer.
const START: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    Closed,
    /// Connecting or shaking hands.
    Opening,
    /// May be given a request.
    Ready,
    /// A request is under way.
    Busy,
}

/// How an answer ends.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Answer {
    Http,
    /// With the connection.
    Raw,
}

/// What came of an event.
pub(super) enum Woken {
    /// Nothing more to do before the next event.
    Waiting,
    /// The connection wants a request; advance it again after.
    Ready,
    /// The answer is whole; advance it again if it stays open.
    Answered,
    Failed(String),
}

pub(super) struct Connection {
    socket: Option<OwnedFd>,
    tls: Option<Box<ClientConnection>>,
    state: State,
    /// Which request, and how much of it went out.
    request: (usize, usize),
    response: Response,
    raw_content: u64,
    raw_start: Vec<u8>,
    opened_at: Instant,
    begun_at: Instant,
    served: u32,
    /// The last read filled less than the buffer: the socket is empty until the next event.
    drained: bool,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            socket: None,
            tls: None,
            state: State::Closed,
            request: (0, 0),
            response: Response::default(),
            raw_content: 0,
            raw_start: Vec::new(),
            opened_at: Instant::now(),
            begun_at: Instant::now(),
            served: 0,
            drained: false,
        }
    }
}

impl Connection {
    pub(super) fn opened(&mut self, socket: OwnedFd, tls: Option<Box<ClientConnection>>) {
        *self = Self { socket: Some(socket), tls, state: State::Opening, ..Self::default() };
    }

    pub(super) fn close(&mut self) {
        self.socket = None;
        self.tls = None;
        self.state = State::Closed;
    }

    pub(super) fn begin(&mut self, request: usize) {
        self.state = State::Busy;
        self.request = (request, 0);
        self.response.restart();
        self.raw_content = 0;
        self.raw_start.clear();
        self.begun_at = Instant::now();
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn served(&self) -> u32 {
        self.served
    }

    pub(super) fn opened_at(&self) -> Instant {
        self.opened_at
    }

    pub(super) fn begun_at(&self) -> Instant {
        self.begun_at
    }

    /// Bytes of the answer's body.
    pub(super) fn content(&self) -> u64 {
        self.response.content + self.raw_content
    }

    pub(super) fn status(&self) -> u16 {
        self.response.head().map_or(0, |head| head.status)
    }

    pub(super) fn must_close(&self) -> bool {
        self.response.head().is_none_or(|head| head.close) || self.response.ends_with_connection()
    }

    /// The first bytes of a raw answer.
    pub(super) fn start(&self) -> &[u8] {
        &self.raw_start
    }

    /// Does what can be done now. After [`Woken::Ready`] and [`Woken::Answered`] there may be more.
    pub(super) fn advance(&mut self, requests: &[Vec<u8>], answer: Answer, flags: Flags, buffer: &mut [u8]) -> Woken {
        if self.state == State::Opening && self.tls.as_ref().is_none_or(|tls| tls.is_handshaking()) {
            if let Some(Err(error)) = self.socket.as_ref().map(sys::connected) {
                return Woken::Failed(format!("connect: {error}"));
            }
            if self.tls.is_none() {
                if !flags.intersects(Flags::OUT) {
                    return Woken::Waiting;
                }
                self.state = State::Ready;
            }
        }
        if self.state == State::Ready {
            return Woken::Ready;
        }
        if let Err(error) = self.send(requests) {
            return Woken::Failed(error);
        }
        if self.drained && !flags.intersects(sys::ENDED) {
            self.drained = false;
            return Woken::Waiting;
        }
        if !flags.intersects(sys::READABLE) {
            return Woken::Waiting;
        }
        self.receive(requests, answer, flags, buffer)
    }

    /// Pushes out what is pending.
    fn send(&mut self, requests: &[Vec<u8>]) -> Result<(), String> {
        let Some(socket) = &self.socket else { return Ok(()) };
        loop {
            let pending = match self.state {
                State::Busy => &requests[self.request.0][self.request.1..],
                _ => &[],
            };
            let Some(tls) = &mut self.tls else {
                if pending.is_empty() {
                    return Ok(());
                }
                match sys::write(socket, pending) {
                    Moved::Bytes(n) => self.request.1 += n,
                    Moved::WouldBlock | Moved::End => return Ok(()),
                    Moved::Failed(error) => return Err(format!("write: {error}")),
                }
                continue;
            };
            if !pending.is_empty() {
                self.request.1 += tls.writer().write(pending).map_err(|error| format!("write: {error}"))?;
            }
            if !tls.wants_write() {
                return Ok(());
            }
            while tls.wants_write() {
                match tls.write_tls(&mut Writer(socket)) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(format!("write: {error}")),
                }
            }
        }
    }

    fn receive(&mut self, requests: &[Vec<u8>], answer: Answer, flags: Flags, buffer: &mut [u8]) -> Woken {
        loop {
            let Some(socket) = &self.socket else { return Woken::Waiting };
            let n = match sys::read(socket, buffer) {
                Moved::Bytes(n) => n,
                Moved::WouldBlock => return Woken::Waiting,
                Moved::End => {
                    let whole = match answer {
                        Answer::Raw => self.raw_content > 0,
                        Answer::Http => self.response.ends_with_connection(),
                    };
                    return if self.state == State::Busy && whole { self.answered() } else { self.broken("closed") };
                }
                Moved::Failed(error) => return self.broken(&error.to_string()),
            };
            let short = n < buffer.len();
            if let Err(error) = self.take(&buffer[..n], answer) {
                return Woken::Failed(error);
            }
            let whole = self.state == State::Busy && answer == Answer::Http && self.response.is_done();
            if whole || self.state == State::Ready {
                self.drained = short;
                return if whole { self.answered() } else { Woken::Ready };
            }
            if let Err(error) = self.send(requests) {
                return Woken::Failed(error);
            }
            if short && !flags.intersects(sys::ENDED) {
                return Woken::Waiting;
            }
        }
    }

    /// Takes bytes off the wire.
    fn take(&mut self, mut bytes: &[u8], answer: Answer) -> Result<(), String> {
        let Some(mut tls) = self.tls.take() else { return self.plain(bytes, answer) };
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes).map_err(|error| format!("TLS: {error}"))?;
            tls.process_new_packets().map_err(|error| format!("TLS: {error}"))?;
            let mut reader = tls.reader();
            while let Ok(plain @ [_, ..]) = reader.fill_buf() {
                let n = plain.len();
                self.plain(plain, answer)?;
                reader.consume(n);
            }
        }
        if self.state == State::Opening && !tls.is_handshaking() {
            self.state = State::Ready;
        }
        self.tls = Some(tls);
        Ok(())
    }

    fn plain(&mut self, bytes: &[u8], answer: Answer) -> Result<(), String> {
        if self.state != State::Busy {
            return Err("bytes that nobody asked for".into());
        }
        match answer {
            Answer::Raw => {
                let missing = START.saturating_sub(self.raw_start.len());
                self.raw_start.extend(bytes.iter().take(missing));
                self.raw_content += bytes.len() as u64;
            }
            Answer::Http if self.response.feed(bytes) < bytes.len() => {
                return Err("bytes after the response".into());
            }
            Answer::Http => {}
        }
        Ok(())
    }

    fn answered(&mut self) -> Woken {
        self.served += 1;
        self.state = State::Ready;
        Woken::Answered
    }

    fn broken(&self, why: &str) -> Woken {
        let part = if self.state == State::Busy && (self.response.has_begun() || self.raw_content > 0) {
            " in the middle of an answer"
        } else {
            ""
        };
        Woken::Failed(format!("{why}{part}"))
    }
}
