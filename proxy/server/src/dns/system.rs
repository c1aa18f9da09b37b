//! The system's resolver files, `/etc/resolv.conf` and `/etc/hosts`: read at start, and again when they change (a new
//! lease, a container put on another network).
//!
//! Honoured are `nameserver`, `search` or `domain`, and `ndots`. Time limits and order are ours. `nsswitch.conf`, and
//! with it mDNS and other sources, is not read.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read},
    net::{IpAddr, SocketAddr, SocketAddrV6},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use hickory_proto::rr::Name;
use resolv_conf::ScopedIp;

/// How often the files are looked at, at the most.
const CHECK: Duration = Duration::from_secs(5);

/// More of a file is not read.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// More search domains are not tried.
const MAX_SEARCH: usize = 16;

/// What the files say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) nameservers: Vec<SocketAddr>,
    pub(super) search: Vec<Name>,
    /// A name with fewer dots than this is searched for in the search domains when it does not exist as it is.
    pub(super) ndots: usize,
    /// By name, lower case, without trailing dot.
    pub(super) hosts: HashMap<String, Vec<IpAddr>>,
}

impl Facts {
    /// Lines that mean nothing are passed over, as the C library does.
    fn parse(resolv_conf: &[u8], hosts: &[u8]) -> Self {
        let (config, errors) = resolv_conf::Config::parse_with_errors(resolv_conf);
        for error in errors {
            tracing::debug!(%error, "a line of /etc/resolv.conf means nothing here");
        }
        let search = config.get_last_search_or_domain().filter_map(|domain| Name::from_ascii(domain).ok());
        Self {
            nameservers: config.nameservers.iter().filter_map(nameserver).collect(),
            search: search.filter(|domain| !domain.is_root()).take(MAX_SEARCH).collect(),
            ndots: config.ndots.min(15) as usize,
            hosts: parse_hosts(&String::from_utf8_lossy(hosts)),
        }
    }
}

/// `None` for an address on a network interface that is not there.
fn nameserver(address: &ScopedIp) -> Option<SocketAddr> {
    match address {
        ScopedIp::V4(address) => Some((*address, 53).into()),
        ScopedIp::V6(address, scope) => {
            let scope = scope.as_deref().map_or(Some(0), interface)?;
            Some(SocketAddrV6::new(*address, 53, 0, scope).into())
        }
    }
}

/// The index of a network interface, from its name or its number.
fn interface(scope: &str) -> Option<u32> {
    scope.parse().ok().or_else(|| {
        let plain = !scope.contains('/') && !scope.starts_with('.');
        let index = plain.then(|| fs::read_to_string(format!("/sys/class/net/{scope}/ifindex")).ok())??;
        index.trim().parse().ok()
    })
}

fn parse_hosts(text: &str) -> HashMap<String, Vec<IpAddr>> {
    let mut hosts: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        for name in words {
            let addresses = hosts.entry(name.trim_end_matches('.').to_ascii_lowercase()).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    hosts
}

/// The files, followed.
#[derive(Debug)]
pub(super) struct System {
    facts: ArcSwap<Files>,
    paths: Option<Paths>,
    started: Instant,
    /// Milliseconds after `started`.
    checked: AtomicU64,
}

/// Both files, as they were read.
#[derive(Debug)]
struct Files {
    facts: Arc<Facts>,
    stamps: [Stamp; 2],
}

#[derive(Clone, Debug)]
struct Paths {
    resolv_conf: PathBuf,
    hosts: PathBuf,
}

/// What changes when a file does, or is replaced.
type Stamp = Option<(SystemTime, u64)>;

impl System {
    /// Reads this system's files. A file that cannot be read counts as empty.
    pub(super) fn read() -> Self {
        Self::from_files(Paths { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into() })
    }

    fn from_files(paths: Paths) -> Self {
        Self::new(paths.read(), Some(paths))
    }

    fn new(read: Files, paths: Option<Paths>) -> Self {
        Self { facts: ArcSwap::from_pointee(read), paths, started: Instant::now(), checked: AtomicU64::new(0) }
    }

    /// A system that says this and never changes.
    #[cfg(test)]
    pub(super) fn fixed(facts: Facts) -> Self {
        Self::new(Files { facts: Arc::new(facts), stamps: [None, None] }, None)
    }

    /// What the files say, read again if they have changed and were not looked at for 5 s. Cancel safe.
    pub(super) async fn facts(&self) -> Arc<Facts> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let checked = self.checked.load(Ordering::Relaxed);
        let due = now.saturating_sub(checked) >= CHECK.as_millis() as u64;
        if let Some(paths) = self.paths.as_ref().filter(|_| due)
            && self.checked.compare_exchange(checked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let (paths, old) = (paths.clone(), self.facts.load_full());
            // Files may be on a network; the worker has exchanges to move.
            let read = tokio::task::spawn_blocking(move || (paths.stamps() != old.stamps).then(|| paths.read())).await;
            if let Ok(Some(read)) = read {
                tracing::info!(nameservers = ?read.facts.nameservers, "the system's resolver files have changed");
                self.facts.store(Arc::new(read));
            }
        }
        Arc::clone(&self.facts.load().facts)
    }
}

impl Paths {
    fn read(&self) -> Files {
        // Stamps first: a change while reading is then seen as one next time.
        let stamps = self.stamps();
        let facts = Facts::parse(&contents(&self.resolv_conf), &contents(&self.hosts));
        Files { facts: Arc::new(facts), stamps }
    }

    fn stamps(&self) -> [Stamp; 2] {
        [stamp(&self.resolv_conf), stamp(&self.hosts)]
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn contents(path: &Path) -> Vec<u8> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().unwrap_or_else(|error| {
        tracing::debug!(path = %path.display(), %error, "cannot be read, counts as empty");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_nameservers_search_and_ndots() {
        let facts = Facts::parse(
            b"# made by hand\nnameserver 127.0.0.11\nnameserver fd00::53\nnameserver nonsense\n\
              search ns.svc.cluster.local svc.cluster.local\noptions ndots:5 timeout:9\n",
            b"",
        );
        assert_eq!(facts.nameservers, ["127.0.0.11:53".parse().unwrap(), "[fd00::53]:53".parse().unwrap()]);
        assert_eq!(facts.search.len(), 2);
        assert_eq!(facts.ndots, 5);
    }

    #[test]
    fn an_interface_is_known_by_name_or_number() {
        assert_eq!(interface("7"), Some(7));
        assert!(interface("lo").is_some());
        assert_eq!(interface("../lo"), None);
        assert_eq!(interface("nosuch0"), None);
    }

    #[test]
    fn reads_hosts_as_the_c_library_does() {
        let hosts =
            parse_hosts("127.0.0.1 localhost\n10.0.0.7\tApp.Internal. app # mine\nrubbish x\n::7 app\n10.0.0.7 app\n");
        assert_eq!(hosts["app"], ["10.0.0.7".parse::<IpAddr>().unwrap(), "::7".parse().unwrap()]);
        assert_eq!(hosts["app.internal"].len(), 1);
        assert_eq!(hosts.len(), 3);
    }

    #[test]
    fn does_without_the_files() {
        let nowhere = tempfile::tempdir().unwrap();
        let paths = Paths { resolv_conf: nowhere.path().join("a"), hosts: nowhere.path().join("b") };
        assert!(paths.read().facts.nameservers.is_empty());
    }

    #[tokio::test]
    async fn reads_again_when_a_file_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths { resolv_conf: folder.path().join("resolv.conf"), hosts: folder.path().join("hosts") };
        fs::write(&paths.hosts, "10.0.0.1 app\n").unwrap();
        let mut system = System::from_files(paths.clone());
        assert_eq!(system.facts().await.hosts["app"], [IpAddr::from([10, 0, 0, 1])]);
        fs::write(&paths.hosts, "10.0.0.200 app\n").unwrap();
        assert_eq!(system.facts().await.hosts["app"], [IpAddr::from([10, 0, 0, 1])], "not looked at again yet");
        system.started = system.started.checked_sub(CHECK).unwrap();
        assert_eq!(system.facts().await.hosts["app"], [IpAddr::from([10, 0, 0, 200])]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = Facts::parse(&bytes, &bytes);
        }
    }
}
