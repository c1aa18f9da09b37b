//! Just enough HTTP/1.1 framing for a benchmark between programs that behave.

use memchr::{memchr, memmem};

/// How a message says where it ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head {
    /// 0 in a request.
    pub(crate) status: u16,
    pub(crate) content_length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) close: bool,
}

/// The length of a head, its empty line included, if all of it is there.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// Reads the framing of a whole head, request or response.
pub(crate) fn parse_head(bytes: &[u8]) -> Head {
    let mut head = Head::default();
    let mut lines = bytes.split(|byte| *byte == b'\n');
    if let Some(first) = lines.next()
        && first.starts_with(b"HTTP/1.")
    {
        head.status = first.iter().skip(9).take(3).fold(0, |n, digit| n * 10 + u16::from(digit.wrapping_sub(b'0')));
    }
    for line in lines {
        let Some(colon) = memchr(b':', line) else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                head.content_length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                head.chunked = value.eq_ignore_ascii_case(b"chunked");
            }
            10 if name.eq_ignore_ascii_case(b"connection") => head.close = value.eq_ignore_ascii_case(b"close"),
            _ => {}
        }
    }
    head
}

/// Where a reader is within a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// This many bytes are left.
    Length(u64),
    /// In a chunk's size line: the size so far, and whether its extension has begun.
    Size(u64, bool),
    /// This many bytes are left of a chunk.
    Chunk(u64),
    /// At the line end after a chunk.
    ChunkEnd,
    /// In the trailers: the length of the line so far.
    Trailer(u32),
    /// Until the connection ends.
    UntilEnd,
    /// All of it was read.
    Done,
}

impl Body {
    pub(crate) fn of_request(head: &Head) -> Self {
        Self::framed(head).unwrap_or(Self::Done)
    }

    pub(crate) fn of_response(head: &Head) -> Self {
        match Self::framed(head) {
            Some(body) => body,
            None if matches!(head.status, 204 | 304) => Self::Done,
            None => Self::UntilEnd,
        }
    }

    fn framed(head: &Head) -> Option<Self> {
        match (head.chunked, head.content_length) {
            (true, _) => Some(Self::Size(0, false)),
            (false, Some(0)) => Some(Self::Done),
            (false, Some(length)) => Some(Self::Length(length)),
            (false, None) => None,
        }
    }

    /// Takes bytes of the body: how many were of it, and how many of those its content.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> (usize, u64) {
        let (mut at, mut content) = (0, 0);
        while at < bytes.len() {
            let rest = bytes.len() - at;
            match self {
                Self::Done => break,
                Self::UntilEnd => {
                    at += rest;
                    content += rest as u64;
                }
                Self::Length(left) | Self::Chunk(left) => {
                    let n = rest.min(usize::try_from(*left).unwrap_or(usize::MAX));
                    at += n;
                    content += n as u64;
                    *left -= n as u64;
                    if *left == 0 {
                        *self = if matches!(self, Self::Length(_)) { Self::Done } else { Self::ChunkEnd };
                    }
                }
                Self::Size(size, extension) => {
                    match bytes[at] {
                        b'\n' => *self = if *size == 0 { Self::Trailer(0) } else { Self::Chunk(*size) },
                        b';' => *extension = true,
                        digit if !*extension => {
                            if let Some(digit) = char::from(digit).to_digit(16) {
                                *size = (*size << 4) | u64::from(digit);
                            }
                        }
                        _ => {}
                    }
                    at += 1;
                }
                Self::ChunkEnd => {
                    if bytes[at] == b'\n' {
                        *self = Self::Size(0, false);
                    }
                    at += 1;
                }
                Self::Trailer(length) => {
                    match bytes[at] {
                        b'\r' => {}
                        b'\n' if *length == 0 => *self = Self::Done,
                        b'\n' => *length = 0,
                        _ => *length += 1,
                    }
                    at += 1;
                }
            }
        }
        (at, content)
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

/// A response that is being read.
#[derive(Default)]
pub(crate) struct Response {
    partial: Vec<u8>,
    framing: Option<(Head, Body)>,
    /// Bytes of the body so far.
    pub(crate) content: u64,
}

impl Response {
    pub(crate) fn restart(&mut self) {
        self.partial.clear();
        self.framing = None;
        self.content = 0;
    }

    pub(crate) fn head(&self) -> Option<&Head> {
        self.framing.as_ref().map(|(head, _)| head)
    }

    /// Anything has arrived.
    pub(crate) fn has_begun(&self) -> bool {
        self.framing.is_some() || !self.partial.is_empty()
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.framing, Some((_, Body::Done)))
    }

    /// The end of the connection would be the end of the response.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self.framing, Some((_, Body::UntilEnd)))
    }

    /// Takes bytes; how many belonged to this response.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while self.framing.is_none() {
            let held = self.partial.len();
            let (head, used) = if held == 0 {
                let Some(length) = head_length(&bytes[at..]) else {
                    self.partial.extend_from_slice(&bytes[at..]);
                    return bytes.len();
                };
                (parse_head(&bytes[at..at + length]), length)
            } else {
                self.partial.extend_from_slice(&bytes[at..]);
                let Some(length) = head_length(&self.partial) else { return bytes.len() };
                let head = parse_head(&self.partial[..length]);
                self.partial.clear();
                (head, length - held)
            };
            at += used;
            if !(100..200).contains(&head.status) {
                self.framing = Some((head, Body::of_response(&head)));
            }
        }
        if let Some((_, body)) = &mut self.framing {
            let (used, content) = body.feed(&bytes[at..]);
            at += used;
            self.content += content;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\
        Trailer: yes\r\n\r\n";

    #[test]
    fn reads_a_chunked_response_cut_anywhere() {
        for cut in 0..=CHUNKED.len() {
            let mut response = Response::default();
            assert_eq!(response.feed(&CHUNKED[..cut]), cut);
            assert_eq!(response.is_done(), cut == CHUNKED.len());
            assert_eq!(response.feed(&CHUNKED[cut..]), CHUNKED.len() - cut);
            assert!(response.is_done());
            assert_eq!(response.content, 21);
        }
    }

    #[test]
    fn leaves_what_follows_a_response() {
        let mut response = Response::default();
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1";
        assert_eq!(response.feed(bytes), bytes.len() - 8);
        assert!(response.is_done());
    }

    #[test]
    fn skips_interim_responses() {
        let mut response = Response::default();
        response.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(response.head().map(|head| head.status), Some(204));
        assert!(response.is_done());
    }
}
