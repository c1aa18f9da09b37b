//! `[dns]` and `[[dns.zone]]`.

use std::{net::IpAddr, time::Duration};

use super::{
    Filled, Map, Tables,
    net::{Nameserver, host_name, is_ip_like},
    table::table,
    text::{Problem, Written},
    unit::OrZero,
};

table! {
    /// How names of backends are looked up: `hosts` first, then the zone with the longest suffix, then `nameservers`.
    Dns {
        /// For names in no zone. Default: the system's resolver.
        nameservers: Filled<Nameserver>,
        /// A shorter time to live counts as this. Default 1s.
        ttl_floor: OrZero,
        /// A longer time to live counts as this. Default 5m.
        ttl_ceiling: Duration,
        /// How long the last good answer is used when no nameserver answers. Default 3d.
        stale: OrZero,
        /// How long "no such name" is believed at the most. Default 5s.
        negative_ceiling: OrZero,
        /// How long a nameserver may take before the next is asked. Default 2s.
        time: Duration,
        /// Names with addresses of their own.
        hosts: Map<DnsName, Filled<IpAddr>>,
        /// Private zones: their names are asked of their nameservers and of nobody else.
        zone: Tables<Zone>,
    }
}

table! {
    /// A private zone.
    Zone {
        /// Names equal to this or below it belong to the zone.
        suffix: DnsName = required,
        /// Asked in order, port 53 unless written.
        nameservers: Filled<Nameserver> = required,
    }
}

/// A name to look up: lower case, without a dot at its ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DnsName(pub(crate) String);

impl Written for DnsName {
    const KIND: &'static str = "a DNS name";
    const EXAMPLES: &'static [&'static str] = &["private-network.internal", "my-api"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if is_ip_like(text) {
            return Err(Problem::new("an address, where a name is expected"));
        }
        host_name(text.strip_prefix('.').unwrap_or(text)).map(Self)
    }
}
