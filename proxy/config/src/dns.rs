//! `[dns]`: how names of backends are looked up.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::Location;

/// How names are looked up. In this order: `hosts`, then the zone with the longest suffix, then `nameservers` or the
/// system's resolver. A name in a zone is never asked anywhere else.
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// Private zones.
    pub zones: Vec<Zone>,
    /// Static names, lower case, without trailing dot.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// For names in no zone. Empty, the default: the system's (`/etc/resolv.conf` and `/etc/hosts`).
    pub nameservers: Vec<SocketAddr>,
    /// A shorter TTL counts as this. Default 1s.
    pub ttl_floor: Duration,
    /// A longer TTL counts as this. Default 5m.
    pub ttl_ceiling: Duration,
    /// How long the last good answer may be used when no nameserver answers. Default 3 days (RFC 8767 section 5 has 1 to 3).
    pub stale: Duration,
    /// How long "no such name" is believed at the most, when its SOA says longer (RFC 2308). Default 5s: a container that is being
    /// started has no name yet.
    pub negative_ceiling: Duration,
    /// How long a nameserver may take before the next is asked. Default 2s.
    pub time: Duration,
}

/// A private zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Lower case, without leading or trailing dot: names equal to it or below it belong to the zone.
    pub suffix: String,
    /// Where the table starts.
    pub at: Location,
    /// At least one; asked in order, port 53 unless written.
    pub nameservers: Vec<SocketAddr>,
}
