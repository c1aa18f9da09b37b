//! The task that looks at the clock, and what is done for one certificate at a time.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Inner, ordering::order};
use crate::{
    clock::Instant,
    documents::{self, Attempt, AttemptsDocument},
    failure::{Failure, Kind},
    issued::Issued,
    renewal,
    settings::KeyKind,
    storage::{Folder, StorageError},
    subject::Subject,
};

/// How often the wall clock is looked at, whatever it said before.
const LOOK: Duration = Duration::from_secs(30);
/// How often a store that others write to is read again.
const READ_AGAIN: Duration = Duration::from_secs(60);
/// A store that is away is asked again after this.
const AWAY: Duration = Duration::from_secs(20);

/// The task: looks, starts what is due, sleeps.
pub(super) async fn keep(inner: Weak<Inner>) {
    loop {
        let Some(manager) = inner.upgrade() else { return };
        let next = look(&manager);
        let pause = next.since(Instant::now()).clamp(Duration::from_millis(200), LOOK);
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
    if !manager.begun() {
        return next;
    }
    let mut entries = manager.entries();
    entries.retain(|_, entry| !entry.unwanted || entry.busy);
    // One key at a time of a name: two handshakes that prove one name would be answered alike.
    let mut at_work: BTreeSet<Subject> =
        entries.iter().filter(|(_, entry)| entry.busy).map(|((subject, _), _)| subject.clone()).collect();
    for ((subject, kind), entry) in entries.iter_mut() {
        if at_work.contains(subject) {
            continue;
        }
        let due = entry.due();
        let read = !entry.known || entry.read_again <= now;
        let ask = entry.issued.as_ref().is_some_and(|issued| renewal::ask_at(issued) <= now);
        let again = entry.unserved.is_some_and(|(at, _)| at <= now);
        if due <= now || read || ask || again {
            entry.busy = true;
            at_work.insert(subject.clone());
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
        later(&manager, &subject, kind, AWAY);
        return;
    }
    let Some(entry) = manager.entry(&subject, kind) else { return };
    if entry.unwanted {
        return;
    }
    let now = Instant::now();
    if let Some(issued) = entry.issued.as_ref().filter(|issued| !entry.forced && renewal::ask_at(issued) <= now) {
        ask(&manager, issued).await;
    }
    if let (Some(issued), Some((at, looks))) = (&entry.issued, entry.unserved)
        && at <= now
    {
        let mut attempts = entry.attempts.clone();
        served(&manager, issued, looks, &mut attempts).await;
        record(&manager, &subject, kind, attempts).await;
    }
    let Some(entry) = manager.entry(&subject, kind) else { return };
    if entry.due() <= Instant::now() {
        order(&manager, &subject, kind, &entry).await;
    }
}

/// Reads what the store has: at first, and again and again where others write to it.
pub(super) async fn refresh(manager: &Arc<Inner>, subject: &Subject, kind: KeyKind) -> Result<(), StorageError> {
    let known = manager.entry(subject, kind).is_some_and(|entry| entry.known && entry.read_again > Instant::now());
    if known {
        return Ok(());
    }
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
            // What a process before this one could not show is looked at anew.
            if !entry.known && attempts.last().is_some_and(|attempt| attempt.failure == Some(Kind::NotServed)) {
                entry.unserved = Some((Instant::default(), 0));
            }
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

/// Leaves an entry alone for a while.
pub(super) fn later(manager: &Inner, subject: &Subject, kind: KeyKind, pause: Duration) {
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

/// Issued is not served: only a handshake shows that. Where it shows something else this is looked at again, later and later.
pub(super) async fn served(manager: &Arc<Inner>, issued: &Issued, looks: u32, attempts: &mut AttemptsDocument) {
    let subject = &issued.subject;
    let unserved = match manager.served.check(issued).await {
        Ok(()) => {
            tracing::info!(%subject, issuer = issued.issuer, not_after = %issued.not_after, "a certificate was issued and is served");
            if looks > 0 || attempts.last().is_some_and(|attempt| attempt.failure.is_some()) {
                attempts.add(Attempt {
                    at: Instant::now(),
                    authority: String::new(),
                    failure: None,
                    detail: "it is served now".into(),
                });
            }
            None
        }
        Err(error) => {
            let failure = Failure::new(
                Kind::NotServed,
                format!("it was issued, but a handshake with this proxy failed: {error}"),
            );
            let looks = looks.saturating_add(1);
            let next = Instant::now().after(failure.wait(looks, fastrand::f64()));
            tracing::error!(%subject, error = %failure, next_look = %next, "a new certificate is not served");
            manager.count(Some(Kind::NotServed));
            attempts.add(Attempt {
                at: Instant::now(),
                authority: String::new(),
                failure: Some(Kind::NotServed),
                detail: failure.detail,
            });
            Some((next, looks))
        }
    };
    if let Some(entry) = manager.entries().get_mut(&(subject.clone(), issued.kind)) {
        entry.unserved = unserved;
    }
}

/// Keeps how it went.
pub(super) async fn record(manager: &Arc<Inner>, subject: &Subject, kind: KeyKind, attempts: AttemptsDocument) {
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
