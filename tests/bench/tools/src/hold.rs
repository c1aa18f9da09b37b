//! `hold`: many POST requests at once that stop in the middle of their bodies, until a line comes on standard input; then the rest is sent.
//! Prints `READY opened seconds` once the first halves are on their way, and in the end `ANSWERED n`, of those with status 200.

use std::{
    io::{Write, stdin, stdout},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    args::Args,
    http::Response,
    sys::{self, Moved},
};

/// Bytes of a body. Half of it goes at once.
const BODY: usize = 2048;

struct Exchange {
    socket: OwnedFd,
    /// How much of the request was sent.
    sent: usize,
    response: Response,
    over: bool,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let target = args.target()?;
    let count: usize = args.value_or("count", 10_000)?;
    let head = format!("POST /b/64 HTTP/1.1\r\nHost: bench.test\r\nContent-Length: {BODY}\r\n\r\n");
    let mut request = head.into_bytes();
    let half = request.len() + BODY / 2;
    request.resize(request.len() + BODY, b'h');
    let mut all = All { poll: sys::Poll::new()?, exchanges: Vec::with_capacity(count) };
    let start = Instant::now();
    while all.exchanges.len() < count && start.elapsed() < Duration::from_secs(120) {
        for _ in 0..64.min(count - all.exchanges.len()) {
            let Ok(socket) = sys::connect(&target, None) else { break };
            all.poll.add(&socket, sys::ALL, all.exchanges.len())?;
            all.exchanges.push(Exchange { socket, sent: 0, response: Response::default(), over: false });
        }
        all.advance(&request[..half], |exchange| exchange.over || exchange.sent == half)?;
    }
    println!("READY {} {:.2}", all.exchanges.len(), start.elapsed().as_secs_f64());
    stdout().flush()?;
    stdin().read_line(&mut String::new())?;
    all.advance(&request, |exchange| exchange.over)?;
    let answered = all.exchanges.iter().filter(|exchange| {
        exchange.response.is_done() && exchange.response.head().is_some_and(|head| head.status == 200)
    });
    println!("ANSWERED {}", answered.count());
    Ok(())
}

struct All {
    poll: sys::Poll,
    exchanges: Vec<Exchange>,
}

impl All {
    /// Sends as much of `request` as it has, until `done` holds for every exchange, for a minute at most.
    fn advance(&mut self, request: &[u8], done: impl Fn(&Exchange) -> bool) -> Result<()> {
        let mut events = Vec::with_capacity(512);
        let mut buffer = vec![0; 1 << 16];
        let start = Instant::now();
        for exchange in self.exchanges.iter_mut().filter(|exchange| !done(exchange)) {
            exchange.woken(request, &mut buffer);
        }
        while start.elapsed() < Duration::from_secs(60) && !self.exchanges.iter().all(&done) {
            self.poll.wait(&mut events, Some(Duration::from_millis(100)))?;
            for event in &events {
                self.exchanges[event.data.u64() as usize].woken(request, &mut buffer);
            }
        }
        Ok(())
    }
}

impl Exchange {
    fn woken(&mut self, request: &[u8], buffer: &mut [u8]) {
        if !self.over {
            self.over = sys::connected(&self.socket).is_err() || !self.advance(request, buffer);
        }
    }

    /// False: it is over.
    fn advance(&mut self, request: &[u8], buffer: &mut [u8]) -> bool {
        while self.sent < request.len() {
            match sys::write(&self.socket, &request[self.sent..]) {
                Moved::Bytes(n) => self.sent += n,
                // Also while it is not connected yet.
                Moved::WouldBlock => break,
                Moved::End | Moved::Failed(_) => return false,
            }
        }
        loop {
            match sys::read(&self.socket, buffer) {
                Moved::Bytes(n) => {
                    self.response.feed(&buffer[..n]);
                    if self.response.is_done() {
                        return false;
                    }
                }
                Moved::WouldBlock => return true,
                Moved::End | Moved::Failed(_) => return false,
            }
        }
    }
}
