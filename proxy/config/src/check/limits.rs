//! `[limits]`: the defaults, the file's, a listener's, each key by itself.

use std::time::Duration;

use crate::{limits::Limits, raw, units::Size};

pub(super) const DEFAULT: Limits = Limits {
    header_bytes: Size(64 << 10),
    header_count: 100,
    target_length: Size(8 << 10),
    body_size: Size(4 << 30),
    streams: 128,
    resets: 64,
    header_time: Duration::from_secs(10),
    idle_time: Duration::from_secs(75),
    body_idle_time: Duration::from_secs(60),
    request_time: Duration::from_secs(3600),
    tunnel_idle_time: Duration::from_secs(3600),
};

/// What `raw` says, and `base` where it says nothing.
pub(super) fn limits(raw: Option<&raw::Limits>, base: Limits) -> Limits {
    let Some(raw) = raw else { return base };
    Limits {
        header_bytes: raw.header_bytes.get().map_or(base.header_bytes, |size| size.0),
        header_count: raw.header_count.get().map_or(base.header_count, |count| count.to()),
        target_length: raw.target_length.get().map_or(base.target_length, |size| size.0),
        body_size: raw.body_size.get().map_or(base.body_size, |size| size.0),
        streams: raw.streams.get().map_or(base.streams, |count| count.to()),
        resets: raw.resets.get().map_or(base.resets, |count| count.to()),
        header_time: raw.header_time.or(base.header_time),
        idle_time: raw.idle_time.or(base.idle_time),
        body_idle_time: raw.body_idle_time.or(base.body_idle_time),
        request_time: raw.request_time.or(base.request_time),
        tunnel_idle_time: raw.tunnel_idle_time.or(base.tunnel_idle_time),
    }
}
