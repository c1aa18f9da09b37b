//! One order: who may, at which authority, and what becomes of it.

use std::{sync::Arc, time::Duration};

use super::{
    Inner,
    entry::Entry,
    keeping::{later, record, served},
};
use crate::{
    clock::Instant,
    documents::Attempt,
    failure::{Failure, Kind},
    issued::Issued,
    order::Orders,
    settings::{Authority, KeyKind},
    subject::Subject,
};

/// For one order in a store that several machines share: as long as an order may take.
const LEASE: Duration = Duration::from_secs(120);
/// When somebody else has the lease: look again, they will have a certificate by then.
const ELSEWHERE: Duration = Duration::from_secs(15);
/// When the store is away.
const AWAY: Duration = Duration::from_secs(20);

/// Orders, and writes down how it went.
pub(super) async fn order(manager: &Arc<Inner>, subject: &Subject, kind: KeyKind, entry: &Entry) {
    let Ok(_permit) = manager.permits.acquire().await else { return };
    let lease = match manager.storage.lease(&format!("order-{subject}"), LEASE).await {
        Ok(Some(lease)) => lease,
        Ok(None) => return later(manager, subject, kind, ELSEWHERE),
        Err(error) => {
            tracing::warn!(%subject, %error, "the certificate store is away: nothing is ordered until it is back");
            return later(manager, subject, kind, AWAY);
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
            Ok(_) => prove_somehow(&orders, authority, subject, kind, entry).await,
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
                manager.count(None);
                if let Some(entry) = manager.entries().get_mut(&(subject.clone(), kind)) {
                    entry.issued = Some(issued.clone());
                    entry.forced = false;
                }
                manager.publish();
                served(manager, &issued, 0, &mut attempts).await;
                return record(manager, subject, kind, attempts).await;
            }
            Err(failure) => {
                let go_on = failure.kind.another_may();
                attempts.failures = attempts.failures.saturating_add(1);
                attempts.not_before = Instant::now().after(failure.wait(attempts.failures, fastrand::f64()));
                manager.count(Some(failure.kind));
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

/// Orders; the first time, with each challenge in turn that can prove the name, for it may be that only one of them gets through to here.
/// After that one is tried at a time, another one each time: authorities limit how often validation may fail.
async fn prove_somehow(
    orders: &Orders,
    authority: &Authority,
    subject: &Subject,
    kind: KeyKind,
    entry: &Entry,
) -> Result<Issued, Failure> {
    let before = entry.attempts.failures as usize;
    let rounds = match before {
        0 => orders.solver.fitting(subject, &orders.settings.challenges).count(),
        _ => 1,
    };
    let mut round = 0;
    loop {
        let result = orders.issue(authority, subject, kind, entry.issued.as_deref(), before + round).await;
        round += 1;
        match result {
            Err(failure) if failure.kind.is_of_challenge() && round < rounds => {
                tracing::warn!(%subject, authority = %authority.name, error = %failure, "a challenge failed; trying the next one");
            }
            result => return result,
        }
    }
}
