//! Certificates that are ordered (`portcullis-certs`), as part of a running proxy: which hosts are to have one, what answers challenges,
//! and what is shown to clients.
//!
//! [`Acme`] lives as long as the process; configurations come and go over it.

mod answer;
mod describe;
mod handle;
mod served;
mod wanted;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use portcullis_certs::{
    issued::Issued,
    local::LocalAuthority,
    manager::{Manager, Parts},
    storage::{Storage, disk::Disk},
};
use rustls::sign::CertifiedKey;
use smallvec::SmallVec;

pub use self::{
    answer::{Only, http01, tls_alpn01},
    describe::findings,
    handle::handle,
    wanted::{Wanted, files},
};
use crate::{
    shared::Shared,
    snapshot::{Listener, Snapshot},
    tls::provider::provider,
};

/// How long kept certificates are waited for before a snapshot is in force. Those that take longer come when they come.
const READ: Duration = Duration::from_secs(5);

/// The certificates that are ordered, if the configuration in force asks for any.
#[derive(Debug, Default)]
pub struct Acme {
    manager: ArcSwapOption<Keeper>,
    local: ArcSwapOption<LocalAuthority>,
    shared: Arc<OnceLock<Weak<Shared>>>,
}

/// A manager with what it was started for.
#[derive(Debug)]
struct Keeper {
    manager: Manager,
    folder: PathBuf,
}

/// What the next snapshot needs, ready to be put in force.
#[derive(Debug)]
pub struct Staged {
    ordered: Option<(Arc<Keeper>, Arc<Wanted>)>,
    local: Option<Arc<LocalAuthority>>,
}

impl Acme {
    /// Where the snapshot in force is found, for looking at what is served. Once.
    pub fn serves(&self, shared: &Arc<Shared>) {
        let _ = self.shared.set(Arc::downgrade(shared));
    }

    /// The manager, where certificates are ordered.
    pub fn manager(&self) -> Option<Manager> {
        self.manager.load().as_ref().map(|keeper| keeper.manager.clone())
    }

    /// The ordered certificates for `host` (lower case, no trailing dot), the one preferred first.
    pub fn covering(&self, host: &str) -> SmallVec<[Arc<Issued>; 2]> {
        match &*self.manager.load() {
            Some(keeper) => keeper.manager.table().covering(host).iter().cloned().collect(),
            None => SmallVec::new(),
        }
    }

    /// Whether there is one.
    pub fn covers(&self, host: &str) -> bool {
        self.manager.load().as_ref().is_some_and(|keeper| !keeper.manager.table().covering(host).is_empty())
    }

    /// The certificate for a client that names no host and came to this address: clients that were told an address do so.
    pub fn for_address(&self, address: std::net::IpAddr) -> Option<Arc<Issued>> {
        let keeper = self.manager.load();
        let table = keeper.as_ref()?.manager.table();
        if let Some(issued) = table.covering(&address.to_canonical().to_string()).first() {
            return Some(issued.clone());
        }
        // Behind a translation of addresses, the address here is not the one that was asked for.
        let mut others = table.iter().filter(|issued| issued.is_address());
        let only = others.next()?;
        others.next().is_none().then(|| only.clone())
    }

    /// A certificate of this machine's own authority, where one is configured.
    pub fn local(&self, host: Option<&str>) -> Option<Arc<CertifiedKey>> {
        self.local.load().as_ref()?.certificate(host)
    }

    /// That authority's root, PEM.
    pub fn root(&self) -> Option<String> {
        Some(self.local.load().as_ref()?.root().to_owned())
    }

    /// Why there is no certificate for a host that is to have one.
    pub fn why_none(&self, host: &str) -> Option<String> {
        self.manager.load().as_ref()?.manager.why_none(host)
    }

    /// Opens what `wanted` needs, and reads what is kept for its hosts. Nothing changes for clients until [`Staged`] is put in force.
    ///
    /// # Errors
    /// When the folder of state cannot be used.
    pub async fn stage(&self, snapshot: &Snapshot) -> Result<Staged, String> {
        let is_local = |listener: &Arc<Listener>| listener.config.tls.as_ref().is_some_and(|tls| tls.local);
        let local = match snapshot.listeners.iter().any(is_local) {
            false => None,
            true => Some(match self.local.load_full() {
                Some(local) => local,
                None => Arc::new(self.open_local(snapshot).await?),
            }),
        };
        let Some(wanted) = &snapshot.wanted else { return Ok(Staged { ordered: None, local }) };
        let keeper = match self.manager.load_full() {
            Some(keeper) => {
                if keeper.folder != wanted.folder {
                    tracing::warn!("[acme] state takes effect at the next start");
                }
                keeper
            }
            None => Arc::new(self.open(wanted).await?),
        };
        if tokio::time::timeout(READ, keeper.manager.prepare(&wanted.subjects)).await.is_err() {
            tracing::warn!("kept certificates take long to read; they are shown as they come");
        }
        Ok(Staged { ordered: Some((keeper, wanted.clone())), local })
    }

    async fn open_local(&self, snapshot: &Snapshot) -> Result<LocalAuthority, String> {
        let configured = snapshot.config.acme.as_ref().and_then(|acme| acme.state.as_deref());
        let disk = disk(usual_folder(configured)?).await?;
        LocalAuthority::open(&disk, &provider()).await
    }

    async fn open(&self, wanted: &Wanted) -> Result<Keeper, String> {
        let storage: Arc<dyn Storage> = Arc::new(disk(wanted.folder.clone()).await?);
        let manager = Manager::start(Parts {
            settings: wanted.settings.clone(),
            storage,
            records: wanted.records.clone(),
            served: Arc::new(served::Handshake::new(self.shared.clone())),
            provider: provider(),
        });
        Ok(Keeper { manager, folder: wanted.folder.clone() })
    }

    /// Puts in force what [`stage`](Self::stage) made. `before`: what was wanted until now.
    pub fn put(&self, staged: Staged, before: Option<&Wanted>) {
        self.local.store(staged.local);
        let Some((keeper, wanted)) = staged.ordered else {
            self.manager.store(None);
            return;
        };
        if before.is_some_and(|before| before.origin != wanted.origin) {
            keeper.manager.configure(wanted.settings.clone(), wanted.records.clone());
        }
        keeper.manager.want(&wanted.subjects);
        self.manager.store(Some(keeper));
    }

    /// From now on certificates are ordered: listeners are there to answer challenges.
    pub fn begin(&self) {
        if let Some(keeper) = &*self.manager.load() {
            keeper.manager.begin();
        }
    }
}

async fn disk(folder: PathBuf) -> Result<Disk, String> {
    let opened = crate::process::blocking("acme-state", move || Disk::open(&folder)).await;
    opened
        .ok_or("no thread could be started")?
        .map_err(|error| format!("the folder of [acme] state cannot be used: {error}"))
}

/// The folder that is meant where the configuration names none.
fn usual_folder(configured: Option<&Path>) -> Result<PathBuf, String> {
    configured.map(Path::to_owned).or_else(portcullis_plugin::state_folder).ok_or_else(|| {
        "there is no usual folder for certificates, because neither $XDG_DATA_HOME nor $HOME is set; write `state = \"FOLDER\"` in [acme]"
            .to_owned()
    })
}

/// The snapshot in force, seen from a task that does not keep it.
fn in_force(shared: &OnceLock<Weak<Shared>>) -> Option<Arc<Snapshot>> {
    Some(shared.get()?.upgrade()?.snapshot.load_full())
}
