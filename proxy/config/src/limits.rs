//! `[limits]`: what a client may ask of the proxy. Set for all listeners, overridden under a listener.

use std::time::Duration;

use crate::units::Size;

/// Bounds on what a client sends and on how long it takes. Every default is settable.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of the request head (request line and header fields; in HTTP/2 the decoded header list). Default 64KiB,
    /// at most 1MiB. Over it: 431.
    pub header_bytes: Size,
    /// Header fields in a request. Default 100. Over it: 431.
    pub header_count: usize,
    /// Bytes of the request target. Default 8KiB. Over it: 414.
    pub target_length: Size,
    /// Bytes of a request body. Default 4GiB. Over it: 413.
    pub body_size: Size,
    /// Concurrent HTTP/2 streams on a connection. Default 128.
    pub streams: u32,
    /// HTTP/2 streams that a client may reset before the connection ends with GOAWAY (CVE-2023-44487). Default 64.
    pub resets: usize,
    /// From the first byte of a request head to its end. Default 10s. Over it: 408.
    pub header_time: Duration,
    /// How long a connection may wait for its next request. Default 75s. Over it: closed without a word.
    pub idle_time: Duration,
    /// The longest silence inside a request body before the response has begun, over it: 408. Also how long a client may
    /// take no byte of what is sent to it, over it: the connection ends. Default 60s.
    pub body_idle_time: Duration,
    /// From the end of the head to the end of the exchange; tunnels (WebSocket) do not count. Default 1h. Over it
    /// 408 while the body is still being read, 504 while the backend is being waited for, an aborted response after that.
    pub request_time: Duration,
    /// Silence in both directions of a tunnel (WebSocket, TCP, passthrough) before it is closed. Default 1h.
    pub tunnel_idle_time: Duration,
}
