//! `idle`: opens many TLS connections, makes one request on each, then keeps them open until a line comes on standard
//! input. Prints `READY opened failed seconds`, and after that line `ALIVE n`.

use std::{
    io::{Read, Write, stdin, stdout},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anyhow::Result;
use rustls::{ClientConnection, pki_types::ServerName};

use crate::{
    args::Args,
    http::Response,
    sys::{self, Moved, Writer},
};

#[derive(Clone, Copy, PartialEq)]
enum State {
    Opening,
    Idle,
    Failed,
}

struct Connection {
    socket: OwnedFd,
    tls: ClientConnection,
    state: State,
    asked: bool,
    response: Response,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let target = args.target()?;
    let count: usize = args.value_or("count", 10_000)?;
    let host = args.get("host").unwrap_or("bench.test").to_owned();
    let request = format!("GET /b/1024 HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
    let name = ServerName::try_from(host)?;
    let config = crate::tls::client()?;
    let poll = sys::Poll::new()?;
    let mut connections: Vec<Connection> = Vec::with_capacity(count);
    let (mut opening, mut idle, mut failed) = (0, 0, 0);
    let mut events = Vec::with_capacity(256);
    let mut buffer = vec![0; 1 << 16];
    let start = Instant::now();
    while idle + failed < count && start.elapsed() < Duration::from_secs(120) {
        while opening < 64 && connections.len() < count {
            let Ok(socket) = sys::connect(&target, None) else { break };
            let tls = ClientConnection::new(config.clone(), name.clone())?;
            poll.add(&socket, sys::ALL, connections.len())?;
            let response = Response::default();
            connections.push(Connection { socket, tls, state: State::Opening, asked: false, response });
            opening += 1;
        }
        poll.wait(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            let connection = &mut connections[event.data.u64() as usize];
            let before = connection.state;
            connection.woken(&request, &mut buffer);
            match (before, connection.state) {
                (State::Opening, State::Idle) => (opening, idle) = (opening - 1, idle + 1),
                (State::Opening, State::Failed) => (opening, failed) = (opening - 1, failed + 1),
                (State::Idle, State::Failed) => (idle, failed) = (idle - 1, failed + 1),
                _ => {}
            }
        }
    }
    println!("READY {idle} {failed} {:.2}", start.elapsed().as_secs_f64());
    stdout().flush()?;
    stdin().read_line(&mut String::new())?;
    for connection in &mut connections {
        connection.woken(&request, &mut buffer);
    }
    println!("ALIVE {}", connections.iter().filter(|connection| connection.state == State::Idle).count());
    Ok(())
}

impl Connection {
    fn woken(&mut self, request: &[u8], buffer: &mut [u8]) {
        if self.state != State::Failed && !self.advance(request, buffer) {
            self.state = State::Failed;
        }
    }

    /// False: the connection failed or was closed.
    fn advance(&mut self, request: &[u8], buffer: &mut [u8]) -> bool {
        if sys::connected(&self.socket).is_err() {
            return false;
        }
        loop {
            if !self.asked && !self.tls.is_handshaking() {
                self.asked = self.tls.writer().write_all(request).is_ok();
            }
            while self.tls.wants_write() {
                match self.tls.write_tls(&mut Writer(&self.socket)) {
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                    // Not connected yet: the next event says more.
                    Err(error) if error.kind() == std::io::ErrorKind::NotConnected => return true,
                    Err(_) => return false,
                }
            }
            match sys::read(&self.socket, buffer) {
                Moved::Bytes(n) => {
                    let mut bytes = &buffer[..n];
                    let mut plain = [0; 4096];
                    while !bytes.is_empty() {
                        if self.tls.read_tls(&mut bytes).is_err() || self.tls.process_new_packets().is_err() {
                            return false;
                        }
                        while let Ok(n @ 1..) = self.tls.reader().read(&mut plain) {
                            self.response.feed(&plain[..n]);
                        }
                    }
                    if self.response.is_done() {
                        self.state = State::Idle;
                    }
                }
                Moved::WouldBlock => return true,
                Moved::End | Moved::Failed(_) => return false,
            }
        }
    }
}
