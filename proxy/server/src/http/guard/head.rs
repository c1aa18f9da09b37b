//! Request heads (RFC 9112 sections 2 to 6), read strictly: whatever two programs could read in two ways is refused.
//!
//! A head is read line by line as its bytes come, each byte once; how they were cut into reads changes nothing.

use std::ops::Range;

use memchr::memchr;

use super::{
    Rules,
    field::{self, Field, Wrong},
    refusal::{Refusal, RefusalKind},
    rules::TARGET_LENGTH,
    shown::Shown,
};
use crate::http::{
    bytes,
    raw::{self, RawTarget},
    target::Authority,
};

/// What is known of a head that was taken. Ranges are of the bytes that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadFacts {
    /// Bytes of the head, with the tolerated empty line before it and the empty line after it.
    pub length: usize,
    /// The method.
    pub method: Range<usize>,
    /// The target.
    pub target: Range<usize>,
    /// How much of it comes before its path.
    pub before_path: usize,
    /// How many of its bytes must be percent-encoded.
    pub unencoded: usize,
    /// Whether it is HTTP/1.1, not 1.0.
    pub http11: bool,
    /// The value of `Host`.
    pub host: Option<Range<usize>>,
    /// How long the body is.
    pub body: BodyLength,
    /// Whether the connection may stop being HTTP after this request: `Upgrade` in HTTP/1.1, or CONNECT.
    pub upgrade: bool,
}

impl HeadFacts {
    /// The target as it was sent, where a URI cannot say: it has to be encoded, or is an absolute one, whose path may be left out. `head`
    /// are the bytes that this is known of.
    pub fn raw_target(&self, head: &[u8]) -> Option<RawTarget> {
        (self.unencoded > 0 || self.before_path > 0)
            .then(|| RawTarget::new(&head[self.target.clone()], self.before_path))
    }

    /// The head with its target encoded: what everybody behind the guard reads.
    pub fn encoded(&self, head: &[u8]) -> Vec<u8> {
        let path = self.target.start + self.before_path;
        let mut out = Vec::with_capacity(self.length + 2 * self.unencoded);
        out.extend_from_slice(&head[..path]);
        raw::encode(&head[path..self.target.end], &mut out);
        out.extend_from_slice(&head[self.target.end..self.length]);
        out
    }
}

/// How long the body of a request is (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none: neither `Content-Length` nor `Transfer-Encoding`, or a length of 0.
    #[default]
    None,
    /// This many bytes, at least 1.
    Known(u64),
    /// As many chunks as come.
    Chunked,
}

/// Reads one head from the beginning of `bytes`. `None` when it does not end there.
///
/// # Errors
/// When it is malformed, ambiguous, or over a limit.
pub fn check_head(bytes: &[u8], rules: &Rules) -> Result<Option<HeadFacts>, Refusal> {
    let mut head = Head::default();
    Ok(head.read(bytes, rules)?.then_some(head.facts))
}

/// A head, as far as it has been read.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Where it starts: 0, or 2 after an empty line.
    start: usize,
    /// Where the first line starts that is not complete.
    line: usize,
    /// Up to where the end of that line was looked for.
    searched: usize,
    /// Field lines so far.
    fields: usize,
    request_line: bool,
    content_length: bool,
    transfer_encoding: bool,
    /// Of an absolute target: its authority, and its scheme's port.
    authority: Option<(Range<usize>, u16)>,
    /// What is wrong, where the rest of the head can be read all the same.
    wrong: Option<Wrong>,
    pub(super) facts: HeadFacts,
}

impl Head {
    /// Reads on. `bytes` are all bytes since the head began, those of earlier calls included. True when it is complete.
    pub(super) fn read(&mut self, bytes: &[u8], rules: &Rules) -> Result<bool, Refusal> {
        if !self.begin(bytes).map_err(|wrong| refuse(wrong, &[], rules))? {
            return Ok(false);
        }
        loop {
            let end = memchr(b'\n', &bytes[self.searched..]).map(|at| self.searched + at + 1);
            self.limits(bytes, end, rules).map_err(|over| self.refusal(bytes, self.line, rules).unwrap_or(over))?;
            let Some(end) = end else {
                self.searched = bytes.len();
                return Ok(false);
            };
            let complete = match self.take_line(bytes, end) {
                Ok(complete) => complete,
                Err(wrong) => {
                    let goes_on = wrong.0.goes_on();
                    self.wrong.get_or_insert(wrong);
                    if !goes_on { true } else { bytes[self.line..end] == *b"\r\n" }
                }
            };
            if complete && let Some(refusal) = self.refusal(bytes, end, rules) {
                return Err(refusal);
            }
            self.line = end;
            self.searched = end;
            if complete {
                self.facts.length = end;
                return Ok(true);
            }
        }
    }

    /// The refusal, where something was found wrong. Up to `end` the head was read.
    pub(super) fn refusal(&self, bytes: &[u8], end: usize, rules: &Rules) -> Option<Refusal> {
        let wrong = self.wrong?;
        let mut refusal = refuse(wrong, &bytes[self.start..], rules);
        refusal.shown = Shown::read(&bytes[self.start..end]);
        Some(refusal)
    }

    /// The same, of a head that does not go on.
    pub(super) fn cut(&self, bytes: &[u8], rules: &Rules) -> Option<Refusal> {
        self.refusal(bytes, self.line, rules)
    }

    /// Whether any byte of the head itself has come.
    pub(super) fn begun(&self, bytes: &[u8]) -> bool {
        bytes.len() > self.start && bytes != b"\r"
    }

    /// Looks at the first bytes. False when there are too few.
    fn begin(&mut self, bytes: &[u8]) -> Result<bool, Wrong> {
        if self.searched > self.start {
            return Ok(true);
        }
        if self.start == 0 && bytes.first() == Some(&b'\r') {
            // RFC 9112 section 2.2: at least one empty line before the request line should be ignored.
            match bytes.get(1) {
                None => return Ok(false),
                Some(b'\n') => (self.start, self.line, self.searched) = (2, 2, 2),
                Some(_) => return Err((RefusalKind::LineEnd, "a CR before the request line")),
            }
        }
        match bytes.get(self.start) {
            None => Ok(false),
            Some(&b) if bytes::is_token(b) => Ok(true),
            Some(b'\r') => Err((RefusalKind::LineEnd, "more than one empty line before the request line")),
            Some(b'\n') => Err((RefusalKind::LineEnd, "a line that ends with LF alone")),
            Some(0x16) => Err((RefusalKind::Tls, "a TLS handshake on a connection that speaks HTTP in the clear")),
            Some(_) => Err((RefusalKind::RequestLine, "a first byte that no method has")),
        }
    }

    /// Limits come before content, so that the same bytes are refused for the same reason however they are cut.
    fn limits(&self, bytes: &[u8], end: Option<usize>, rules: &Rules) -> Result<(), Refusal> {
        let until = end.unwrap_or(bytes.len());
        let over = |status, kind, reason| Err(Refusal::new(status, kind, reason, &bytes[self.start..], rules));
        let full = until - self.start > rules.header_bytes;
        if !self.request_line && until - self.start > rules.target_length {
            let line = &bytes[self.start..until - usize::from(end.is_some())];
            if let Some(space) = memchr(b' ', line) {
                let target = &line[space + 1..];
                let length = memchr(b' ', target).unwrap_or(target.len());
                let first = space + 1 + rules.target_length <= rules.header_bytes;
                if length > rules.target_length && (first || !full) {
                    return over(414, RefusalKind::TargetLength, "a request target over the limit `target_length`");
                }
            }
        }
        if full {
            return over(431, RefusalKind::HeaderBytes, "a request head over the limit `header_bytes`");
        }
        if end.is_some() && self.request_line && self.fields == rules.header_count && bytes[self.line] != b'\r' {
            return over(431, RefusalKind::HeaderCount, "more header fields than the limit `header_count`");
        }
        Ok(())
    }

    /// Takes the line that ends before `end`. True when it is the empty one.
    fn take_line(&mut self, bytes: &[u8], end: usize) -> Result<bool, Wrong> {
        let line = field::content(&bytes[self.line..end])?;
        if !self.request_line {
            self.request_line = true;
            self.take_request_line(line)?;
            return Ok(false);
        }
        if line.is_empty() {
            self.finish(bytes)?;
            return Ok(true);
        }
        self.fields += 1;
        let Field { name, value, at } = field::parse(line)?;
        // Most names are told from those that matter by their length.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.take_host(value, self.line + at),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                // RFC 9110 section 7.8: an Upgrade field in an HTTP/1.0 request is to be ignored.
                self.facts.upgrade |= self.facts.http11;
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.take_content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.take_transfer_encoding(value),
            _ => Ok(()),
        }?;
        Ok(false)
    }

    fn take_request_line(&mut self, line: &[u8]) -> Result<(), Wrong> {
        const SHAPE: Wrong =
            (RefusalKind::RequestLine, "a request line that is not METHOD, target and version, each after one space");
        let method = line.iter().position(|&b| !bytes::is_token(b)).ok_or(SHAPE)?;
        if line[method] != b' ' {
            return Err((RefusalKind::RequestLine, "a byte in the method that no method has"));
        }
        let rest = &line[method + 1..];
        let length = memchr(b' ', rest).ok_or(SHAPE)?;
        let (target, version) = (&rest[..length], &rest[length + 1..]);
        self.facts.http11 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                return Err((RefusalKind::Version, "a version other than HTTP/1.0 and HTTP/1.1"));
            }
            _ => return Err(SHAPE),
        };
        let start = self.line + method + 1;
        self.facts.method = self.line..self.line + method;
        self.facts.target = start..start + length;
        self.take_target(&line[..method], target, start)
    }

    /// RFC 9112 section 3.2: which of the four forms it is, and whether the method may have it.
    fn take_target(&mut self, method: &[u8], target: &[u8], start: usize) -> Result<(), Wrong> {
        const FORM: Wrong = (RefusalKind::Target, "a target that is neither a path nor a URL");
        if method == b"CONNECT" {
            let (_, port) = crate::http::target::split(target).map_err(|bad| (RefusalKind::Target, bad.0))?;
            let port = port.ok_or((RefusalKind::Target, "CONNECT without a port"))?;
            self.authority = Some((start..start + target.len(), port));
            self.facts.upgrade = true;
            return Ok(());
        }
        let path = match target {
            [b'/', ..] => target,
            [b'*'] if method == b"OPTIONS" => return Ok(()),
            [] => return Err((RefusalKind::RequestLine, "an empty target, or two spaces before it")),
            _ => {
                let (scheme, port) = match target {
                    [h, t1, t2, p, b':', b'/', b'/', ..] if [*h, *t1, *t2, *p].eq_ignore_ascii_case(b"http") => (7, 80),
                    [h, t1, t2, p, s, b':', b'/', b'/', ..]
                        if [*h, *t1, *t2, *p, *s].eq_ignore_ascii_case(b"https") =>
                    {
                        (8, 443)
                    }
                    _ => return Err(FORM),
                };
                let rest = &target[scheme..];
                let length = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
                crate::http::target::split(&rest[..length]).map_err(|bad| (RefusalKind::Target, bad.0))?;
                self.authority = Some((start + scheme..start + scheme + length, port));
                &rest[length..]
            }
        };
        self.facts.before_path = target.len() - path.len();
        let end = path.iter().position(|&b| !bytes::is_path(b)).unwrap_or(path.len());
        match &path[end..] {
            [] => return Ok(()),
            [b'?', query @ ..] if query.iter().all(|&b| bytes::is_query(b)) => return Ok(()),
            _ => {}
        }
        self.facts.unencoded = raw::unencoded(path).map_err(bad_target_byte)?;
        // Encoded it is longer, and has to be a URI that can be held.
        match target.len() + 2 * self.facts.unencoded <= TARGET_LENGTH {
            true => Ok(()),
            false => Err((RefusalKind::TargetLength, "a request target that is too long once it is percent-encoded")),
        }
    }

    fn take_host(&mut self, value: &[u8], start: usize) -> Result<(), Wrong> {
        if self.facts.host.is_some() {
            return Err((RefusalKind::Host, "several Host fields"));
        }
        crate::http::target::split(value).map_err(|bad| (RefusalKind::Host, bad.0))?;
        self.facts.host = Some(start..start + value.len());
        Ok(())
    }

    fn take_content_length(&mut self, value: &[u8]) -> Result<(), Wrong> {
        if self.content_length {
            return Err((RefusalKind::Length, "several Content-Length fields"));
        }
        if self.transfer_encoding {
            return Err((RefusalKind::Length, "Content-Length beside Transfer-Encoding"));
        }
        self.content_length = true;
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err((RefusalKind::Length, "a Content-Length that is not one number"));
        }
        // Up to 2^63: hyper keeps the highest values for itself.
        let length = value
            .iter()
            .try_fold(0i64, |sum, digit| sum.checked_mul(10)?.checked_add(i64::from(digit - b'0')))
            .ok_or((RefusalKind::Length, "a Content-Length that no body has"))?;
        if length > 0 {
            self.facts.body = BodyLength::Known(length.unsigned_abs());
        }
        Ok(())
    }

    fn take_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Wrong> {
        if self.transfer_encoding {
            return Err((RefusalKind::Length, "several Transfer-Encoding fields"));
        }
        if self.content_length {
            return Err((RefusalKind::Length, "Transfer-Encoding beside Content-Length"));
        }
        if !self.facts.http11 {
            return Err((RefusalKind::Length, "Transfer-Encoding in HTTP/1.0"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err((RefusalKind::Length, "a Transfer-Encoding other than `chunked`"));
        }
        self.transfer_encoding = true;
        self.facts.body = BodyLength::Chunked;
        Ok(())
    }

    fn finish(&self, bytes: &[u8]) -> Result<(), Wrong> {
        let Some(host) = &self.facts.host else {
            return if self.facts.http11 { Err((RefusalKind::Host, "no Host")) } else { Ok(()) };
        };
        let Some((authority, port)) = &self.authority else { return Ok(()) };
        let parse = |range: &Range<usize>| {
            std::str::from_utf8(&bytes[range.clone()]).ok().and_then(|text| Authority::parse(text).ok())
        };
        match (parse(host), parse(authority)) {
            (Some(host), Some(authority)) if host.agrees(&authority, *port) => Ok(()),
            _ => Err((RefusalKind::Host, "Host and the target's authority differ")),
        }
    }
}

fn bad_target_byte(byte: u8) -> Wrong {
    let reason = match byte {
        b'#' => "a fragment in the target",
        _ => "a control byte in the target",
    };
    (RefusalKind::Target, reason)
}

fn refuse((kind, reason): Wrong, head: &[u8], rules: &Rules) -> Refusal {
    let status = match kind {
        RefusalKind::Version => 505,
        RefusalKind::TargetLength => 414,
        _ => 400,
    };
    Refusal::new(status, kind, reason, head, rules)
}
