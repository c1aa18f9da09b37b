//! Reading a ClientHello off a connection without taking it away: the bytes stay in the caller's buffer, to be handed
//! to the TLS engine or replayed to an endpoint.
//!
//! The format is RFC 8446 section 4.1.2 (the same frame since TLS 1.0), carried in records (section 5.1) that may be
//! cut anywhere. A parser of our own and not rustls's, because passthrough must find the name also in hellos that rustls
//! would refuse (TLS 1.0 only, say), and because a refusal should say what the client offered. Where TLS is
//! terminated, rustls parses the same bytes again and is the one that counts.

use std::{fmt, io, net::IpAddr, sync::Arc};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, timeout_at},
};

use super::ja4::{TCP, fingerprint};
use crate::error::{Error, Kind};

/// What a ClientHello says, as far as we ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// `server_name` (RFC 6066 section 3), lower case, without a trailing dot. `None` also for an IP address, which that section
    /// forbids and some clients send.
    pub sni: Option<Arc<str>>,
    /// The newest version offered, as on the wire (0x0303 is TLS 1.2); versions of drafts and GREASE aside.
    pub newest: u16,
    /// The protocol list (RFC 7301) as on the wire.
    protocols: Box<[u8]>,
}

impl Hello {
    /// The protocols offered, the client's favourite first.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        let mut reader = Reader(&self.protocols);
        std::iter::from_fn(move || reader.vector8())
    }

    /// The newest version offered, in words.
    pub fn newest_name(&self) -> &'static str {
        match self.newest {
            0x0304.. => "TLS 1.3",
            0x0303 => "TLS 1.2",
            0x0302 => "TLS 1.1",
            0x0301 => "TLS 1.0",
            _ => "SSL 3",
        }
    }
}

/// Why there is no ClientHello.
#[derive(Debug)]
pub enum HelloError {
    /// The client speaks HTTP without TLS.
    PlainHttp,
    /// The first bytes are not a TLS record with a ClientHello.
    NotTls,
    /// More than [`LIMIT`] bytes.
    TooLarge,
    /// A ClientHello that breaks the format; what is wrong.
    Malformed(&'static str),
    /// The client closed after so many bytes.
    Closed(usize),
    /// Not whole at the deadline; so many bytes had arrived.
    Deadline(usize),
    /// The connection broke.
    Io(io::Error),
}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlainHttp => f.write_str("plain HTTP on a TLS port; the client should use https://"),
            Self::NotTls => f.write_str("the client does not speak TLS"),
            Self::TooLarge => write!(f, "ClientHello larger than {LIMIT} bytes"),
            Self::Malformed(what) => write!(f, "malformed ClientHello: {what}"),
            Self::Closed(0) => f.write_str("the client closed without sending a ClientHello"),
            Self::Closed(read) => write!(f, "the client closed after {read} bytes of its ClientHello"),
            Self::Deadline(0) => f.write_str("no ClientHello in time"),
            Self::Deadline(read) => write!(f, "ClientHello not whole in time; {read} bytes arrived"),
            Self::Io(cause) => write!(f, "while reading the ClientHello: {cause}"),
        }
    }
}

impl std::error::Error for HelloError {}

impl From<HelloError> for Error {
    fn from(error: HelloError) -> Self {
        let kind = match error {
            HelloError::PlainHttp => Kind::HttpRequestError,
            HelloError::NotTls | HelloError::TooLarge | HelloError::Malformed(_) => Kind::TlsProtocolError,
            HelloError::Closed(_) | HelloError::Io(_) => Kind::ConnectionTerminated,
            HelloError::Deadline(_) => Kind::ConnectionReadTimeout,
        };
        let status = if kind == Kind::ConnectionReadTimeout { 408 } else { 400 };
        Error::client(kind, status, error.to_string())
    }
}

/// The most bytes of records read for one ClientHello. With post-quantum key shares it takes 1.5 to 2 KiB; with
/// resumption and many certificate authorities somewhat more. rustls has the same bound.
pub const LIMIT: usize = 64 * 1024;

/// Reads until `buffer` begins with a whole ClientHello, which stays in it (with whatever came behind). `buffer` may hold
/// bytes already. Waits until `deadline` at most. When dropped midway, what was read is in `buffer`.
pub async fn read<IO: AsyncRead + Unpin>(
    stream: &mut IO,
    buffer: &mut BytesMut,
    deadline: Instant,
) -> Result<Hello, HelloError> {
    let mut records = Records::default();
    loop {
        if let Some(hello) = records.advance(buffer, parse_body)? {
            return Ok(hello);
        }
        // Most hellos fit into the first read. The room bounds how far past [`LIMIT`] the buffer can grow.
        buffer.reserve(READ);
        match timeout_at(deadline, stream.read_buf(buffer)).await {
            Err(_) => return Err(HelloError::Deadline(buffer.len())),
            Ok(Err(cause)) => return Err(HelloError::Io(cause)),
            Ok(Ok(0)) => return Err(HelloError::Closed(buffer.len())),
            Ok(Ok(_)) => {}
        }
    }
}

/// The ClientHello at the front of `bytes`; `None` while it is not whole. Opens no socket, reads no clock.
pub fn parse(bytes: &[u8]) -> Result<Option<Hello>, HelloError> {
    Records::default().advance(bytes, parse_body)
}

/// The JA4 fingerprint of the ClientHello at the front of `bytes`, in its 36 characters; `None` where [`parse`] finds no whole one, and where
/// a part is broken that only the fingerprint asks for. It is not part of [`Hello`] because it takes two hashes and a sort, and few ask.
pub fn ja4(bytes: &[u8]) -> Option<Arc<str>> {
    let fingerprint = |body: &[u8]| fingerprint(body, TCP).ok_or(HelloError::Malformed("extensions"));
    Records::default().advance(bytes, fingerprint).ok()?
}

/// Where the walk over the records stands. It goes on where it stopped, so that a client that sends a byte at a
/// time costs no more than one that does not.
#[derive(Debug, Default)]
struct Records {
    /// Start of the first record that is not whole yet.
    next: usize,
    /// Handshake bytes of the records before it; empty while the message may fit into the first record.
    gathered: Vec<u8>,
}

impl Records {
    /// What `read` makes of the message's body, once it is whole.
    fn advance<T>(
        &mut self,
        bytes: &[u8],
        read: impl Fn(&[u8]) -> Result<T, HelloError>,
    ) -> Result<Option<T>, HelloError> {
        if self.next == 0 {
            check_start(bytes)?;
        }
        while let Some(&[kind, major, _, high, low]) = bytes.get(self.next..self.next + RECORD_HEADER) {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if kind != HANDSHAKE || major != 3 {
                return Err(if self.next == 0 {
                    HelloError::NotTls
                } else {
                    HelloError::Malformed("interrupted by another record")
                });
            }
            // RFC 8446 section 5.1: no empty handshake records, none above 2^14 bytes.
            if length == 0 || length > 1 << 14 {
                return Err(HelloError::Malformed("record length"));
            }
            let end = self.next + RECORD_HEADER + length;
            if end > LIMIT {
                return Err(HelloError::TooLarge);
            }
            let Some(fragment) = bytes.get(self.next + RECORD_HEADER..end) else { return Ok(None) };
            self.next = end;
            let whole = if self.gathered.is_empty() { message(fragment)? } else { None };
            if let Some(body) = whole {
                return read(body).map(Some);
            }
            self.gathered.extend_from_slice(fragment);
            if let Some(body) = message(&self.gathered)? {
                return read(body).map(Some);
            }
        }
        Ok(None)
    }
}

/// Tells what is not TLS from its first bytes, before a whole record header is there.
fn check_start(bytes: &[u8]) -> Result<(), HelloError> {
    let Some(&first) = bytes.first() else { return Ok(()) };
    if first == HANDSHAKE {
        return Ok(());
    }
    // RFC 9112 section 3: a method, then a blank. Those in use have 3 to 7 letters; this also fits h2c's preface.
    let word = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    match bytes.get(word) {
        Some(b' ') if (3..=7).contains(&word) => Err(HelloError::PlainHttp),
        None if word <= 7 => Ok(()),
        _ => Err(HelloError::NotTls),
    }
}

/// The body of the ClientHello message that `handshake` begins with, once it is whole.
fn message(handshake: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    if handshake.first().is_some_and(|&kind| kind != CLIENT_HELLO) {
        return Err(HelloError::NotTls);
    }
    let Some(&[_, a, b, c]) = handshake.get(..4) else { return Ok(None) };
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if length > LIMIT {
        return Err(HelloError::TooLarge);
    }
    Ok(handshake.get(4..4 + length))
}

fn parse_body(body: &[u8]) -> Result<Hello, HelloError> {
    let mut hello = Reader(body);
    let legacy_version = hello.u16().ok_or(SHORT)?;
    hello.take(32).ok_or(SHORT)?; // random
    hello.vector8().filter(|id| id.len() <= 32).ok_or(HelloError::Malformed("session id"))?;
    hello.vector16().ok_or(HelloError::Malformed("cipher suites"))?;
    hello.vector8().ok_or(HelloError::Malformed("compression methods"))?;
    let mut found = Hello { sni: None, newest: legacy_version, protocols: Box::default() };
    if hello.0.is_empty() {
        return Ok(found); // extensions came with RFC 3546
    }
    let mut extensions = Reader(hello.vector16().ok_or(HelloError::Malformed("extensions"))?);
    if !hello.0.is_empty() {
        return Err(HelloError::Malformed("bytes after the extensions"));
    }
    let mut seen = [false; 3];
    while !extensions.0.is_empty() {
        let kind = extensions.u16().ok_or(HelloError::Malformed("extension"))?;
        let content = extensions.vector16().ok_or(HelloError::Malformed("extension"))?;
        let slot = match kind {
            SERVER_NAME => 0,
            APPLICATION_PROTOCOLS => 1,
            SUPPORTED_VERSIONS => 2,
            _ => continue,
        };
        // RFC 8446 section 4.2: not more than one of a type. Two names would let us and the endpoint each believe another.
        if std::mem::replace(&mut seen[slot], true) {
            return Err(HelloError::Malformed("an extension twice"));
        }
        match kind {
            SERVER_NAME => found.sni = server_name(content)?,
            APPLICATION_PROTOCOLS => found.protocols = protocols(content)?,
            _ => found.newest = newest_version(content)?.unwrap_or(legacy_version),
        }
    }
    Ok(found)
}

fn server_name(content: &[u8]) -> Result<Option<Arc<str>>, HelloError> {
    const WRONG: HelloError = HelloError::Malformed("server_name");
    let mut content = Reader(content);
    let mut list = Reader(content.vector16().ok_or(WRONG)?);
    // Exactly one entry, of type host_name: RFC 6066 forbids two of a type, and no other type was ever defined.
    let kind = list.u8().ok_or(WRONG)?;
    let name = list.vector16().ok_or(WRONG)?;
    if kind != 0 || !list.0.is_empty() || !content.0.is_empty() {
        return Err(WRONG);
    }
    let name = std::str::from_utf8(name).map_err(|_| WRONG)?;
    if name.parse::<IpAddr>().is_ok() {
        return Ok(None);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(WRONG);
    }
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        return Ok(Some(name.to_ascii_lowercase().into()));
    }
    Ok(Some(name.into()))
}

fn protocols(content: &[u8]) -> Result<Box<[u8]>, HelloError> {
    const WRONG: HelloError = HelloError::Malformed("application protocols");
    let mut content = Reader(content);
    let list = content.vector16().filter(|list| !list.is_empty()).ok_or(WRONG)?;
    let mut entries = Reader(list);
    while !entries.0.is_empty() {
        entries.vector8().filter(|entry| !entry.is_empty()).ok_or(WRONG)?;
    }
    if content.0.is_empty() { Ok(list.into()) } else { Err(WRONG) }
}

fn newest_version(content: &[u8]) -> Result<Option<u16>, HelloError> {
    let mut content = Reader(content);
    let mut list = Reader(content.vector8().ok_or(HelloError::Malformed("supported versions"))?);
    let mut newest = None;
    while let Some(version) = list.u16() {
        // 0x0300 to 0x0304; GREASE (RFC 8701) is 0x?a?a.
        if (0x0300..=0x0304).contains(&version) {
            newest = newest.max(Some(version));
        }
    }
    Ok(newest)
}

/// Takes fields off the front; `None` where too few bytes are left.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|field| field[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|field| u16::from_be_bytes([field[0], field[1]]))
    }

    pub(super) fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    pub(super) fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
}

const READ: usize = 2048;
const RECORD_HEADER: usize = 5;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_NAME: u16 = 0;
pub(super) const APPLICATION_PROTOCOLS: u16 = 16;
pub(super) const SUPPORTED_VERSIONS: u16 = 43;
const SHORT: HelloError = HelloError::Malformed("too short");

#[cfg(test)]
mod tests;
