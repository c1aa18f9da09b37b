//! `[dns]`: zones that differ, a floor below its ceiling.

use std::{collections::HashMap, time::Duration};

use crate::{
    diagnostic::Sink,
    dns::{Dns, Zone},
    raw,
};

const DAY: Duration = Duration::from_secs(86400);

pub(super) fn dns(raw: Option<&raw::Dns>, out: &mut Sink<'_>) -> Dns {
    let none = raw::Dns::default();
    let raw = raw.unwrap_or(&none);
    let ttl_floor = raw.ttl_floor.get().map_or(Duration::from_secs(1), |floor| floor.0);
    let ttl_ceiling = raw.ttl_ceiling.or(Duration::from_secs(300));
    if ttl_floor > ttl_ceiling
        && let Some(at) = raw.ttl_floor.key.or(raw.ttl_ceiling.key)
    {
        out.error(at, format!("`ttl_floor` ({ttl_floor:?}) is above `ttl_ceiling` ({ttl_ceiling:?})"));
    }
    let hosts = raw.hosts.get().map(|hosts| hosts.entries.as_slice()).unwrap_or_default();
    let mut first = HashMap::new();
    for host in hosts {
        if let Some(other) = first.insert(&host.key.value, host.key.span) {
            out.error(host.key.span, format!("the name `{}` is here twice", host.key.value.0))
                .other(other, "the first one is here");
        }
    }
    Dns {
        zones: zones(raw, out),
        hosts: hosts
            .iter()
            .filter_map(|host| {
                let addresses = host.value.as_ref()?.0.iter().map(|at| at.value).collect();
                Some((host.key.value.0.clone(), addresses))
            })
            .collect(),
        nameservers: raw.nameservers.get().map(addresses).unwrap_or_default(),
        ttl_floor,
        ttl_ceiling,
        stale: raw.stale.get().map_or(3 * DAY, |stale| stale.0),
        negative_ceiling: raw.negative_ceiling.get().map_or(Duration::from_secs(5), |ceiling| ceiling.0),
        time: raw.time.or(Duration::from_secs(2)),
    }
}

fn zones(raw: &raw::Dns, out: &mut Sink<'_>) -> Vec<Zone> {
    let mut first = HashMap::new();
    let mut zones = Vec::new();
    for zone in raw.zone.get().map(|zones| zones.0.as_slice()).unwrap_or_default() {
        let Some(suffix) = &zone.value.suffix.value else { continue };
        if let Some(other) = first.insert(&suffix.value, suffix.span) {
            out.error(suffix.span, format!("two zones have the suffix `{}`", suffix.value.0))
                .other(other, "the first one is here")
                .help("one zone can have several nameservers");
        }
        zones.push(Zone {
            suffix: suffix.value.0.clone(),
            at: out.sources.locate(zone.span),
            nameservers: zone.value.nameservers.get().map(addresses).unwrap_or_default(),
        });
    }
    zones
}

fn addresses(nameservers: &raw::Filled<raw::Nameserver>) -> Vec<std::net::SocketAddr> {
    nameservers.0.iter().map(|at| at.value.0).collect()
}
