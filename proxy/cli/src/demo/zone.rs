//! The private zone, as a container platform would serve it.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use anyhow::Context;
use hickory_server::{
    Server,
    proto::rr::{LowerName, Name, RData, Record, RecordSet, RecordType, RrKey, rdata::SOA},
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, ZoneHandler, ZoneType},
};
use tokio::net::{TcpListener, UdpSocket};

use super::{NAMESERVER, PRIVATE_NAME, ZONE, loopback, town::busy};

/// Seconds. Short, so that a deploy is seen soon.
const TTL: u32 = 2;

/// The zone's records, and the server that answers from them. Ends when dropped.
pub(super) struct Zone {
    records: Arc<InMemoryZoneHandler>,
    _server: Server<Catalog>,
}

impl Zone {
    /// Binds the nameserver's port, UDP and TCP, and starts answering.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let address = loopback(NAMESERVER);
        let udp = UdpSocket::bind(address).await.with_context(|| busy("UDP", address))?;
        let tcp = TcpListener::bind(address).await.with_context(|| busy("TCP", address))?;

        let origin = name(ZONE)?;
        let mut zone = InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
        let soa = SOA::new(origin.clone(), origin.clone(), 1, 3600, 600, 86_400, 1);
        zone.upsert_mut(Record::from_rdata(origin.clone(), TTL, RData::SOA(soa)), 1);
        let records = Arc::new(zone);

        let mut catalog = Catalog::new();
        catalog.upsert(LowerName::new(&origin), vec![records.clone() as Arc<dyn ZoneHandler>]);
        let mut server = Server::new(catalog);
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(5), 64);
        Ok(Self { records, _server: server })
    }

    /// Says where the instances of the private app are: each has a name with its number, all share the one without.
    pub(super) async fn publish(&self, instances: &BTreeMap<u8, IpAddr>) -> anyhow::Result<()> {
        let mut sets = vec![(name(PRIVATE_NAME)?, instances.values().copied().collect::<Vec<_>>())];
        for (number, address) in instances {
            sets.push((name(&format!("{number}.{PRIVATE_NAME}"))?, vec![*address]));
        }
        let mut records = self.records.records_mut().await;
        for (name, addresses) in sets {
            let mut set = RecordSet::with_ttl(name.clone(), RecordType::A, TTL);
            for address in addresses {
                set.insert(Record::from_rdata(name.clone(), TTL, RData::from(address)), 1);
            }
            records.insert(RrKey::new(LowerName::new(&name), RecordType::A), Arc::new(set));
        }
        Ok(())
    }
}

fn name(text: &str) -> anyhow::Result<Name> {
    Name::from_ascii(format!("{text}.")).with_context(|| format!("{text} is not a name"))
}
