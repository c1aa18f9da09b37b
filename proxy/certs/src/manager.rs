//! Which certificates there are to be, and what is done so that they are: the only place that decides when something is ordered.
//!
//! One task looks at the wall clock at least twice a minute, so that a clock that jumps, a laptop that slept and a window that the authority
//! moved are all noticed in the same way. Each order is a task of its own: one that hangs holds up nobody but its own name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    answers::{Answering, Answers},
    challenge::{Records, Solver},
    clock::Instant,
    documents::{self, Attempt, AttemptsDocument, CertificateDocument, ChallengeDocument},
    failure::{Failure, Kind},
    issued::Issued,
    order::Orders,
    renewal,
    settings::{ChallengeKind, KeyKind, Settings},
    storage::{Folder, Key, Storage, StorageError},
    subject::Subject,
    table::Table,
};

/// How often the wall clock is looked at, whatever it said before.
const LOOK: Duration = Duration::from_secs(30);
/// How often a store that others write to is read again.
const READ_AGAIN: Duration = Duration::from_secs(60);
/// For one order in a store that several machines share: as long as an order may take.
const LEASE: Duration = Duration::from_secs(120);
/// When somebody else has the lease: look again, they will have a certificate by then.
const ELSEWHERE: Duration = Duration::from_secs(15);

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
}

/// What is known of one certificate to be.
#[derive(Debug, Default, Clone)]
struct Entry {
    issued: Option<Arc<Issued>>,
    attempts: AttemptsDocument,
    /// Not ordered before; spread, or somebody else is at it.
    earliest: Instant,
    /// A task is at it.
    busy: bool,
    /// An operator asked.
    forced: bool,
    /// Read from the store at least once.
    known: bool,
    /// The store is read again then.
    read_again: Instant,
    /// No more wanted; kept while a task is at it.
    unwanted: bool,
}

/// A certificate to be, for people.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Listed {
    /// The name.
    pub host: String,
    /// `p256`, ...
    pub key: &'static str,
    /// `valid`, `expiring`, `expired`, `none`.
    pub state: &'static str,
    /// Who issued it.
    pub issuer: Option<String>,
    /// Valid until.
    pub not_after: Option<String>,
    /// Seconds until then; negative when it is past.
    pub seconds_left: Option<i64>,
    /// When it is tried next: renewal, or the attempt after a failure.
    pub next: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// The last failure's kind, when the last attempt failed.
    pub error_kind: Option<&'static str>,
    /// Its sentence.
    pub error: Option<String>,
}

/// Certificates near their end are told of: as a fraction, less than a sixth of their life is left, half of what was left when renewal was due.
const NEAR: u32 = 6;

impl Manager {
    /// Starts on the present tokio runtime. Certificates are read when they are wanted.
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
        });
        let task = tokio::spawn(keep(Arc::downgrade(&inner)));
        Self { inner, _task: Arc::new(Task(task)) }
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
        let mut fresh = 0_u32;
        for subject in subjects {
            for &kind in &settings.keys {
                let entry = entries.entry((subject.clone(), kind)).or_insert_with(|| {
                    fresh += 1;
                    Entry { earliest: now, ..Entry::default() }
                });
                entry.unwanted = false;
            }
        }
        // A few at once are ordered at once; of many, each gets its second.
        if fresh as usize > settings.parallel {
            let spread = settings.spread.as_secs();
            for entry in entries.values_mut().filter(|entry| !entry.known) {
                entry.earliest = now.after(Duration::from_secs(fastrand::u64(0..=spread)));
            }
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
        wanted.map(|((subject, kind), entry)| listed(subject, *kind, entry, now)).collect()
    }
}

fn listed(subject: &Subject, kind: KeyKind, entry: &Entry, now: Instant) -> Listed {
    let failed = entry.attempts.last().filter(|attempt| attempt.failure.is_some());
    let state = match &entry.issued {
        None => "none",
        Some(issued) if !issued.valid(now) => "expired",
        Some(issued) if issued.not_after.since(now) < issued.not_after.since(issued.not_before) / NEAR => "expiring",
        Some(_) => "valid",
    };
    let due = entry.due();
    Listed {
        host: subject.to_string(),
        key: kind.name(),
        state,
        issuer: entry.issued.as_ref().map(|issued| issued.issuer.clone()),
        not_after: entry.issued.as_ref().map(|issued| issued.not_after.to_string()),
        seconds_left: entry.issued.as_ref().map(|issued| issued.not_after.0 - now.0),
        next: (due > now).then(|| due.to_string()),
        failures: entry.attempts.failures,
        error_kind: failed.and_then(|attempt| attempt.failure).map(Kind::name),
        error: failed.map(|attempt| attempt.detail.clone()),
    }
}

impl Entry {
    /// When something is to be done for it.
    fn due(&self) -> Instant {
        if self.forced {
            return Instant::default();
        }
        let due = self.issued.as_ref().map_or(Instant::default(), |issued| issued.renew_at());
        due.max(self.attempts.not_before).max(self.earliest)
    }
}

impl Inner {
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

/// The task: looks, starts what is due, sleeps.
async fn keep(inner: Weak<Inner>) {
    loop {
        let Some(manager) = inner.upgrade() else { return };
        let next = look(&manager);
        let pause = next.since(Instant::now()).clamp(Duration::from_millis(200), LOOK);
        // The notification is taken while the manager is here, and nothing holds it while this sleeps but the sleep itself.
        tokio::select! {
            () = manager.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Starts what is due, and says when the next is.
fn look(manager: &Arc<Inner>) -> Instant {
    let now = Instant::now();
    let mut next = now.after(LOOK);
    let mut entries = manager.entries();
    entries.retain(|_, entry| !entry.unwanted || entry.busy);
    for ((subject, kind), entry) in entries.iter_mut() {
        if entry.busy {
            continue;
        }
        let due = entry.due();
        let read = !entry.known || entry.read_again <= now;
        let ask = entry.issued.as_ref().is_some_and(|issued| renewal::ask_at(issued) <= now);
        if due <= now || read || ask {
            entry.busy = true;
            tokio::spawn(attend(Arc::downgrade(manager), subject.clone(), *kind));
        } else {
            next = next.min(due).min(entry.read_again);
        }
    }
    next
}

/// Makes an entry free again, however its task ends.
struct Busy {
    manager: Weak<Inner>,
    entry: (Subject, KeyKind),
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(manager) = self.manager.upgrade() {
            if let Some(entry) = manager.entries().get_mut(&self.entry) {
                entry.busy = false;
            }
            // Those that wait for a certificate look again.
            manager.published.send_modify(|count| *count += 1);
            manager.wake.notify_one();
        }
    }
}

/// Everything that is to be done for one entry now.
async fn attend(manager: Weak<Inner>, subject: Subject, kind: KeyKind) {
    let _busy = Busy { manager: manager.clone(), entry: (subject.clone(), kind) };
    let Some(manager) = manager.upgrade() else { return };
    if let Err(error) = refresh(&manager, &subject, kind).await {
        // What is in memory is served on; nothing is ordered that could not be kept.
        tracing::warn!(%subject, %error, "the certificate store cannot be read; what is in memory is served");
        later(&manager, &subject, kind, Duration::from_secs(20));
        return;
    }
    let Some(entry) = manager.entries().get(&(subject.clone(), kind)).cloned() else { return };
    if entry.unwanted {
        return;
    }
    let now = Instant::now();
    if let Some(issued) = entry.issued.as_ref().filter(|issued| !entry.forced && renewal::ask_at(issued) <= now) {
        ask(&manager, issued).await;
    }
    let Some(entry) = manager.entries().get(&(subject.clone(), kind)).cloned() else { return };
    if entry.due() <= Instant::now() {
        order(&manager, &subject, kind, &entry).await;
    }
}

/// Reads what the store has: at first, and again and again where others write to it.
async fn refresh(manager: &Arc<Inner>, subject: &Subject, kind: KeyKind) -> Result<(), StorageError> {
    let (issued, attempts) = manager.read(subject, kind).await?;
    let mut changed = false;
    if let Some(entry) = manager.entries().get_mut(&(subject.clone(), kind)) {
        if let Some(issued) = issued
            && entry.issued.as_ref().is_none_or(|known| known.document != issued.document)
        {
            entry.issued = Some(issued);
            changed = true;
        }
        if entry.attempts.not_before != Instant::default() || !entry.known {
            entry.attempts = attempts;
        }
        entry.known = true;
        entry.read_again = if manager.storage.shared() { Instant::now().after(READ_AGAIN) } else { Instant(i64::MAX) };
    }
    if changed {
        manager.publish();
    }
    Ok(())
}

fn later(manager: &Inner, subject: &Subject, kind: KeyKind, pause: Duration) {
    if let Some(entry) = manager.entries().get_mut(&(subject.clone(), kind)) {
        let then = Instant::now().after(pause);
        entry.earliest = then;
        entry.read_again = then;
        entry.known = true;
    }
}

/// Asks the authority when it would like the renewal (RFC 9773).
async fn ask(manager: &Arc<Inner>, issued: &Arc<Issued>) {
    let settings = manager.settings.load_full();
    let document = renewal::ask(&settings, &*manager.storage, issued).await;
    let place = documents::place(Folder::Certificates, &issued.subject, issued.kind);
    let Ok(read) = Issued::read(&issued.subject, issued.kind, document, &manager.provider) else { return };
    if let Err(error) = documents::write(&*manager.storage, &place, &*read.document).await {
        tracing::warn!(subject = %issued.subject, %error, "when to renew could not be kept");
    }
    if let Some(entry) = manager.entries().get_mut(&(issued.subject.clone(), issued.kind)) {
        entry.issued = Some(Arc::new(read));
    }
    manager.publish();
}

/// Orders, and writes down how it went.
async fn order(manager: &Arc<Inner>, subject: &Subject, kind: KeyKind, entry: &Entry) {
    let Ok(_permit) = manager.permits.acquire().await else { return };
    let lease = match manager.storage.lease(&format!("order-{subject}-{}", kind.name()), LEASE).await {
        Ok(Some(lease)) => lease,
        Ok(None) => return later(manager, subject, kind, ELSEWHERE),
        Err(error) => {
            tracing::warn!(%subject, %error, "the certificate store is away: nothing is ordered until it is back");
            return later(manager, subject, kind, Duration::from_secs(20));
        }
    };
    // Whoever had the lease before may have done it.
    if let Ok((Some(issued), attempts)) = manager.read(subject, kind).await
        && entry.issued.as_ref().is_none_or(|known| known.document.chain != issued.document.chain)
        && issued.renew_at() > Instant::now()
    {
        if let Some(entry) = manager.entries().get_mut(&(subject.clone(), kind)) {
            entry.issued = Some(issued);
            entry.attempts = attempts;
            entry.forced = false;
        }
        return manager.publish();
    }
    let orders = manager.orders();
    let mut attempts = entry.attempts.clone();
    for authority in &orders.settings.authorities {
        if !lease.stands() {
            tracing::warn!(%subject, "the lease for this order was lost; another node may be at it");
            return later(manager, subject, kind, ELSEWHERE);
        }
        let result = match authority.public.then(|| subject.public()).transpose() {
            Err(unfit) => Err(Failure::new(Kind::Refused, unfit.to_string())),
            Ok(_) => orders.issue(authority, subject, kind, entry.issued.as_deref()).await,
        };
        match result {
            Ok(issued) => {
                let issued = Arc::new(issued);
                attempts.failures = 0;
                attempts.not_before = Instant::default();
                attempts.add(Attempt {
                    at: Instant::now(),
                    authority: authority.name.to_string(),
                    failure: None,
                    detail: format!("issued, valid until {}", issued.not_after),
                });
                if let Some(entry) = manager.entries().get_mut(&(subject.clone(), kind)) {
                    entry.issued = Some(issued.clone());
                    entry.forced = false;
                }
                manager.publish();
                // Issued is not served: only a handshake shows that.
                if let Err(error) = manager.served.check(&issued).await {
                    let failure = Failure::new(
                        Kind::NotServed,
                        format!("it was issued, and a handshake with this proxy shows another one: {error}"),
                    );
                    tracing::error!(%subject, error = %failure, "a new certificate is not served");
                    attempts.add(Attempt {
                        at: Instant::now(),
                        authority: authority.name.to_string(),
                        failure: Some(Kind::NotServed),
                        detail: failure.detail,
                    });
                } else {
                    tracing::info!(%subject, authority = %authority.name, not_after = %issued.not_after, "a certificate was issued and is served");
                }
                return record(manager, subject, kind, attempts).await;
            }
            Err(failure) => {
                let go_on = failure.kind.another_may();
                attempts.failures = attempts.failures.saturating_add(1);
                attempts.not_before = Instant::now().after(failure.wait(attempts.failures, fastrand::f64()));
                tracing::warn!(
                    %subject, authority = %authority.name, kind = failure.kind.name(), error = %failure,
                    next = %attempts.not_before, "no certificate was issued"
                );
                attempts.add(Attempt {
                    at: Instant::now(),
                    authority: authority.name.to_string(),
                    failure: Some(failure.kind),
                    detail: failure.detail,
                });
                if !go_on {
                    break;
                }
            }
        }
    }
    if let Some(entry) = manager.entries().get_mut(&(subject.clone(), kind)) {
        entry.forced = false;
    }
    record(manager, subject, kind, attempts).await;
}

async fn record(manager: &Arc<Inner>, subject: &Subject, kind: KeyKind, attempts: AttemptsDocument) {
    if let Some(entry) = manager.entries().get_mut(&(subject.clone(), kind)) {
        entry.attempts = attempts.clone();
    }
    // Lost with a store that is away; the wait itself is in memory.
    if let Err(error) =
        documents::write(&*manager.storage, &documents::place(Folder::Attempts, subject, kind), &attempts).await
    {
        tracing::warn!(%subject, %error, "how an order went could not be kept");
    }
}
