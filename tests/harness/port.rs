//! Ports that nobody else takes while a scenario uses them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port number chosen by the system, on every loopback address.
///
/// It is held by bound sockets that do not listen. Connecting to it is refused until somebody listens; whoever binds it
/// with `SO_REUSEADDR`, as servers do, gets it; nobody is given it by chance.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _held: [Socket; 2],
}

impl Port {
    /// Reserves a port.
    ///
    /// # Panics
    /// When the system has none.
    pub fn reserve() -> Self {
        for _ in 0..64 {
            let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            let four = bind(any).expect("a port that the system chooses is free");
            let number = four
                .local_addr()
                .ok()
                .and_then(|address| address.as_socket())
                .expect("a bound socket has an address")
                .port();
            // Free on IPv4 does not mean free on IPv6.
            if let Ok(six) = bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, number))) {
                return Self { number, _held: [four, six] };
            }
        }
        panic!("no port is free on both IPv4 and IPv6");
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// On `127.0.0.1`.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

fn bind(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
