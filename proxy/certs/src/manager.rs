//! Which certificates there are to be, and what is done so that they are: the only place that decides when something is ordered.
//!
//! One task looks at the wall clock at least twice a minute, so that a clock that jumps, a laptop that slept and a window that the authority
//! moved are all noticed in the same way. Each order is a task of its own: one that hangs holds up nobody but its own name.

mod entry;
mod keeping;
mod ordering;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use rustls::crypto::CryptoProvider;
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::JoinHandle,
};

use self::entry::Entry;
pub use self::entry::{Listed, state};
use crate::{
    answers::{Answering, Answers},
    challenge::{Records, Solver},
    clock::Instant,
    documents::{self, AttemptsDocument, CertificateDocument, ChallengeDocument},
    failure::{Failure, Kind},
    issued::Issued,
    order::Orders,
    renewal,
    settings::{ChallengeKind, KeyKind, Settings},
    storage::{Folder, Key, Storage, StorageError},
    subject::Subject,
    table::Table,
};

/// Documents that are read at once when many names come at once.
const READS: usize = 16;

/// Says whether what was issued is what a client is shown.
pub trait Served: Send + Sync + fmt::Debug {
    /// Handshakes with this proxy for `subject` and compares the leaf. The error is a sentence.
    fn check<'a>(&'a self, issued: &'a Issued) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;
}

/// What a manager is made of.
#[derive(Debug)]
pub struct Parts {
    /// What the operator asks for; replaced with [`Manager::configure`].
    pub settings: Settings,
    /// Where state is kept.
    pub storage: Arc<dyn Storage>,
    /// For dns-01.
    pub records: Option<Arc<dyn Records>>,
    /// Asked after each activation.
    pub served: Arc<dyn Served>,
    /// For keys.
    pub provider: Arc<CryptoProvider>,
}

/// Keeps certificates. Dropping the last clone ends its tasks.
#[derive(Debug, Clone)]
pub struct Manager {
    inner: Arc<Inner>,
    _task: Arc<Task>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Inner {
    settings: ArcSwap<Settings>,
    records: ArcSwap<Option<Arc<dyn Records>>>,
    storage: Arc<dyn Storage>,
    answers: Answers,
    served: Arc<dyn Served>,
    provider: Arc<CryptoProvider>,
    table: ArcSwap<Table>,
    /// Counts tables, so that somebody can wait for the next.
    published: watch::Sender<u64>,
    entries: Mutex<BTreeMap<(Subject, KeyKind), Entry>>,
    wake: Notify,
    permits: Semaphore,
    /// Whether anything may be ordered yet.
    begun: AtomicBool,
    /// How attempts went: by kind of failure, or `None` where a certificate was issued.
    counts: Mutex<BTreeMap<Option<&'static str>, u64>>,
}

impl Manager {
    /// Starts on the present tokio runtime. Certificates are read when they are wanted; nothing is ordered before [`begin`](Self::begin).
    pub fn start(parts: Parts) -> Self {
        let parallel = parts.settings.parallel.max(1);
        let inner = Arc::new(Inner {
            settings: ArcSwap::from_pointee(parts.settings),
            records: ArcSwap::from_pointee(parts.records),
            storage: parts.storage,
            answers: Answers::default(),
            served: parts.served,
            provider: parts.provider,
            table: ArcSwap::default(),
            published: watch::Sender::new(0),
            entries: Mutex::default(),
            wake: Notify::new(),
            permits: Semaphore::new(parallel),
            begun: AtomicBool::new(false),
            counts: Mutex::default(),
        });
        let task = tokio::spawn(keeping::keep(Arc::downgrade(&inner)));
        Self { inner, _task: Arc::new(Task(task)) }
    }

    /// From now on certificates are ordered: what answers challenges is there.
    pub fn begin(&self) {
        self.inner.begun.store(true, Relaxed);
        self.inner.wake.notify_one();
    }

    /// Reads what is kept for these names, so that it is there before the first client comes. What cannot be read is tried again later.
    pub async fn prepare(&self, subjects: &BTreeSet<Subject>) {
        let keys = self.inner.settings.load().keys.clone();
        let mut unknown = Vec::new();
        {
            let mut entries = self.inner.entries();
            for subject in subjects {
                for &kind in &keys {
                    if !entries.entry((subject.clone(), kind)).or_default().known {
                        unknown.push((subject.clone(), kind));
                    }
                }
            }
        }
        futures_util::stream::iter(unknown)
            .for_each_concurrent(READS, async |(subject, kind)| {
                if let Err(error) = keeping::refresh(&self.inner, &subject, kind).await {
                    tracing::warn!(%subject, %error, "the certificate store cannot be read");
                }
            })
            .await;
    }

    /// Other settings, from the next order on.
    pub fn configure(&self, settings: Settings, records: Option<Arc<dyn Records>>) {
        self.inner.settings.store(Arc::new(settings));
        self.inner.records.store(Arc::new(records));
        // What failed may go well now: the operator has changed something.
        for entry in self.inner.entries().values_mut() {
            entry.attempts.not_before = Instant::default();
        }
        self.inner.wake.notify_one();
    }

    /// These names and no others are to have certificates. What is dropped stays in the store, and is used again if the name comes back.
    pub fn want(&self, subjects: &BTreeSet<Subject>) {
        let settings = self.inner.settings.load_full();
        let now = Instant::now();
        let mut entries = self.inner.entries();
        for subject in subjects {
            for &kind in &settings.keys {
                entries.entry((subject.clone(), kind)).or_default().unwanted = false;
            }
        }
        // A few are ordered at once; of many, one a second.
        let mut fresh: Vec<_> = entries.values_mut().filter(|entry| !entry.placed && entry.issued.is_none()).collect();
        let spread = settings.spread.as_secs().min(fresh.len().saturating_sub(settings.parallel) as u64);
        for entry in &mut fresh {
            entry.earliest = now.after(Duration::from_secs(fastrand::u64(0..=spread)));
            entry.placed = true;
        }
        for ((subject, kind), entry) in entries.iter_mut() {
            if !subjects.contains(subject) || !settings.keys.contains(kind) {
                entry.unwanted = true;
            }
        }
        entries.retain(|_, entry| !entry.unwanted || entry.busy);
        drop(entries);
        self.inner.publish();
        self.inner.wake.notify_one();
    }

    /// Adds a name to those that are wanted, until [`want`](Self::want) is called without it.
    pub fn add(&self, subject: &Subject) {
        let settings = self.inner.settings.load_full();
        let mut entries = self.inner.entries();
        for &kind in &settings.keys {
            entries.entry((subject.clone(), kind)).or_default().unwanted = false;
        }
        drop(entries);
        self.inner.wake.notify_one();
    }

    /// The certificate for `subject` as soon as there is one, or why there will be none for now. Waits as long as the caller does.
    ///
    /// # Errors
    /// The last failure, when the name is waiting for its next attempt.
    pub async fn wait_for(&self, subject: &Subject) -> Result<Arc<Issued>, Failure> {
        let mut published = self.inner.published.subscribe();
        loop {
            {
                let entries = self.inner.entries();
                let mut failed = None;
                for (_, entry) in
                    entries.range((subject.clone(), KeyKind::P256)..).take_while(|((name, _), _)| name == subject)
                {
                    if let Some(issued) = entry.issued.as_ref().filter(|issued| issued.valid(Instant::now())) {
                        return Ok(issued.clone());
                    }
                    if !entry.busy && entry.attempts.not_before > Instant::now() {
                        failed = entry
                            .attempts
                            .last()
                            .and_then(|attempt| Some(Failure::new(attempt.failure?, attempt.detail.clone())));
                    }
                }
                if let Some(failure) = failed {
                    return Err(failure);
                }
            }
            if published.changed().await.is_err() {
                return Err(Failure::new(Kind::Storage, "the proxy is stopping"));
            }
        }
    }

    /// The certificates in force.
    pub fn table(&self) -> Arc<Table> {
        self.inner.table.load_full()
    }

    /// Changes with each new table (and with each failed attempt).
    pub fn published(&self) -> watch::Receiver<u64> {
        self.inner.published.subscribe()
    }

    /// The answers to challenges of this node's own orders.
    pub fn answers(&self) -> Answers {
        self.inner.answers.clone()
    }

    /// Whether other nodes may have been given challenges that reach this one.
    pub fn shared(&self) -> bool {
        self.inner.storage.shared()
    }

    /// The key authorization of a token that another node was given.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn token_of_others(&self, token: &str) -> Result<Option<String>, StorageError> {
        let found = self.challenge_of_others(Key::new(Folder::Challenges, token), ChallengeKind::Http01).await?;
        Ok(found.map(|document| document.key_authorization))
    }

    /// Answers tls-alpn-01 for a name whose challenge another node was given, while the guard lives.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn certificate_of_others(&self, host: &str) -> Result<Option<Answering>, StorageError> {
        let place = Key::new(Folder::Challenges, &format!("alpn-{host}"));
        let Some(found) = self.challenge_of_others(place, ChallengeKind::TlsAlpn01).await? else { return Ok(None) };
        let Ok(subject) = Subject::parse(&found.subject) else { return Ok(None) };
        Ok(self.inner.answers.tls(&subject, &found.key_authorization).ok())
    }

    async fn challenge_of_others(
        &self,
        place: Key,
        kind: ChallengeKind,
    ) -> Result<Option<ChallengeDocument>, StorageError> {
        let document = documents::read::<ChallengeDocument>(&*self.inner.storage, &place).await?;
        Ok(document.filter(|document| document.kind == kind && document.until > Instant::now()))
    }

    /// Orders anew at once, whatever is left of the present certificate and of the wait after a failure. Whether such a name is wanted.
    pub fn renew(&self, subject: &Subject) -> bool {
        let mut found = false;
        for ((name, _), entry) in self.inner.entries().iter_mut() {
            if name == subject && !entry.unwanted {
                entry.forced = true;
                entry.attempts.not_before = Instant::default();
                entry.earliest = Instant::default();
                found = true;
            }
        }
        self.inner.wake.notify_one();
        found
    }

    /// [`renew`](Self::renew), and waits until it is over: what there is then of that name, or `None` when it is not wanted.
    pub async fn renewed(&self, subject: &Subject) -> Option<Vec<Listed>> {
        let mut published = self.inner.published.subscribe();
        if !self.renew(subject) {
            return None;
        }
        loop {
            let under_way = self
                .inner
                .entries()
                .iter()
                .any(|((name, _), entry)| name == subject && !entry.unwanted && (entry.forced || entry.busy));
            if !under_way || published.changed().await.is_err() {
                return Some(self.list().into_iter().filter(|listed| listed.host == subject.to_string()).collect());
            }
        }
    }

    /// The certificates of a name, the one preferred first.
    pub fn of(&self, subject: &Subject) -> Vec<Arc<Issued>> {
        let entries = self.inner.entries();
        entries.iter().filter(|((name, _), _)| name == subject).filter_map(|(_, entry)| entry.issued.clone()).collect()
    }

    /// Why there is no certificate for `host` (lower case) that is to have one; `None` when it is to have none.
    pub fn why_none(&self, host: &str) -> Option<String> {
        let entries = self.inner.entries();
        let of = |subject: Subject| {
            let mut entries =
                entries.range((subject.clone(), KeyKind::P256)..).take_while(|((name, _), _)| *name == subject);
            let (_, entry) = entries.find(|(_, entry)| !entry.unwanted)?;
            Some(match entry.attempts.last() {
                Some(attempt) if attempt.failure.is_some() => attempt.detail.clone(),
                _ => "it is being ordered".to_owned(),
            })
        };
        let subject = Subject::parse(host).ok()?;
        let parent = host.split_once('.').map(|(_, parent)| Subject::Wildcard(parent.into()));
        of(subject).or_else(|| of(parent?))
    }

    /// How many certificates were issued since the start, and how many attempts failed, by kind.
    pub fn counts(&self) -> (u64, BTreeMap<&'static str, u64>) {
        let counts = self.inner.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = counts.get(&None).copied().unwrap_or_default();
        (issued, counts.iter().filter_map(|(kind, count)| Some(((*kind)?, *count))).collect())
    }

    /// Keeps a certificate that came from elsewhere. It is used like others, and renewed when its time comes.
    ///
    /// # Errors
    /// A sentence: it is not for that name, the key is not its, it has expired, or it cannot be kept.
    pub async fn import(&self, subject: &Subject, chain: String, key: String) -> Result<Arc<Issued>, String> {
        let document = CertificateDocument { directory: None, chain, key, stored: Instant::now(), renewal: None };
        let kind = renewal::kind_of_key(&document.key)?;
        let issued = Arc::new(Issued::read(subject, kind, document, &self.inner.provider)?);
        if !issued.valid(Instant::now()) {
            return Err(format!(
                "the certificate is not valid now, but from {} to {}",
                issued.not_before, issued.not_after
            ));
        }
        documents::write(
            &*self.inner.storage,
            &documents::place(Folder::Certificates, subject, kind),
            &*issued.document,
        )
        .await
        .map_err(|error| error.to_string())?;
        if let Some(entry) = self.inner.entries().get_mut(&(subject.clone(), kind)) {
            entry.issued = Some(issued.clone());
        }
        self.inner.publish();
        Ok(issued)
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<Listed> {
        let now = Instant::now();
        let entries = self.inner.entries();
        let wanted = entries.iter().filter(|(_, entry)| !entry.unwanted);
        wanted.map(|((subject, kind), entry)| entry.listed(subject, *kind, now)).collect()
    }
}

impl Inner {
    fn begun(&self) -> bool {
        self.begun.load(Relaxed)
    }

    fn count(&self, failed: Option<Kind>) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(failed.map(Kind::name)).or_default() += 1;
    }

    fn entry(&self, subject: &Subject, kind: KeyKind) -> Option<Entry> {
        self.entries().get(&(subject.clone(), kind)).cloned()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<(Subject, KeyKind), Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self) {
        let issued: Vec<_> =
            self.entries().values().filter(|entry| !entry.unwanted).filter_map(|entry| entry.issued.clone()).collect();
        self.table.store(Arc::new(Table::new(issued)));
        self.published.send_modify(|count| *count += 1);
    }

    fn orders(&self) -> Orders {
        Orders {
            settings: self.settings.load_full(),
            storage: self.storage.clone(),
            solver: Solver {
                answers: self.answers.clone(),
                records: Option::clone(&self.records.load()),
                storage: self.storage.clone(),
            },
            provider: self.provider.clone(),
        }
    }

    /// What is kept of a certificate and of the attempts for it.
    async fn read(
        &self,
        subject: &Subject,
        kind: KeyKind,
    ) -> Result<(Option<Arc<Issued>>, AttemptsDocument), StorageError> {
        let place = documents::place(Folder::Certificates, subject, kind);
        let mut issued = None;
        if let Some(document) = documents::read::<CertificateDocument>(&*self.storage, &place).await? {
            match Issued::read(subject, kind, document, &self.provider) {
                Ok(read) => issued = Some(Arc::new(read)),
                Err(error) => {
                    tracing::warn!(document = %place, error, "a certificate of the store cannot be used and is set aside");
                    self.storage.set_aside(&place).await?;
                }
            }
        }
        let attempts = documents::read(&*self.storage, &documents::place(Folder::Attempts, subject, kind)).await?;
        Ok((issued, attempts.unwrap_or_default()))
    }
}
