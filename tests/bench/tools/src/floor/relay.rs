//! Two sockets and two pipes: bytes never enter this process.

use std::{net::SocketAddr, os::fd::OwnedFd};

use anyhow::Result;
use rustix::{
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, pipe_with, splice},
};

use super::{Floor, Side};
use crate::sys::{self, Flags};

pub(super) struct Peer {
    pub(super) socket: OwnedFd,
    /// What was read from this side waits here: reading end, writing end, bytes in it.
    pipe: (OwnedFd, OwnedFd),
    piped: usize,
    other: usize,
    /// This side will send nothing more; the other side was told.
    ended: bool,
    told: bool,
}

impl Floor {
    pub(super) fn relay(&mut self, client: OwnedFd, upstream: &SocketAddr) -> Result<()> {
        let Ok(backend) = sys::connect(upstream, None) else { return Ok(()) };
        let flags = PipeFlags::NONBLOCK | PipeFlags::CLOEXEC;
        let peer = |socket, pipe, other| Side::Relay(Peer { socket, pipe, piped: 0, other, ended: false, told: false });
        let client = self.add(peer(client, pipe_with(flags)?, 0))?;
        let backend = self.add(peer(backend, pipe_with(flags)?, client))?;
        if let Some(peer) = self.relay_peer(client) {
            peer.other = backend;
        }
        Ok(())
    }

    fn relay_peer(&mut self, at: usize) -> Option<&mut Peer> {
        match self.sides.get_mut(at) {
            Some(Side::Relay(peer)) => Some(peer),
            _ => None,
        }
    }

    pub(super) fn relay_woken(&mut self, at: usize, flags: Flags) {
        let Some(other) = self.relay_peer(at).map(|peer| peer.other) else { return };
        let broken = flags.contains(Flags::ERR) || !self.pump(at, other) || !self.pump(other, at);
        let told = |floor: &mut Self, at| floor.relay_peer(at).is_none_or(|peer| peer.told);
        if broken || (told(self, at) && told(self, other)) {
            self.sides.remove(at);
            self.sides.remove(other);
        }
    }

    /// Moves what there is, one way. False: broken.
    fn pump(&mut self, from: usize, to: usize) -> bool {
        let (Some(Side::Relay(source)), Some(Side::Relay(target))) = (self.sides.get(from), self.sides.get(to)) else {
            return false;
        };
        let (mut piped, mut ended, flags) = (source.piped, source.ended, SpliceFlags::MOVE | SpliceFlags::NONBLOCK);
        loop {
            let mut waiting = ended;
            if piped == 0 && !ended {
                match splice(&source.socket, None, &source.pipe.1, None, 1 << 16, flags) {
                    Ok(0) => (ended, waiting) = (true, true),
                    Ok(n) => piped = n,
                    Err(Errno::AGAIN | Errno::NOTCONN) => waiting = true,
                    Err(_) => return false,
                }
            }
            if piped > 0 {
                match splice(&source.pipe.0, None, &target.socket, None, piped, flags) {
                    Ok(n) => piped -= n,
                    Err(Errno::AGAIN | Errno::NOTCONN) => waiting = true,
                    Err(_) => return false,
                }
            }
            if waiting {
                break;
            }
        }
        let tell = ended && piped == 0 && !source.told;
        if tell {
            sys::end_writing(&target.socket);
        }
        if let Some(source) = self.relay_peer(from) {
            (source.piped, source.ended) = (piped, ended);
            source.told |= tell;
        }
        true
    }
}
