//! Why a request was refused before hyper saw it.

use std::fmt;

use memchr::{memchr, memchr3};

use super::{Rules, shown::Shown};

/// A request that was refused for what its bytes are, with as much of it as a log line needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status to answer with: 400, 408, 414, 431 or 505.
    pub status: u16,
    /// What is counted.
    pub kind: RefusalKind,
    /// One sentence, no trailing full stop.
    pub reason: &'static str,
    /// The method, cut at 32 bytes; empty where none could be read.
    pub method: Box<str>,
    /// The target, cut at 2 KiB, with `?` for what is not visible ASCII; empty where none could be read.
    pub target: Box<str>,
    /// The head as far as it was understood, for those that judge requests and were not asked about this one.
    pub shown: Option<Box<Shown>>,
}

impl Refusal {
    /// A refusal of the head that begins `head` (an empty slice where the very first byte is wrong).
    pub(super) fn new(status: u16, kind: RefusalKind, reason: &'static str, head: &[u8], rules: &Rules) -> Self {
        // Never more than the limits allow: how much had been read by then depends on how the bytes were cut.
        let head = &head[..head.len().min(rules.header_bytes)];
        let line = &head[..memchr3(b'\r', b'\n', 0, head).unwrap_or(head.len())];
        let (method, rest) = line.split_at(memchr(b' ', line).unwrap_or(line.len()));
        let target = rest.get(1..).unwrap_or_default();
        let target = &target[..memchr(b' ', target).unwrap_or(target.len())];
        Self {
            status,
            kind,
            reason,
            method: visible(method, METHOD_KEPT),
            target: visible(target, TARGET_KEPT.min(rules.target_length)),
            shown: None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.kind.name(), self.reason)
    }
}

const METHOD_KEPT: usize = 32;
const TARGET_KEPT: usize = 2048;

fn visible(bytes: &[u8], limit: usize) -> Box<str> {
    bytes.iter().take(limit).map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '?' }).collect()
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// What a refusal is counted as.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RefusalKind {
            $($(#[$doc])* $variant,)*
        }

        impl RefusalKind {
            /// Every kind, for counters by kind.
            pub const ALL: &'static [RefusalKind] = &[$(RefusalKind::$variant,)*];

            /// The word in logs and metrics.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

impl RefusalKind {
    /// Whether the lines after the offending one mean what they say: then the head is read to its end before it is refused, so that it can
    /// be shown. Where lines themselves are in doubt, nothing after them is looked at.
    pub(super) fn goes_on(self) -> bool {
        matches!(self, Self::Version | Self::Target | Self::TargetLength | Self::Host | Self::Length)
    }
}

kinds! {
    /// Not the syntax of a request line.
    RequestLine = "request_line";
    /// A version that is not spoken here.
    Version = "version";
    /// A target of the wrong form.
    Target = "target";
    /// No host, several, or one that cannot be.
    Host = "host";
    /// Not the syntax of a header field.
    Field = "field";
    /// A bare CR or LF, or an empty line too many.
    LineEnd = "line_end";
    /// A body whose end could be seen in two places.
    Length = "length";
    /// A chunk, or the trailer section after the chunks, that is not what it should be.
    Chunk = "chunk";
    /// The connection ended inside the head.
    Truncated = "truncated";
    /// A TLS handshake where none is expected.
    Tls = "tls";
    /// The target is over its limit.
    TargetLength = "target_length";
    /// The head is over its limit.
    HeaderBytes = "header_bytes";
    /// The head has more fields than the limit.
    HeaderCount = "header_count";
    /// The head took too long.
    HeaderTime = "header_time";
}
