//! Bare HTTP/2 frames (RFC 9113), for clients that no library would be.

use super::raw::Raw;

/// An HTTP/2 connection on which frames are written by hand.
pub struct Frames {
    raw: Raw,
}

/// A frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its type, see [`kind`].
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Frame types of RFC 9113 section 6.
pub mod kind {
    /// DATA
    pub const DATA: u8 = 0;
    /// HEADERS
    pub const HEADERS: u8 = 1;
    /// RST_STREAM
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS
    pub const SETTINGS: u8 = 4;
    /// PING
    pub const PING: u8 = 6;
    /// GOAWAY
    pub const GOAWAY: u8 = 7;
    /// CONTINUATION
    pub const CONTINUATION: u8 = 9;
}

/// END_STREAM, and ACK of SETTINGS and PING.
pub const END_STREAM: u8 = 1;
/// END_HEADERS
pub const END_HEADERS: u8 = 4;

impl Frames {
    /// Opens HTTP/2 on `raw` with the preface and empty settings.
    pub async fn open(mut raw: Raw) -> Self {
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let mut frames = Self { raw };
        frames.send(kind::SETTINGS, 0, 0, &[]).await;
        frames
    }

    /// Sends one frame.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.raw.send(encode(kind, flags, stream, payload)).await;
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.raw.send(bytes).await;
    }

    /// The next frame, or `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        let head = self.raw.read_exactly(9).await;
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *head.as_slice() else { return None };
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
        let payload = self.raw.read_exactly(length).await;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
        (payload.len() == length).then_some(Frame { kind, flags, stream, payload })
    }

    /// Reads frames until one is of `kind`, or the end.
    pub async fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }
}

impl Frame {
    /// The error code of RST_STREAM, or of GOAWAY.
    pub fn error_code(&self) -> Option<u32> {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }
}

/// A frame's bytes.
pub fn encode(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0xff_ffff);
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Header fields in HPACK (RFC 7541 section 6.2.2: literals, never indexed by name, no Huffman code).
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        string(&mut bytes, name.as_bytes());
        string(&mut bytes, value.as_bytes());
    }
    bytes
}

/// A GET's pseudo-header fields and what else is given.
pub fn get(host: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut all = vec![(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", path)];
    all.extend(more);
    fields(&all)
}

/// A length in HPACK's integer with a prefix of 7 bits (RFC 7541 section 5.1), then the bytes.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    const PREFIX: usize = 127;
    if bytes.len() < PREFIX {
        out.push(bytes.len() as u8);
    } else {
        out.push(PREFIX as u8);
        let mut rest = bytes.len() - PREFIX;
        while rest >= 128 {
            out.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        out.push(rest as u8);
    }
    out.extend(bytes);
}
