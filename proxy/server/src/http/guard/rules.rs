//! The limits that the guard applies, as it needs them.

use std::time::Duration;

use portcullis_config::limits::Limits;

/// Limits on request heads and on the waits for them. Made once for a listener and shared by its connections.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Bytes of a head, from the method to the empty line, both included. Over it: 431.
    pub header_bytes: usize,
    /// Fields of a head. Over it: 431.
    pub header_count: usize,
    /// Bytes of the target. Over it: 414.
    pub target_length: usize,
    /// From the first byte of a head to its end. Over it: 408.
    pub header_time: Duration,
    /// How long a connection may wait for its next head. Over it: the end.
    pub idle_time: Duration,
}

/// The longest target that `http::Uri` holds.
pub(super) const TARGET_LENGTH: usize = u16::MAX as usize - 1;

impl Rules {
    /// Takes what concerns heads from a listener's limits.
    pub fn new(limits: &Limits) -> Self {
        let bytes = |size: portcullis_config::units::Size| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
        Self {
            header_bytes: bytes(limits.header_bytes),
            header_count: limits.header_count,
            target_length: bytes(limits.target_length).min(TARGET_LENGTH),
            header_time: limits.header_time,
            idle_time: limits.idle_time,
        }
    }
}
