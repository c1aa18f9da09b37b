//! `floor`: as little as a single-threaded proxy can do. Not a proxy; a limit to compare proxies with.
//!
//! `--http ADDRESS`, `--tls ADDRESS --cert FILE --key FILE`: HTTP/1.1 framing and bytes moved, kept connections to
//! `--upstream ADDRESS`. `--l4 ADDRESS --l4-upstream ADDRESS`: bytes passed on, nothing read.

mod http;
mod relay;

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use rustls::{ServerConfig, ServerConnection};

use crate::{args::Args, slab::Slab, sys};

/// What a listener's connections are.
enum Kind {
    Http(Option<Arc<ServerConfig>>),
    Relay(SocketAddr),
}

/// One side of something.
enum Side {
    Http(http::Peer),
    Relay(relay::Peer),
}

struct Floor {
    poll: sys::Poll,
    sides: Slab<Side>,
    /// The first token that is a side's.
    base: usize,
    upstream: SocketAddr,
    /// Connections to the upstream that nobody uses.
    pool: Vec<usize>,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let upstream = args.value("upstream")?.context("--upstream ADDRESS is missing")?;
    let mut listeners = Vec::new();
    if let Some(address) = args.value("http")? {
        listeners.push((sys::listen(&address)?, Kind::Http(None)));
    }
    if let Some(address) = args.value("tls")? {
        let (certificate, key) = (args.get("cert").context("--cert is missing")?, args.get("key").context("--key")?);
        listeners.push((sys::listen(&address)?, Kind::Http(Some(crate::tls::server(certificate, key)?))));
    }
    if let Some(address) = args.value("l4")? {
        listeners.push((sys::listen(&address)?, Kind::Relay(args.value_or("l4-upstream", upstream)?)));
    }
    let poll = sys::Poll::new()?;
    for (token, (socket, _)) in listeners.iter().enumerate() {
        poll.add(socket, sys::Flags::IN, token)?;
    }
    let mut floor = Floor { poll, sides: Slab::new(), base: listeners.len(), upstream, pool: Vec::new() };
    let mut events = Vec::with_capacity(256);
    let mut buffer = vec![0; 1 << 18];
    loop {
        floor.poll.wait(&mut events, None)?;
        for event in &events {
            let (token, flags) = (event.data.u64() as usize, event.flags);
            match listeners.get(token) {
                Some((listener, kind)) => {
                    while let Some(socket) = sys::accept(listener) {
                        match kind {
                            Kind::Http(tls) => {
                                let tls = tls.clone().map(ServerConnection::new).transpose()?;
                                floor.add(Side::Http(http::Peer::client(socket, tls)))?;
                            }
                            Kind::Relay(upstream) => floor.relay(socket, upstream)?,
                        }
                    }
                }
                None => {
                    let at = token - floor.base;
                    match floor.sides.get(at) {
                        Some(Side::Http(_)) => floor.http_woken(at, flags, &mut buffer)?,
                        Some(Side::Relay(_)) => floor.relay_woken(at, flags, &mut buffer),
                        None => {}
                    }
                }
            }
        }
        floor.sides.sweep();
    }
}

impl Floor {
    fn add(&mut self, side: Side) -> Result<usize> {
        let at = self.sides.insert(side);
        let socket = match self.sides.get(at) {
            Some(Side::Http(peer)) => &peer.socket,
            Some(Side::Relay(peer)) => &peer.socket,
            None => return Ok(at),
        };
        self.poll.add(socket, sys::ALL, self.base + at)?;
        Ok(at)
    }
}
