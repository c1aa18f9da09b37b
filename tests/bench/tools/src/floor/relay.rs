//! Two sockets. Bytes are copied through this process at first; what turns out to be long is spliced through a pipe, so that
//! they no longer enter it. A pipe for each connection would cost the short ones more than it saves the long ones.

use std::{net::SocketAddr, os::fd::OwnedFd};

use anyhow::Result;
use rustix::{
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, pipe_with, splice},
};

use super::{Floor, Side};
use crate::sys::{self, Flags, Moved};

/// One direction becomes a long one here.
const LONG: u64 = 256 << 10;

pub(super) struct Peer {
    pub(super) socket: OwnedFd,
    other: usize,
    /// What was read from this side and not yet written to the other.
    held: Vec<u8>,
    written: usize,
    /// Reading end, writing end and bytes of the pipe that follows.
    pipe: Option<(OwnedFd, OwnedFd)>,
    piped: usize,
    /// Bytes that were read from this side.
    total: u64,
    /// This side will send nothing more; the other side was told.
    ended: bool,
    told: bool,
}

impl Peer {
    fn new(socket: OwnedFd, other: usize) -> Self {
        Self { socket, other, held: Vec::new(), written: 0, pipe: None, piped: 0, total: 0, ended: false, told: false }
    }

    /// Bytes are there that the other side did not take.
    fn waits(&self) -> bool {
        self.piped > 0 || !self.held.is_empty()
    }

    /// Moves what there is to the other side. False: broken.
    fn pump(&mut self, target: &OwnedFd, flags: Flags, buffer: &mut [u8]) -> bool {
        let moved = self.copy(target, flags, buffer) && (self.pipe.is_none() || self.splice(target));
        if moved && self.ended && !self.waits() && !self.told {
            sys::end_writing(target);
            self.told = true;
        }
        moved
    }

    fn copy(&mut self, target: &OwnedFd, flags: Flags, buffer: &mut [u8]) -> bool {
        loop {
            while self.written < self.held.len() {
                match sys::write(target, &self.held[self.written..]) {
                    Moved::Bytes(n) => self.written += n,
                    Moved::WouldBlock | Moved::Failed(Errno::NOTCONN) => return true,
                    Moved::End | Moved::Failed(_) => return false,
                }
            }
            self.held.clear();
            self.written = 0;
            if self.total >= LONG && self.pipe.is_none() {
                self.pipe = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok();
            }
            if self.ended || self.pipe.is_some() {
                return true;
            }
            let n = match sys::read(&self.socket, buffer) {
                Moved::Bytes(n) => n,
                Moved::WouldBlock | Moved::Failed(Errno::NOTCONN) => return true,
                Moved::End => {
                    self.ended = true;
                    return true;
                }
                Moved::Failed(_) => return false,
            };
            self.total += n as u64;
            let mut bytes = &buffer[..n];
            while !bytes.is_empty() {
                match sys::write(target, bytes) {
                    Moved::Bytes(n) => bytes = &bytes[n..],
                    Moved::WouldBlock | Moved::Failed(Errno::NOTCONN) => break,
                    Moved::End | Moved::Failed(_) => return false,
                }
            }
            self.held.extend_from_slice(bytes);
            if n < buffer.len() && !flags.intersects(sys::ENDED) && self.held.is_empty() {
                return true;
            }
        }
    }

    fn splice(&mut self, target: &OwnedFd) -> bool {
        let Some((reading, writing)) = &self.pipe else { return true };
        if !self.held.is_empty() {
            return true;
        }
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        loop {
            let mut waiting = self.ended;
            if self.piped == 0 && !self.ended {
                match splice(&self.socket, None, writing, None, 1 << 16, flags) {
                    Ok(0) => (self.ended, waiting) = (true, true),
                    Ok(n) => self.piped = n,
                    Err(Errno::AGAIN) => waiting = true,
                    Err(_) => return false,
                }
            }
            if self.piped > 0 {
                match splice(reading, None, target, None, self.piped, flags) {
                    Ok(n) => self.piped -= n,
                    Err(Errno::AGAIN) => waiting = true,
                    Err(_) => return false,
                }
            }
            if waiting {
                return true;
            }
        }
    }
}

impl Floor {
    pub(super) fn relay(&mut self, client: OwnedFd, upstream: &SocketAddr) -> Result<()> {
        let Ok(backend) = sys::connect(upstream, None) else { return Ok(()) };
        let client = self.add(Side::Relay(Peer::new(client, 0)))?;
        let backend = self.add(Side::Relay(Peer::new(backend, client)))?;
        if let Some(Side::Relay(peer)) = self.sides.get_mut(client) {
            peer.other = backend;
        }
        Ok(())
    }

    pub(super) fn relay_woken(&mut self, at: usize, flags: Flags, buffer: &mut [u8]) {
        let Some(Side::Relay(mut peer)) = self.sides.take(at) else { return };
        let other = peer.other;
        let broken_or_done = match self.sides.get_mut(other) {
            Some(Side::Relay(other)) => {
                flags.contains(Flags::ERR)
                    || !peer.pump(&other.socket, flags, buffer)
                    // What the other side sent may have waited for this one to take it.
                    || (other.waits() && !other.pump(&peer.socket, Flags::empty(), buffer))
                    || (peer.told && other.told)
            }
            _ => true,
        };
        self.sides.put(at, Side::Relay(peer));
        if broken_or_done {
            self.sides.remove(at);
            self.sides.remove(other);
        }
    }
}
