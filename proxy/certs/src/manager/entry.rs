//! What is known of one certificate to be, and how it is told.

use std::sync::Arc;

use crate::{
    clock::Instant, documents::AttemptsDocument, failure::Kind, issued::Issued, settings::KeyKind, subject::Subject,
};

/// What is known of one certificate to be.
#[derive(Debug, Default, Clone)]
pub(super) struct Entry {
    pub(super) issued: Option<Arc<Issued>>,
    pub(super) attempts: AttemptsDocument,
    /// Not ordered before; spread, or somebody else is at it.
    pub(super) earliest: Instant,
    /// Whether it has been given its place among those that are ordered first.
    pub(super) placed: bool,
    /// A task is at it.
    pub(super) busy: bool,
    /// An operator asked.
    pub(super) forced: bool,
    /// Read from the store at least once.
    pub(super) known: bool,
    /// The store is read again then.
    pub(super) read_again: Instant,
    /// It was issued, and a handshake showed something else: another look then, after so many.
    pub(super) unserved: Option<(Instant, u32)>,
    /// No more wanted; kept while a task is at it.
    pub(super) unwanted: bool,
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
    /// Whether an order is under way now.
    pub busy: bool,
    /// Failures in a row.
    pub failures: u32,
    /// The last failure's kind, when the last attempt failed.
    pub error_kind: Option<&'static str>,
    /// Its sentence.
    pub error: Option<String>,
}

/// Certificates near their end are told of: less than a sixth of their life is left, half of what was left when renewal was due.
const NEAR: u32 = 6;

impl Entry {
    /// When something is to be ordered for it.
    pub(super) fn due(&self) -> Instant {
        if self.forced {
            return Instant::default();
        }
        let due = self.issued.as_ref().map_or(Instant::default(), |issued| issued.renew_at());
        due.max(self.attempts.not_before).max(self.earliest)
    }

    pub(super) fn listed(&self, subject: &Subject, kind: KeyKind, now: Instant) -> Listed {
        let failed = self.attempts.last().filter(|attempt| attempt.failure.is_some());
        let due = self.due();
        Listed {
            host: subject.to_string(),
            key: kind.name(),
            state: state(self.issued.as_deref(), now),
            issuer: self.issued.as_ref().map(|issued| issued.issuer.clone()),
            not_after: self.issued.as_ref().map(|issued| issued.not_after.to_string()),
            seconds_left: self.issued.as_ref().map(|issued| issued.not_after.0 - now.0),
            next: (due > now).then(|| due.to_string()),
            busy: self.busy,
            failures: self.attempts.failures,
            error_kind: failed.and_then(|attempt| attempt.failure).map(Kind::name),
            error: failed.map(|attempt| attempt.detail.clone()),
        }
    }
}

/// `valid`, `expiring` (renewal is long overdue), `expired`, `none`.
pub fn state(issued: Option<&Issued>, now: Instant) -> &'static str {
    match issued {
        None => "none",
        Some(issued) if !issued.valid(now) => "expired",
        Some(issued) if issued.not_after.since(now) < issued.not_after.since(issued.not_before) / NEAR => "expiring",
        Some(_) => "valid",
    }
}
