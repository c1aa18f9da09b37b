//! `load`: a closed-loop HTTP/1.1 load generator, plain or over TLS 1.3. Prints one line of JSON.
//!
//! A connection is as many requests as there is time for, or one with `--close`. With `--raw` a request is bytes, and
//! its answer everything until the other side closes.

mod connection;
mod report;

use std::{
    collections::{BTreeMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};

use crate::{args::Args, sys};
use connection::{Answer, Connection, State, Woken};

/// What is asked, of whom, for how long.
struct Plan {
    target: SocketAddr,
    requests: Vec<Vec<u8>>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// One request a connection.
    close: bool,
    /// No HTTP; the answer begins with this.
    raw: Option<Vec<u8>>,
    status: u16,
    /// How many addresses of 127.0.1.0/24 to connect from; 0 leaves it to the system.
    sources: u8,
    warmup: Duration,
    duration: Duration,
}

/// A run.
struct Load {
    plan: Plan,
    poll: sys::Poll,
    start: Instant,
    stopping: bool,
    next_request: usize,
    next_source: u8,
    /// Connections to open again, and when.
    retries: VecDeque<(Instant, usize)>,
    busy: usize,
    results: Results,
}

/// What a run gives.
#[derive(Default)]
struct Results {
    /// Microseconds, of the requests that ended after the warm-up.
    latencies: Vec<u32>,
    total: u64,
    bytes: u64,
    connects: u64,
    failures: BTreeMap<String, u64>,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let connections: usize = args.value_or("conns", 64)?;
    let mut load = Load {
        plan: Plan::from_args(args)?,
        poll: sys::Poll::new()?,
        start: Instant::now(),
        stopping: false,
        next_request: 0,
        next_source: 0,
        retries: VecDeque::new(),
        busy: 0,
        results: Results { latencies: Vec::with_capacity(1 << 20), ..Results::default() },
    };
    let mut connections: Vec<_> = (0..connections).map(|_| Connection::default()).collect();
    load.run(&mut connections)?;
    println!("{}", load.results.into_json(load.plan.duration));
    Ok(())
}

impl Plan {
    fn from_args(args: &Args) -> Result<Self> {
        let host = args.get("host").unwrap_or("bench.test").to_owned();
        let requests = match args.get("requests-file") {
            Some(file) => {
                parse_requests(&std::fs::read(file).with_context(|| file.to_owned())?).context(file.to_owned())?
            }
            None => vec![request(&host, args.get("path").unwrap_or("/b/1024"), args.value_or("body-size", 0)?)],
        };
        let tls = if args.flag("tls") { Some((crate::tls::client()?, ServerName::try_from(host)?)) } else { None };
        Ok(Self {
            target: args.target()?,
            requests,
            tls,
            close: args.flag("close"),
            raw: args.get("raw").map(|prefix| prefix.as_bytes().to_vec()),
            status: args.value_or("expect-status", 200)?,
            sources: args.value_or("sources", 0)?,
            warmup: Duration::from_secs_f64(args.value_or("warmup", 0.5)?),
            duration: Duration::from_secs_f64(args.value_or("duration", 3.0)?),
        })
    }
}

/// Records of `<decimal length>\n<bytes>`.
fn parse_requests(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut requests = Vec::new();
    while !bytes.is_empty() {
        let line = memchr::memchr(b'\n', bytes).context("no line feed after a length")?;
        let length: usize = std::str::from_utf8(&bytes[..line])?.parse()?;
        let rest = &bytes[line + 1..];
        requests.push(rest.get(..length).context("a request is cut short")?.to_vec());
        bytes = &rest[length..];
    }
    anyhow::ensure!(!requests.is_empty(), "no requests");
    Ok(requests)
}

fn request(host: &str, path: &str, body: usize) -> Vec<u8> {
    let mut request = if body == 0 {
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: benchtool\r\nAccept: */*\r\n\r\n")
    } else {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: benchtool\r\nAccept: */*\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {body}\r\n\r\n"
        )
    }
    .into_bytes();
    request.resize(request.len() + body, b'u');
    request
}

impl Load {
    fn run(&mut self, connections: &mut [Connection]) -> Result<()> {
        let mut events = Vec::with_capacity(512);
        let mut buffer = vec![0; 1 << 18];
        for (token, connection) in connections.iter_mut().enumerate() {
            self.open(connection, token)?;
        }
        let end = self.start + self.plan.warmup + self.plan.duration;
        loop {
            let now = Instant::now();
            self.stopping |= now >= end;
            if self.stopping && (self.busy == 0 || now > end + Duration::from_secs(15)) {
                break;
            }
            while let Some((_, token)) = self.retries.pop_front_if(|(at, _)| *at <= now) {
                self.open(&mut connections[token], token)?;
            }
            self.poll.wait(&mut events, Some(Duration::from_millis(10)))?;
            for event in &events {
                let token = event.data.u64() as usize;
                self.woken(&mut connections[token], token, event.flags, &mut buffer)?;
            }
        }
        if self.busy > 0 {
            self.results.failures.insert("no answer at the end".into(), self.busy as u64);
        }
        Ok(())
    }

    fn open(&mut self, connection: &mut Connection, token: usize) -> Result<()> {
        if self.stopping {
            return Ok(());
        }
        let source = (self.plan.sources > 0).then(|| {
            self.next_source = (self.next_source + 1) % self.plan.sources;
            Ipv4Addr::new(127, 0, 1, self.next_source + 1)
        });
        match sys::connect(&self.plan.target, source) {
            Ok(socket) => {
                self.poll.add(&socket, sys::ALL, token)?;
                let tls = match &self.plan.tls {
                    Some((config, name)) => {
                        let mut tls = ClientConnection::new(config.clone(), name.clone())?;
                        tls.set_buffer_limit(Some(1 << 18));
                        Some(Box::new(tls))
                    }
                    None => None,
                };
                self.results.connects += 1;
                connection.opened(socket, tls);
            }
            Err(error) => {
                self.results.fail(format!("connect: {error}"));
                self.retries.push_back((Instant::now() + Duration::from_millis(10), token));
            }
        }
        Ok(())
    }

    fn woken(&mut self, connection: &mut Connection, token: usize, flags: sys::Flags, buffer: &mut [u8]) -> Result<()> {
        loop {
            let answer = if self.plan.raw.is_some() { Answer::Raw } else { Answer::Http };
            match connection.advance(&self.plan.requests, answer, flags, buffer) {
                Woken::Waiting => return Ok(()),
                Woken::Ready => {
                    if self.stopping {
                        connection.close();
                        return Ok(());
                    }
                    connection.begin(self.next_request % self.plan.requests.len());
                    self.next_request += 1;
                    self.busy += 1;
                }
                Woken::Answered => {
                    self.busy -= 1;
                    self.answered(connection);
                    if connection.state() != State::Ready {
                        return self.open(connection, token);
                    }
                }
                Woken::Failed(why) => {
                    let (state, asked) = (connection.state(), connection.served() > 0);
                    connection.close();
                    match state {
                        State::Closed => return Ok(()),
                        // Between requests the other side may close.
                        State::Ready if asked => return self.open(connection, token),
                        State::Busy => {
                            self.busy -= 1;
                            let when = if asked { "on a kept connection" } else { "on a new connection" };
                            self.results.fail(format!("{why} {when}"));
                        }
                        State::Opening | State::Ready => self.results.fail(format!("{why} while opening")),
                    }
                    // Not at once: a proxy that refuses must not be flooded by its own refusals.
                    self.retries.push_back((Instant::now() + Duration::from_millis(10), token));
                    return Ok(());
                }
            }
        }
    }

    /// Counts an answer, and closes the connection where it was the last one on it.
    fn answered(&mut self, connection: &mut Connection) {
        self.results.total += 1;
        self.results.bytes += connection.content();
        // A request that is a whole connection begins with it.
        let begun =
            if self.plan.close || self.plan.raw.is_some() { connection.opened_at() } else { connection.begun_at() };
        if self.start.elapsed() >= self.plan.warmup && !self.stopping {
            let micros = begun.elapsed().as_micros();
            self.results.latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
        }
        match &self.plan.raw {
            Some(prefix) if connection.start() != prefix.as_slice() => self.results.fail("wrong first bytes".into()),
            Some(_) => {}
            None if connection.status() != self.plan.status => {
                self.results.fail(format!("status {}", connection.status()));
            }
            None => {}
        }
        if self.plan.close || self.plan.raw.is_some() || connection.must_close() {
            connection.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_requests;

    #[test]
    fn reads_records_of_length_and_bytes() {
        let requests = parse_requests(b"3\nabc2\n\n\n").ok();
        assert_eq!(requests, Some(vec![b"abc".to_vec(), b"\n\n".to_vec()]));
    }

    #[test]
    fn refuses_a_record_that_is_cut_short() {
        assert!(parse_requests(b"9\nabc").is_err());
    }
}
