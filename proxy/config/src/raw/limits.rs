//! `[limits]`, and `limits` of a listener.

use std::time::Duration;

use super::{number::Whole, table::table, unit::Bytes};

table! {
    /// What a client may ask of the proxy.
    Limits {
        /// Bytes of a request's head. Default 64KiB, at most 1MiB. Over it: 431.
        header_bytes: Bytes<1024, 1_048_576>,
        /// Header fields of a request. Default 100. Over it: 431.
        header_count: Whole<1, 10_000>,
        /// Bytes of the request target. Default 8KiB. Over it: 414.
        target_length: Bytes<64, 1_048_576>,
        /// Bytes of a request's body. Default 4GiB. Over it: 413.
        body_size: Bytes<0, { u64::MAX }>,
        /// Concurrent HTTP/2 streams on a connection. Default 128.
        streams: Whole<1, 65_535>,
        /// HTTP/2 streams that a client may reset before the connection ends. Default 64.
        resets: Whole<1, 1_000_000>,
        /// From the first byte of a request's head to its end. Default 10s. Over it: 408.
        header_time: Duration,
        /// How long a connection may wait for its next request. Default 75s. Over it: closed.
        idle_time: Duration,
        /// The longest silence inside a request's body (over it: 408), and how long a client may take no byte of a response (over
        /// it: the connection ends). Default 60s.
        body_idle_time: Duration,
        /// From the end of the head to the end of the exchange; tunnels do not count. Default 1h. Over it: 408, 504 or an
        /// aborted response.
        request_time: Duration,
        /// Silence in both directions of a tunnel (WebSocket, TCP, passthrough) before it is closed. Default 1h.
        tunnel_idle_time: Duration,
    }
}
