//! Which nameservers a name belongs to.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_proto::rr::Name;
use portcullis_config::dns::Dns;

use super::{
    Error,
    answer::Source,
    servers::Servers,
    system::{Facts, System},
};

/// Nameservers, and what they are in the configuration.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) source: Source,
    pub(super) servers: Arc<Servers>,
}

/// The zones, and what is for all other names.
#[derive(Debug)]
pub(super) struct Routing {
    /// Longest suffix first, so that the first match is the closest.
    zones: Vec<(Name, Route)>,
    /// The configured nameservers, if there are any.
    nameservers: Option<Route>,
    system: System,
    /// For the nameservers that the system's files name at present; made anew when they change.
    system_route: ArcSwap<Route>,
    time: std::time::Duration,
}

/// Where a name in no zone goes.
pub(super) enum Public {
    /// To the configured nameservers.
    Nameservers(Route),
    /// To the system's; its files say more than nameservers.
    System(Route, Arc<Facts>),
}

impl Routing {
    pub(super) fn new(config: &Dns, system: System) -> Result<Self, Error> {
        let mut zones = Vec::with_capacity(config.zones.len());
        for zone in &config.zones {
            let name = to_name(&zone.suffix).map_err(|reason| Error::Suffix { suffix: zone.suffix.clone(), reason })?;
            if zone.nameservers.is_empty() {
                return Err(Error::NoNameserver { suffix: zone.suffix.clone() });
            }
            let servers = Arc::new(Servers::new(&zone.nameservers, config.time));
            zones.push((name, Route { source: Source::Zone(zone.suffix.as_str().into()), servers }));
        }
        zones.sort_by_key(|(name, _)| std::cmp::Reverse(name.iter().count()));
        let route = |source, addresses: &[_]| Route { source, servers: Arc::new(Servers::new(addresses, config.time)) };
        let nameservers =
            (!config.nameservers.is_empty()).then(|| route(Source::Nameservers, config.nameservers.as_slice()));
        let system_route = ArcSwap::from_pointee(route(Source::System, &[]));
        Ok(Self { zones, nameservers, system, system_route, time: config.time })
    }

    /// The zone that a name is in. Scans the zones, once for each look-up.
    pub(super) fn zone(&self, name: &Name) -> Option<&Route> {
        self.zones.iter().find(|(suffix, _)| suffix.zone_of(name)).map(|(_, route)| route)
    }

    /// Where names in no zone go.
    pub(super) async fn public(&self) -> Public {
        if let Some(route) = &self.nameservers {
            return Public::Nameservers(route.clone());
        }
        let facts = self.system.facts().await;
        let mut route = self.system_route.load_full();
        if !route.servers.addresses().eq(facts.nameservers.iter().copied()) {
            let servers = Arc::new(Servers::new(&facts.nameservers, self.time));
            route = Arc::new(Route { source: Source::System, servers });
            self.system_route.store(Arc::clone(&route));
        }
        Public::System(Route::clone(&route), facts)
    }
}

/// A full domain name, whether or not it ends with a dot.
///
/// # Errors
/// What is wrong with it.
pub(super) fn to_name(text: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(text).map_err(|error| error.to_string())?;
    if text.is_empty() || text.contains('\\') {
        return Err("empty, or with a backslash".to_owned());
    }
    name.set_fqdn(true);
    Ok(name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::tests::{config, zone};

    fn routing() -> Routing {
        let mut config = config();
        config.zones = vec![
            zone("internal", ["10.0.0.1:53".parse().unwrap()]),
            zone("pn-1.internal", ["10.0.0.2:53".parse().unwrap()]),
        ];
        Routing::new(&config, System::fixed(Facts::default())).unwrap()
    }

    fn zone_of(name: &str) -> Option<String> {
        routing().zone(&to_name(name).unwrap()).and_then(|route| route.source.zone().map(str::to_owned))
    }

    #[tokio::test]
    async fn the_longest_suffix_of_whole_labels_wins() {
        assert_eq!(zone_of("app.pn-1.internal").as_deref(), Some("pn-1.internal"));
        assert_eq!(zone_of("pn-1.internal").as_deref(), Some("pn-1.internal"));
        assert_eq!(zone_of("1.web.app.pn-2.internal.").as_deref(), Some("internal"));
        assert_eq!(zone_of("APP.INTERNAL").as_deref(), Some("internal"));
        assert_eq!(zone_of("notinternal"), None);
        assert_eq!(zone_of("app.notinternal"), None);
        assert_eq!(zone_of("internal.example.com"), None);
    }

    #[test]
    fn a_name_is_a_name() {
        assert_eq!(to_name("My-API").unwrap(), to_name("my-api.").unwrap());
        assert!(to_name("_http._tcp.app").is_ok());
        let long = "x".repeat(64);
        for bad in ["", "a..b", "a\\.b", long.as_str()] {
            assert!(to_name(bad).is_err(), "{bad:?}");
        }
    }
}
