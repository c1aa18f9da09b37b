//! `backend`: a static origin. Bodies come from memory; request bodies are read and counted.
//!
//! `--http ADDRESS=ID`: `GET .../b/N` answers N bytes, after the request's body if there is one; `GET /head` answers the request's own head.
//! `--raw ADDRESS=ID:N`: waits for a TLS record, then sends `ID`, a line feed and N bytes, and closes.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    os::fd::OwnedFd,
    rc::Rc,
};

use anyhow::{Context, Result};
use memchr::memmem;

use crate::{
    args::Args,
    http::{self, Body},
    slab::Slab,
    sys::{self, Moved},
};

struct Listener {
    socket: OwnedFd,
    id: String,
    /// The number of bytes that a raw listener sends.
    raw: Option<usize>,
}

/// A request whose body is being read.
struct Request {
    body: Body,
    received: u64,
    wanted: usize,
    /// Its head, where that is asked for.
    head: Option<Vec<u8>>,
    close: bool,
}

struct Connection {
    socket: OwnedFd,
    listener: usize,
    input: Vec<u8>,
    request: Option<Request>,
    output: VecDeque<(Rc<[u8]>, usize)>,
    /// Nothing follows what is in `output`.
    last: bool,
    ended: bool,
}

/// Answers by listener and length.
type Answers = HashMap<(usize, usize), Rc<[u8]>>;

pub(crate) fn main(args: &Args) -> Result<()> {
    let listeners = listeners(args)?;
    let poll = sys::Poll::new()?;
    for (token, listener) in listeners.iter().enumerate() {
        poll.add(&listener.socket, sys::Flags::IN, token)?;
    }
    let mut connections = Slab::new();
    let mut answers = Answers::new();
    let mut events = Vec::with_capacity(512);
    let mut buffer = vec![0; 1 << 18];
    loop {
        poll.wait(&mut events, None)?;
        for event in &events {
            let (token, flags) = (event.data.u64() as usize, event.flags);
            if let Some(listener) = listeners.get(token) {
                while let Some(socket) = sys::accept(&listener.socket) {
                    let at = connections.insert(Connection::new(socket, token));
                    if let Some(connection) = connections.get(at) {
                        poll.add(&connection.socket, sys::ALL, listeners.len() + at)?;
                    }
                }
                continue;
            }
            let at = token - listeners.len();
            if let Some(connection) = connections.get_mut(at)
                && !connection.woken(flags, &listeners[connection.listener], &mut answers, &mut buffer)
            {
                connections.remove(at);
            }
        }
        connections.sweep();
    }
}

fn listeners(args: &Args) -> Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for (option, raw) in [("http", false), ("raw", true)] {
        for value in args.all(option) {
            let (address, id) = value.split_once('=').context("--http ADDRESS=ID")?;
            let (id, raw) = if raw {
                let (id, length) = id.split_once(':').context("--raw ADDRESS=ID:LENGTH")?;
                (id, Some(length.parse()?))
            } else {
                (id, None)
            };
            listeners.push(Listener { socket: sys::listen(&address.parse::<SocketAddr>()?)?, id: id.to_owned(), raw });
        }
    }
    Ok(listeners)
}

impl Connection {
    fn new(socket: OwnedFd, listener: usize) -> Self {
        Self { socket, listener, input: Vec::new(), request: None, output: VecDeque::new(), last: false, ended: false }
    }

    /// False: the connection is over.
    fn woken(&mut self, flags: sys::Flags, listener: &Listener, answers: &mut Answers, buffer: &mut [u8]) -> bool {
        if flags.contains(sys::Flags::ERR) {
            return false;
        }
        while flags.intersects(sys::READABLE) {
            match sys::read(&self.socket, buffer) {
                Moved::Bytes(n) => {
                    match listener.raw {
                        Some(length) => self.raw(&buffer[..n], listener, length, answers),
                        None => self.http(&buffer[..n], listener, answers),
                    }
                    if n < buffer.len() && !flags.intersects(sys::ENDED) {
                        break;
                    }
                }
                Moved::WouldBlock => break,
                Moved::End | Moved::Failed(_) => return false,
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> bool {
        while let Some((bytes, at)) = self.output.front_mut() {
            match sys::write(&self.socket, &bytes[*at..]) {
                Moved::Bytes(n) => {
                    *at += n;
                    if *at == bytes.len() {
                        self.output.pop_front();
                    }
                }
                Moved::WouldBlock => return true,
                Moved::End | Moved::Failed(_) => return false,
            }
        }
        if self.last && !self.ended {
            sys::end_writing(&self.socket);
            self.ended = true;
        }
        true
    }

    fn raw(&mut self, bytes: &[u8], listener: &Listener, length: usize, answers: &mut Answers) {
        if self.last {
            return;
        }
        self.input.extend_from_slice(bytes);
        let record = self.input.get(3..5).map(|size| 5 + usize::from(size[0]) * 256 + usize::from(size[1]));
        if record.is_some_and(|record| self.input.len() >= record) {
            let answer = answers.entry((self.listener, length)).or_insert_with(|| {
                let mut bytes = format!("{}\n", listener.id).into_bytes();
                bytes.resize(bytes.len() + length, b'x');
                bytes.into()
            });
            self.output.push_back((answer.clone(), 0));
            self.last = true;
        }
    }

    fn http(&mut self, bytes: &[u8], listener: &Listener, answers: &mut Answers) {
        let mut held = std::mem::take(&mut self.input);
        let mut bytes = if held.is_empty() {
            bytes
        } else {
            held.extend_from_slice(bytes);
            &held
        };
        while !bytes.is_empty() {
            let request = match &mut self.request {
                Some(request) => request,
                None => {
                    let Some(length) = http::head_length(bytes) else {
                        self.input.extend_from_slice(bytes);
                        return;
                    };
                    let head = http::parse_head(&bytes[..length]);
                    let wanted = wanted(&bytes[..length]);
                    let echoed = bytes.starts_with(b"GET /head ").then(|| bytes[..length].to_vec());
                    bytes = &bytes[length..];
                    let body = Body::of_request(&head);
                    self.request.insert(Request { body, received: 0, wanted, head: echoed, close: head.close })
                }
            };
            let (used, content) = request.body.feed(bytes);
            request.received += content;
            bytes = &bytes[used..];
            if request.body.is_done() {
                let (received, wanted, head) = (request.received, request.wanted, request.head.take());
                self.last |= request.close;
                self.request = None;
                let make = || answer(&listener.id, &vec![b'a'; wanted], received);
                let answer = match (head, received) {
                    (Some(head), _) => answer(&listener.id, &head, received),
                    (None, 0) => answers.entry((self.listener, wanted)).or_insert_with(make).clone(),
                    (None, _) => make(),
                };
                self.output.push_back((answer, 0));
            }
        }
    }
}

/// The N of `/b/N` in the request target; 1024 without it.
fn wanted(head: &[u8]) -> usize {
    let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    memmem::find(target, b"/b/").map_or(1024, |at| {
        let digits = target[at + 3..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |n, digit| n * 10 + usize::from(digit - b'0'))
    })
}

fn answer(id: &str, body: &[u8], received: u64) -> Rc<[u8]> {
    let length = body.len();
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nX-Backend: {id}\r\n\
         X-Received: {received}\r\n\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes.into()
}
