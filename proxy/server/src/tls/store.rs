//! Which certificate a client is shown: by the name it asks for, exact before wildcard, and by the signatures it can check.

use std::{cell::Cell, cmp::Reverse, sync::Arc};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use smallvec::SmallVec;

use super::certificates::{Certified, Loaded};
use crate::acme::Acme;

/// The certificates in force, for every listener. A reload replaces them all at once; handshakes under way keep what
/// they have been given.
#[derive(Debug)]
pub struct Store {
    index: ArcSwap<Index>,
    acme: Arc<Acme>,
}

#[derive(Debug, Default)]
struct Index {
    loaded: Loaded,
    exact: HashMap<Box<str>, Candidates>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Candidates>,
    by_name: HashMap<Arc<str>, Arc<Certified>>,
}

/// Best first.
type Candidates = SmallVec<[Arc<Certified>; 2]>;

impl Store {
    /// A store of these certificates.
    pub fn new(loaded: Loaded) -> Self {
        Self::with(loaded, Arc::default())
    }

    /// A store of these certificates, and of those that are ordered.
    pub fn with(loaded: Loaded, acme: Arc<Acme>) -> Self {
        Self { index: ArcSwap::from_pointee(Index::new(loaded)), acme }
    }

    /// Shows these from now on.
    pub fn replace(&self, loaded: Loaded) {
        self.index.store(Arc::new(Index::new(loaded)));
    }

    /// What is in force, for the next load to compare with.
    pub fn loaded(&self) -> Loaded {
        self.index.load().loaded.clone()
    }

    /// The certificates that cover `host` (lower case, without trailing dot), the one preferred first.
    pub fn covering(&self, host: &str) -> SmallVec<[Arc<Certified>; 2]> {
        self.index.load().covering(host).cloned().collect()
    }

    /// Whether some certificate covers every name right below `suffix`.
    pub fn covers_wildcard(&self, suffix: &str) -> bool {
        self.index.load().wildcard.contains_key(suffix)
    }

    /// The certificate of that name in the configuration.
    pub fn named(&self, name: &str) -> Option<Arc<Certified>> {
        self.index.load().by_name.get(name).cloned()
    }
}

impl Index {
    fn new(loaded: Loaded) -> Self {
        let mut index = Self::default();
        for certified in &loaded.certificates {
            index.by_name.insert(certified.name.clone(), certified.clone());
            for host in &certified.hosts {
                match host.strip_prefix("*.") {
                    Some(parent) => index.wildcard.entry(parent.into()).or_default().push(certified.clone()),
                    None => index.exact.entry(host.clone()).or_default().push(certified.clone()),
                }
            }
        }
        // The sort is stable: among equals, the order of the configuration. The one that lasts longest is the one that was renewed.
        for candidates in index.exact.values_mut().chain(index.wildcard.values_mut()) {
            candidates.sort_by_key(|certified| (certified.key_kind, Reverse(certified.not_after)));
            candidates.dedup_by(|a, b| Arc::ptr_eq(a, b));
        }
        index.loaded = loaded;
        index
    }

    fn covering(&self, host: &str) -> impl Iterator<Item = &Arc<Certified>> {
        let exact = self.exact.get(host);
        // RFC 9525 section 6.3: a wildcard stands for one label.
        let wildcard = host.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        exact.into_iter().chain(wildcard).flatten()
    }

    /// The best of those from files, and whether the client can check it.
    fn choose(&self, host: &str, schemes: &[SignatureScheme]) -> Option<(&Arc<Certified>, bool)> {
        let mut first = None;
        for candidate in self.covering(host) {
            if candidate.suits(schemes) {
                return Some((candidate, true));
            }
            first = first.or(Some((candidate, false)));
        }
        first
    }
}

/// What is shown to a client.
#[derive(Debug, Clone)]
struct Chosen {
    name: Arc<str>,
    key: Arc<CertifiedKey>,
}

impl From<&Arc<Certified>> for Chosen {
    fn from(certified: &Arc<Certified>) -> Self {
        Self { name: certified.name.clone(), key: certified.key.clone() }
    }
}

impl Store {
    /// In this order: from a file and suitable, ordered and suitable, from a file, ordered, the default. Where none suits, the handshake
    /// fails over the signature, which is what the log should say.
    fn choose(&self, host: Option<&str>, default: Option<&str>, schemes: &[SignatureScheme]) -> Option<Chosen> {
        let index = self.index.load();
        if let Some(host) = host {
            let host = host.strip_suffix('.').unwrap_or(host);
            let file = index.choose(host, schemes);
            if let Some((certified, true)) = file {
                return Some(certified.into());
            }
            let covering = self.acme.covering(host);
            let suitable = covering.iter().find(|issued| issued.certified.key.choose_scheme(schemes).is_some());
            let from_file = file.map(|(certified, _)| Chosen::from(certified));
            let ordered = |issued: &Arc<portcullis_certs::issued::Issued>| Chosen {
                name: issued.name.clone(),
                key: issued.certified.clone(),
            };
            let chosen = suitable.map(ordered).or(from_file).or_else(|| covering.first().map(ordered));
            if chosen.is_some() {
                return chosen;
            }
        }
        index.by_name.get(default?).map(Chosen::from)
    }
}

/// One listener's way of choosing from the [`Store`].
#[derive(Debug)]
pub struct Resolver {
    store: Arc<Store>,
    /// Shown where no other covers the name asked for, or none is.
    default: Option<Arc<str>>,
    /// Whether this machine's own authority signs for hosts that nothing else covers.
    local: bool,
}

impl Resolver {
    pub(super) fn new(store: Arc<Store>, default: Option<Arc<str>>, local: bool) -> Self {
        Self { store, default, local }
    }

    /// Whether a client that asks for `host` is shown anything.
    pub(super) fn covers(&self, host: Option<&str>) -> bool {
        let index = self.store.index.load();
        let default = self.default.as_deref().is_some_and(|name| index.by_name.contains_key(name));
        default
            || self.local
            || host.is_some_and(|host| index.covering(host).next().is_some() || self.store.acme.covers(host))
    }

    /// Why there is no certificate for a host that is to have one.
    pub(super) fn why_none(&self, host: &str) -> Option<String> {
        self.store.acme.why_none(host)
    }

    /// The certificate for a client that names no host and came to this address.
    pub(super) fn for_address(&self, address: std::net::IpAddr) -> Option<Arc<portcullis_certs::issued::Issued>> {
        self.store.acme.for_address(address)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name();
        if let Some(chosen) = self.store.choose(host, None, hello.signature_schemes()) {
            CHOSEN.set(Some(chosen.name));
            return Some(chosen.key);
        }
        if let Some(key) = self.local.then(|| self.store.acme.local(host)).flatten() {
            CHOSEN.set(Some(host.unwrap_or("local").into()));
            return Some(key);
        }
        let chosen = self.store.choose(None, self.default.as_deref(), hello.signature_schemes())?;
        CHOSEN.set(Some(chosen.name));
        Some(chosen.key)
    }
}

thread_local! {
    static CHOSEN: Cell<Option<Arc<str>>> = const { Cell::new(None) };
}

/// The name of the certificate last chosen on this thread, once.
///
/// rustls does not tell which certificate a connection shows. But it asks the resolver within the call that drives the
/// handshake, on the same thread; so right after that call this is the answer, whatever else the thread does between calls.
pub(super) fn take_chosen() -> Option<Arc<str>> {
    CHOSEN.take()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Files, *};

    const OLD_CLIENT: &[SignatureScheme] = &[SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::RSA_PSS_SHA256];
    const CLIENT: &[SignatureScheme] = &[
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::RSA_PKCS1_SHA256,
        SignatureScheme::ED25519,
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::ECDSA_NISTP384_SHA384,
    ];

    fn chosen(store: &Store, host: &str, default: Option<&str>, schemes: &[SignatureScheme]) -> Option<String> {
        store.choose(Some(host), default, schemes).map(|chosen| chosen.name.to_string())
    }

    #[test]
    fn exact_names_come_before_wildcards_and_wildcards_cover_one_label() {
        let files = Files::new();
        files.ecdsa("wild", &["*.example.com"]);
        files.ecdsa("exact", &["shop.example.com", "example.com"]);
        let store = Store::new(files.load(&["wild", "exact"]));
        let choose = |host| chosen(&store, host, None, CLIENT);
        assert_eq!(choose("shop.example.com").as_deref(), Some("exact"));
        assert_eq!(choose("blog.example.com").as_deref(), Some("wild"));
        assert_eq!(choose("example.com").as_deref(), Some("exact"));
        assert_eq!(choose("a.blog.example.com"), None);
        assert_eq!(choose("com"), None);
        assert_eq!(choose("other.example"), None);
    }

    #[test]
    fn old_clients_get_rsa_and_others_ecdsa() {
        let files = Files::new();
        files.rsa("rsa", &["shop.example.com"]);
        files.ecdsa("ecdsa", &["shop.example.com"]);
        let store = Store::new(files.load(&["rsa", "ecdsa"]));
        assert_eq!(chosen(&store, "shop.example.com", None, CLIENT).as_deref(), Some("ecdsa"));
        assert_eq!(chosen(&store, "shop.example.com", None, OLD_CLIENT).as_deref(), Some("rsa"));
        assert_eq!(chosen(&store, "shop.example.com", None, &[SignatureScheme::ED448]).as_deref(), Some("ecdsa"));
    }

    #[test]
    fn a_wildcard_that_suits_is_better_than_an_exact_one_that_does_not() {
        let files = Files::new();
        files.rsa("wild", &["*.example.com"]);
        files.ecdsa("exact", &["shop.example.com"]);
        let store = Store::new(files.load(&["wild", "exact"]));
        assert_eq!(chosen(&store, "shop.example.com", None, OLD_CLIENT).as_deref(), Some("wild"));
    }

    #[test]
    fn the_default_is_for_names_that_nothing_covers() {
        let files = Files::new();
        files.ecdsa("one", &["one.example"]);
        files.ecdsa("two", &["two.example"]);
        let store = Arc::new(Store::new(files.load(&["one", "two"])));
        assert_eq!(chosen(&store, "three.example", Some("two"), CLIENT).as_deref(), Some("two"));
        assert_eq!(chosen(&store, "one.example", Some("two"), CLIENT).as_deref(), Some("one"));
        assert!(Resolver::new(store.clone(), Some("two".into()), false).covers(None));
        assert!(!Resolver::new(store.clone(), None, false).covers(None));
        assert!(!Resolver::new(store, Some("gone".into()), false).covers(Some("three.example")));
    }

    #[test]
    fn a_replaced_store_shows_the_new_ones() {
        let files = Files::new();
        files.ecdsa("one", &["one.example"]);
        files.ecdsa("two", &["two.example"]);
        let store = Store::new(files.load(&["one"]));
        assert!(store.covering("two.example").is_empty());
        store.replace(files.load(&["two"]));
        assert_eq!(&*store.covering("two.example")[0].name, "two");
        assert!(store.covering("one.example").is_empty() && store.named("one").is_none());
        assert_eq!(store.loaded().certificates.len(), 1);
    }
}
