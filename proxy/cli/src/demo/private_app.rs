//! The private app: two instances that are re-created at other addresses when somebody asks for `/redeploy`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinSet,
    time::sleep,
};

use super::{
    PRIVATE,
    app::{self, Answer},
    container,
    zone::Zone,
};

const INSTANCES: u8 = 2;

/// Addresses in turn: a new deploy never gets the addresses of the one before.
const ADDRESSES: u8 = 8;

/// How long the instances of the last deploy go on, as a platform gives containers time to stop. Longer than the
/// zone's TTL, shorter than anybody's patience.
const GRACE: Duration = Duration::from_secs(4);

/// The instances of one deploy.
struct Deploy {
    number: u32,
    addresses: BTreeMap<u8, IpAddr>,
    /// Their tasks: they end when this is dropped.
    _instances: JoinSet<()>,
}

/// The first deploy, published; [`Deploys::carry_on`] does the others.
pub(super) struct Deploys {
    zone: Zone,
    current: Deploy,
    wanted: Receiver<()>,
    want: Sender<()>,
}

impl Deploys {
    pub(super) async fn start(zone: Zone) -> anyhow::Result<Self> {
        // One that waits is enough: who asks twice within a deploy gets one more.
        let (want, wanted) = mpsc::channel(1);
        let current = deploy(1, &want).await?;
        zone.publish(&current.addresses).await?;
        Ok(Self { zone, current, wanted, want })
    }

    /// Re-creates the app whenever that is asked for, until dropped.
    pub(super) async fn carry_on(mut self) {
        while self.wanted.recv().await.is_some() {
            let next = match deploy(self.current.number + 1, &self.want).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!("demo: the private app stays where it is: {error:#}");
                    continue;
                }
            };
            if let Err(error) = self.zone.publish(&next.addresses).await {
                tracing::warn!("demo: the private app stays where it is: {error:#}");
                continue;
            }
            tracing::info!(deploy = next.number, addresses = ?next.addresses.values(), "demo: the private app was re-created");
            let last = std::mem::replace(&mut self.current, next);
            sleep(GRACE).await;
            drop(last);
        }
    }
}

async fn deploy(number: u32, want: &Sender<()>) -> anyhow::Result<Deploy> {
    let mut addresses = BTreeMap::new();
    let mut instances = JoinSet::new();
    for instance in 1..=INSTANCES {
        // The remainder is below ADDRESSES, which is a u8.
        let turn = ((number - 1) * u32::from(INSTANCES) % u32::from(ADDRESSES)) as u8;
        let address = container(turn + instance);
        addresses.insert(instance, address);
        let at = SocketAddr::new(address, PRIVATE);
        instances.spawn(app::serve(app::bind(at).await?, answer(number, instance, at, want.clone())));
    }
    Ok(Deploy { number, addresses, _instances: instances })
}

fn answer(deploy: u32, instance: u8, at: SocketAddr, want: Sender<()>) -> Answer {
    Arc::new(move |request| {
        if request.uri().path() == "/redeploy" {
            // Full means that one is coming anyway.
            _ = want.try_send(());
            return Some(format!("deploy {} is coming, at other addresses", deploy + 1));
        }
        Some(app::sentence(&format!("{instance}.web, deploy {deploy},"), at, request))
    })
}
