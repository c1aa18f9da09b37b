//! The PROXY protocol, versions 1 and 2: who the client is, told by a proxy in front of us, or by us to a backend.
//!
//! Specification: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>. Whether a peer is believed is decided
//! before this module is called; a peer that is must send a header (section 2: a receiver that guesses lets
//! anybody choose an address).

use std::{
    fmt, io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use bytes::{Buf, BytesMut};
use ppp::{v1, v2};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, timeout_at},
};

use crate::error::{Error, Kind};
pub use portcullis_config::backend::ProxyVersion;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// A connection made for a client.
    Proxied {
        /// Its address.
        client: SocketAddr,
        /// The address it connected to.
        local: SocketAddr,
    },
    /// A connection that the proxy makes for itself (LOCAL, a health check), or for somebody without an IP address
    /// (UNKNOWN, UNSPEC, a Unix socket): the addresses of the connection itself count.
    Local,
}

/// Why no header could be had.
#[derive(Debug)]
pub enum ProxyError {
    /// The first bytes are not those of a header.
    Missing,
    /// They begin a header that breaks the format.
    Malformed(String),
    /// The connection closed before the header was whole.
    Closed,
    /// The header was not whole at the deadline.
    Deadline,
    /// The connection broke.
    Io(io::Error),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(
                "no PROXY protocol header; this peer is in the listener's `proxy_protocol` networks and must send one",
            ),
            Self::Malformed(why) => write!(f, "malformed PROXY protocol header: {why}"),
            Self::Closed => f.write_str("the peer closed before its PROXY protocol header was whole"),
            Self::Deadline => f.write_str("the PROXY protocol header did not arrive in time"),
            Self::Io(cause) => write!(f, "while reading the PROXY protocol header: {cause}"),
        }
    }
}

impl std::error::Error for ProxyError {}

impl From<ProxyError> for Error {
    fn from(error: ProxyError) -> Self {
        let kind = match error {
            ProxyError::Missing | ProxyError::Malformed(_) => Kind::HttpRequestError,
            ProxyError::Closed | ProxyError::Io(_) => Kind::ConnectionTerminated,
            ProxyError::Deadline => Kind::ConnectionReadTimeout,
        };
        let status = if kind == Kind::ConnectionReadTimeout { 408 } else { 400 };
        Error::client(kind, status, error.to_string())
    }
}

/// Reads one header. `buffer` holds what was read of the connection so far (usually nothing) and afterwards what came behind
/// the header. Waits until `deadline` at most. When dropped midway, what was read is in `buffer`.
pub async fn read<IO: AsyncRead + Unpin>(
    stream: &mut IO,
    buffer: &mut BytesMut,
    deadline: Instant,
) -> Result<Header, ProxyError> {
    loop {
        if let Some((header, length)) = parse(buffer)? {
            buffer.advance(length);
            return Ok(header);
        }
        // The room bounds what is read: an incomplete version 1 header is shorter than its limit, and version 2 announces its length.
        buffer.reserve(FIRST_READ);
        match timeout_at(deadline, stream.read_buf(buffer)).await {
            Err(_) => return Err(ProxyError::Deadline),
            Ok(Err(cause)) => return Err(ProxyError::Io(cause)),
            Ok(Ok(0)) => return Err(ProxyError::Closed),
            Ok(Ok(_)) => {}
        }
    }
}

/// The header at the front of `bytes` and its length; `None` while it is not whole. Linear in the header's length, and
/// decided as soon as the bytes cannot become a header.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, ProxyError> {
    if starts_like(bytes, v2::PROTOCOL_PREFIX) {
        parse_binary(bytes)
    } else if starts_like(bytes, b"PROXY ") {
        parse_text(bytes)
    } else {
        Err(ProxyError::Missing)
    }
}

/// The header that tells a backend about `client`, who connected to `local`. Where the two are of different families, the IPv4
/// address is written as an IPv4-mapped IPv6 one: neither version can mix them.
pub fn encode(version: ProxyVersion, client: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let (client, local) = one_family(client, local);
    match version {
        ProxyVersion::V1 => {
            let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("PROXY {family} {} {} {} {}\r\n", client.ip(), local.ip(), client.port(), local.port()).into_bytes()
        }
        ProxyVersion::V2 => {
            let mut header = Vec::with_capacity(16 + 36);
            header.extend_from_slice(v2::PROTOCOL_PREFIX);
            header.push(v2::Version::Two | v2::Command::Proxy);
            match (client.ip(), local.ip()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    header.push(v2::AddressFamily::IPv4 | v2::Protocol::Stream);
                    header.extend_from_slice(&12_u16.to_be_bytes());
                    header.extend_from_slice(&from.octets());
                    header.extend_from_slice(&to.octets());
                }
                (from, to) => {
                    header.push(v2::AddressFamily::IPv6 | v2::Protocol::Stream);
                    header.extend_from_slice(&36_u16.to_be_bytes());
                    header.extend_from_slice(&mapped(from).octets());
                    header.extend_from_slice(&mapped(to).octets());
                }
            }
            header.extend_from_slice(&client.port().to_be_bytes());
            header.extend_from_slice(&local.port().to_be_bytes());
            header
        }
    }
}

fn parse_text(bytes: &[u8]) -> Result<Option<(Header, usize)>, ProxyError> {
    let window = &bytes[..bytes.len().min(TEXT_MAX)];
    // The parser is shown whole lines only: to it, half an address is a wrong address.
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() == TEXT_MAX {
            Err(ProxyError::Malformed(format!("no end of line within {TEXT_MAX} bytes")))
        } else {
            Ok(None)
        };
    };
    let header = v1::Header::try_from(&window[..=end]).map_err(malformed)?;
    // It takes the first CR for the end; a line whose end is not where it says is not one line.
    if header.header.len() != end + 1 {
        return Err(ProxyError::Malformed("bare CR inside the line".into()));
    }
    let header = match header.addresses {
        v1::Addresses::Unknown => Header::Local,
        v1::Addresses::Tcp4(a) => Header::Proxied {
            client: (a.source_address, a.source_port).into(),
            local: (a.destination_address, a.destination_port).into(),
        },
        v1::Addresses::Tcp6(a) => Header::Proxied {
            client: (a.source_address, a.source_port).into(),
            local: (a.destination_address, a.destination_port).into(),
        },
    };
    Ok(Some((header, end + 1)))
}

fn parse_binary(bytes: &[u8]) -> Result<Option<(Header, usize)>, ProxyError> {
    let Some(length) = bytes.get(14..16) else { return Ok(None) };
    let total = 16 + usize::from(u16::from_be_bytes([length[0], length[1]]));
    if total > BINARY_MAX {
        return Err(ProxyError::Malformed(format!("it announces {total} bytes; {BINARY_MAX} are allowed")));
    }
    if bytes.len() < total {
        return Ok(None);
    }
    let header = v2::Header::try_from(&bytes[..total]).map_err(malformed)?;
    let proxied = header.command == v2::Command::Proxy;
    let header = match header.addresses {
        // Section 2.2: under LOCAL the receiver must ignore the addresses.
        _ if !proxied => Header::Local,
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => Header::Local,
        _ if header.protocol != v2::Protocol::Stream => {
            return Err(ProxyError::Malformed("it speaks of datagrams, on a stream".into()));
        }
        v2::Addresses::IPv4(a) => Header::Proxied {
            client: (a.source_address, a.source_port).into(),
            local: (a.destination_address, a.destination_port).into(),
        },
        v2::Addresses::IPv6(a) => Header::Proxied {
            client: (a.source_address, a.source_port).into(),
            local: (a.destination_address, a.destination_port).into(),
        },
    };
    Ok(Some((header, total)))
}

fn malformed(error: impl fmt::Display) -> ProxyError {
    ProxyError::Malformed(error.to_string().trim_end_matches('.').to_owned())
}

/// Whether `bytes` begin with `prefix`, as far as they go.
fn starts_like(bytes: &[u8], prefix: &[u8]) -> bool {
    let length = bytes.len().min(prefix.len());
    bytes[..length] == prefix[..length]
}

fn one_family(client: SocketAddr, local: SocketAddr) -> (SocketAddr, SocketAddr) {
    let (from, to) = (client.ip().to_canonical(), local.ip().to_canonical());
    let (from, to) = if from.is_ipv4() == to.is_ipv4() { (from, to) } else { (mapped(from).into(), mapped(to).into()) };
    (SocketAddr::new(from, client.port()), SocketAddr::new(to, local.port()))
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Section 2.1: the longest version 1 header, with its CRLF.
const TEXT_MAX: usize = 107;
/// Version 2 could announce 64 KiB. Addresses take 216 bytes at most; the rest is TLVs that we do not read (certificates
/// of clients are the largest seen).
const BINARY_MAX: usize = 4096;
/// Enough for a header and most of a ClientHello that came with it.
const FIRST_READ: usize = 2048;

#[cfg(test)]
mod tests;
