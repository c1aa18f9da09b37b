//! Sockets and epoll, non-blocking and edge-triggered.

use std::{
    io::{self, IoSlice, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::OwnedFd,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt},
};

pub(crate) use rustix::event::epoll::{Event, EventFlags as Flags};

/// Everything a connection can be woken for.
pub(crate) const ALL: Flags = Flags::IN.union(Flags::OUT).union(Flags::RDHUP).union(Flags::ET);
/// There may be bytes, or an end.
pub(crate) const READABLE: Flags = Flags::IN.union(Flags::RDHUP).union(Flags::ERR).union(Flags::HUP);
/// The other side will send nothing more: a short read no longer means that the socket is empty.
pub(crate) const ENDED: Flags = Flags::RDHUP.union(Flags::ERR).union(Flags::HUP);

/// An epoll instance.
pub(crate) struct Poll(OwnedFd);

impl Poll {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll_create1")?))
    }

    pub(crate) fn add(&self, socket: &OwnedFd, flags: Flags, token: usize) -> Result<()> {
        epoll::add(&self.0, socket, epoll::EventData::new_u64(token as u64), flags).context("epoll_ctl")
    }

    /// Replaces what is in `events`, up to its capacity.
    pub(crate) fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()> {
        events.clear();
        let timeout =
            timeout.map(|wait| Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) });
        match epoll::wait(&self.0, spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("epoll_wait"),
        }
    }
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(socket)
}

pub(crate) fn listen(address: &SocketAddr) -> Result<OwnedFd> {
    let open = || {
        let socket = socket()?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, address)?;
        rustix::net::listen(&socket, 16384)?;
        Ok::<_, Errno>(socket)
    };
    open().with_context(|| format!("listening on {address}"))
}

/// Starts to connect; the end of that shows as writability.
pub(crate) fn connect(address: &SocketAddr, source: Option<Ipv4Addr>) -> rustix::io::Result<OwnedFd> {
    let socket = socket()?;
    if let Some(source) = source {
        // The port is chosen at connect, for the whole four-tuple: one address gives as many connections as there are
        // ports, also while earlier ones are in TIME_WAIT.
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)
            .map_err(|error| Errno::from_raw_os_error(error as i32))?;
        rustix::net::bind(&socket, &SocketAddrV4::new(source, 0))?;
    }
    match rustix::net::connect(&socket, address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// What the kernel has to say about a connect.
pub(crate) fn connected(socket: &OwnedFd) -> rustix::io::Result<()> {
    sockopt::socket_error(socket)?
}

/// The next connection that waits, if any.
pub(crate) fn accept(listener: &OwnedFd) -> Option<OwnedFd> {
    let socket = rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC).ok()?;
    sockopt::set_tcp_nodelay(&socket, true).ok()?;
    Some(socket)
}

/// What came of reading or writing.
pub(crate) enum Moved {
    Bytes(usize),
    WouldBlock,
    End,
    Failed(Errno),
}

impl Moved {
    pub(crate) fn of(result: rustix::io::Result<usize>) -> Self {
        match result {
            Ok(0) => Self::End,
            Ok(n) => Self::Bytes(n),
            Err(Errno::AGAIN | Errno::INTR) => Self::WouldBlock,
            Err(error) => Self::Failed(error),
        }
    }
}

pub(crate) fn read(socket: &OwnedFd, buffer: &mut [u8]) -> Moved {
    Moved::of(rustix::net::recv(socket, buffer, RecvFlags::empty()).map(|(n, _)| n))
}

pub(crate) fn write(socket: &OwnedFd, bytes: &[u8]) -> Moved {
    Moved::of(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))
}

pub(crate) fn end_writing(socket: &OwnedFd) {
    // A socket that is already gone has nothing left to end.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
}

/// `io::Write` on a socket, for rustls.
pub(crate) struct Writer<'a>(pub(crate) &'a OwnedFd);

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::writev(self.0, &slices[..slices.len().min(64)])?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
