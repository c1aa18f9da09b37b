//! Binding listening sockets: one per worker and address, sharing the port by SO_REUSEPORT.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Connections the kernel queues per socket while a worker is busy. The kernel lowers it to `net.core.somaxconn`
/// (4096 by default since Linux 5.4) without a word; [`backlog_warning`] says so.
pub const BACKLOG: u32 = 4096;

/// Why an address could not be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address as configured.
    pub address: SocketAddr,
    /// What the kernel said.
    pub cause: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, port) = (self.address, self.address.port());
        match self.cause.kind() {
            ErrorKind::AddrInUse => write!(
                f,
                "cannot listen on {address}: another process listens there; `ss -ltnp 'sport = :{port}'` shows which"
            ),
            ErrorKind::PermissionDenied if port < 1024 => write!(
                f,
                "cannot listen on {address}: a port below 1024 needs the capability CAP_NET_BIND_SERVICE; give it with \
                 `setcap cap_net_bind_service=+ep` on the executable, with `AmbientCapabilities=CAP_NET_BIND_SERVICE` \
                 in the systemd unit, or lower the bound with `sysctl net.ipv4.ip_unprivileged_port_start={port}`"
            ),
            ErrorKind::AddrNotAvailable => write!(
                f,
                "cannot listen on {address}: no interface of this host has that address; `ip address` lists those it has"
            ),
            _ => write!(f, "cannot listen on {address}: {}", self.cause),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Binds `count` listening, nonblocking sockets to `address`, one for each worker. With port 0 all get the port that
/// the first was given.
///
/// SO_REUSEPORT lets a second process of the same user share the port in silence, each then getting some of the
/// connections. So the address is first bound and listened on without it, which fails while anybody else listens. (Between
/// closing that socket and binding ours another process may still slip in; it must ask for SO_REUSEPORT too and run
/// as the same user, which an accident rarely does.) The probe is left out for port 0, and where an address of `held`,
/// those that this process listens on already, overlaps: it would find ourselves.
///
/// IPv6 sockets are IPv6 only, so that `0.0.0.0:443` and `[::]:443` stand beside each other. Accepted connections
/// inherit TCP_NODELAY and keepalive from the listening socket, which saves three system calls for each.
pub fn bind(address: SocketAddr, count: usize, held: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    let failed = |cause| BindError { address, cause };
    if address.port() != 0 && !held.iter().any(|other| overlap(*other, address)) {
        listen(address, Port::Exclusive).map_err(failed)?;
    }
    let mut listeners = Vec::with_capacity(count);
    let mut bound = address;
    for _ in 0..count {
        let listener = listen(bound, Port::Shared).map_err(failed)?;
        bound = listener.local_addr().map_err(failed)?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Accepts what the kernel has queued on a listener that is about to close, so that a client whose connection was
/// already acknowledged is served instead of reset. Does not wait.
///
/// Connections whose TCP handshake is still under way are not in that queue; with other listeners on the port the
/// client's retransmitted ACK reaches one of them only where `net.ipv4.tcp_migrate_req` is set, else it gets a reset.
pub fn drain_backlog(listener: TcpListener) -> Vec<(std::net::TcpStream, SocketAddr)> {
    let mut queued = Vec::new();
    // The bound is a guard: the queue holds no more, but new connections may arrive while it is emptied.
    for _ in 0..2 * BACKLOG {
        match listener.accept() {
            // Unlike the socket options, O_NONBLOCK is not inherited on Linux.
            Ok((stream, peer)) if stream.set_nonblocking(true).is_ok() => queued.push((stream, peer)),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
            Err(_) => break,
        }
    }
    queued
}

/// The options that accepted connections inherit, for one that this process opened itself: TCP_NODELAY (each write here is a
/// whole message or as much of it as there is; Nagle's algorithm would only delay it) and keepalive.
pub fn tune(stream: &tokio::net::TcpStream) -> io::Result<()> {
    set_options(&SockRef::from(stream))
}

/// A sentence for the log when the kernel's limit is below [`BACKLOG`].
pub fn backlog_warning() -> Option<String> {
    let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse::<u32>().ok()?;
    (limit < BACKLOG).then(|| {
        format!(
            "net.core.somaxconn is {limit}: bursts of more than {limit} new connections per worker are dropped; \
             `sysctl net.core.somaxconn={BACKLOG}` raises it"
        )
    })
}

/// Whether listening on both addresses competes for the same connections.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && (a.ip() == b.ip() || any(a.ip()) || any(b.ip()))
}

#[derive(Clone, Copy, PartialEq)]
enum Port {
    Shared,
    Exclusive,
}

fn listen(address: SocketAddr, port: Port) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Lets a restarted proxy bind while connections of its predecessor are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if port == Port::Shared {
        socket.set_reuse_port(true)?;
        set_options(&SockRef::from(&socket))?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG as i32)?;
    Ok(socket.into())
}

fn set_options(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    // A peer that vanished without a word is noticed after 60 + 4 * 15 seconds of silence, also by connections
    // that may be silent for long (WebSockets, raw TCP); rare enough to cost nothing.
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15)).with_retries(4);
    socket.set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn workers_share_one_port() {
        let listeners = bind(loopback(0), 3, &[]).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        assert_ne!(port, 0);
        assert!(listeners.iter().all(|l| l.local_addr().unwrap().port() == port));
    }

    #[test]
    fn a_port_that_someone_listens_on_is_refused_and_the_message_says_how_to_find_out_who() {
        let other = bind(loopback(0), 1, &[]).unwrap();
        let address = other[0].local_addr().unwrap();
        let error = bind(address, 1, &[]).unwrap_err().to_string();
        assert!(error.contains("another process listens there; `ss -ltnp 'sport = :"), "{error}");
        assert!(bind(SocketAddr::from(([0, 0, 0, 0], address.port())), 1, &[]).is_err(), "0.0.0.0 overlaps it");
    }

    #[test]
    fn an_address_that_overlaps_our_own_is_not_probed() {
        let own = bind(loopback(0), 1, &[]).unwrap();
        let address = own[0].local_addr().unwrap();
        let wide = SocketAddr::from(([0, 0, 0, 0], address.port()));
        assert!(bind(wide, 2, &[address]).is_ok());
    }

    #[test]
    fn both_families_listen_on_one_port() {
        let v4 = bind(SocketAddr::from(([0, 0, 0, 0], 0)), 1, &[]).unwrap();
        let port = v4[0].local_addr().unwrap().port();
        let v6 = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port));
        match bind(v6, 1, &[]) {
            Ok(_) => {}
            // A host without IPv6 has nothing to prove here.
            Err(error) => assert!(!matches!(error.cause.kind(), ErrorKind::AddrInUse), "{error}"),
        }
    }

    #[test]
    fn an_address_of_no_interface_says_so() {
        let error = bind("192.0.2.1:0".parse().unwrap(), 1, &[]).unwrap_err().to_string();
        assert!(error.contains("no interface of this host has that address"), "{error}");
    }

    #[test]
    fn a_low_port_without_the_right_names_the_capability() {
        let cause = io::Error::from(ErrorKind::PermissionDenied);
        let error = BindError { address: loopback(443), cause }.to_string();
        assert!(error.contains("CAP_NET_BIND_SERVICE"), "{error}");
        assert!(error.contains("ip_unprivileged_port_start=443"), "{error}");
    }

    #[test]
    fn accepted_connections_inherit_their_options() {
        let listener = bind(loopback(0), 1, &[]).unwrap().remove(0);
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap());
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
    }

    #[test]
    fn queued_connections_survive_the_end_of_their_listener() {
        let listener = bind(loopback(0), 1, &[]).unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        let mut clients: Vec<_> = (0..5).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let queued = drain_backlog(listener);
        assert_eq!(queued.len(), 5);
        for (mut stream, _) in queued {
            stream.write_all(b"!").unwrap();
        }
        for client in &mut clients {
            client.read_exact(&mut [0]).unwrap();
        }
    }
}
