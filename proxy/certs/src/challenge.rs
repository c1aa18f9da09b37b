//! Proving a name: which challenge, and answering it.

pub mod program;
pub mod rfc2136;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use instant_acme::{ChallengeType, KeyAuthorization};

use crate::{
    answers::{Answering, Answers},
    clock::Instant,
    documents::{self, ChallengeDocument},
    failure::{Failure, Kind},
    settings::ChallengeKind,
    storage::{Folder, Key, Storage},
    subject::Subject,
};

/// TXT records in the DNS.
pub trait Records: Send + Sync + std::fmt::Debug {
    /// Adds a TXT record at `name` (`_acme-challenge.example.com`), beside others that are there, and returns when the zone's servers answer with it.
    /// The error is a sentence.
    fn add<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

    /// Removes that record; one that is not there is no error.
    fn remove<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;
}

/// How long a challenge's answer is worth keeping: longer than an order may take.
const LIFE: Duration = Duration::from_secs(900);

/// What can answer.
#[derive(Debug, Clone)]
pub struct Solver {
    /// For http-01 and tls-alpn-01.
    pub answers: Answers,
    /// For dns-01.
    pub records: Option<Arc<dyn Records>>,
    /// For the other nodes, where it is shared.
    pub storage: Arc<dyn Storage>,
}

impl Solver {
    /// Those of `preferred` that can prove `subject`, in their order.
    pub fn fitting<'a>(
        &'a self,
        subject: &'a Subject,
        preferred: &'a [ChallengeKind],
    ) -> impl Iterator<Item = ChallengeKind> + 'a {
        preferred.iter().copied().filter(move |kind| match kind {
            // RFC 8555 section 7.1.3 and RFC 8738 section 7.
            ChallengeKind::Dns01 => !matches!(subject, Subject::Address(_)) && self.records.is_some(),
            ChallengeKind::Http01 | ChallengeKind::TlsAlpn01 => !matches!(subject, Subject::Wildcard(_)),
        })
    }

    /// One of `preferred` that the authority offers and that can prove `subject`: the first, or after so many attempts that failed the next in turn.
    ///
    /// # Errors
    /// A sentence that says what to configure.
    pub fn choose(
        &self,
        subject: &Subject,
        preferred: &[ChallengeKind],
        offered: &[ChallengeType],
        failed: usize,
    ) -> Result<ChallengeKind, Failure> {
        let wildcard = matches!(subject, Subject::Wildcard(_));
        let fitting: Vec<_> = self.fitting(subject, preferred).filter(|kind| offered.contains(&acme(*kind))).collect();
        fitting.get(failed % fitting.len().max(1)).copied().ok_or_else(|| {
            let offered: Vec<String> = offered.iter().map(|kind| format!("{kind:?}")).collect();
            let wanted: Vec<&str> = preferred.iter().map(|kind| kind.name()).collect();
            let detail = if wildcard && self.records.is_none() {
                format!("{subject} can only be proved by dns-01: configure dns in [acme]")
            } else {
                format!(
                    "no challenge fits {subject}: the authority offers {}, and [acme] allows {}",
                    offered.join(", "),
                    wanted.join(", ")
                )
            };
            Failure::new(Kind::NoChallenge, detail)
        })
    }

    /// Begins to answer. The answer is given until [`Answered::end`].
    ///
    /// # Errors
    /// When it cannot be answered.
    pub async fn answer(
        &self,
        subject: &Subject,
        kind: ChallengeKind,
        token: &str,
        key: &KeyAuthorization,
    ) -> Result<Answered, Failure> {
        let mut answered = Answered { solver: self.clone(), local: None, record: None, document: None };
        match kind {
            ChallengeKind::Http01 => answered.local = Some(self.answers.http(token, key.as_str())),
            ChallengeKind::TlsAlpn01 => {
                let local =
                    self.answers.tls(subject, key.as_str()).map_err(|error| Failure::new(Kind::NoChallenge, error))?;
                answered.local = Some(local);
            }
            ChallengeKind::Dns01 => {
                let records =
                    self.records.as_ref().ok_or_else(|| Failure::new(Kind::NoChallenge, "dns is not configured"))?;
                let name = format!("_acme-challenge.{}", subject.dns().unwrap_or_default());
                let value = key.dns_value();
                // Noted first: what was added half is removed as well.
                answered.record = Some((name.clone(), value.clone()));
                if let Err(error) = records.add(&name, &value).await {
                    answered.end().await;
                    return Err(Failure::new(Kind::DnsUpdate, error));
                }
            }
        }
        if self.storage.shared() && kind != ChallengeKind::Dns01 {
            let place = match kind {
                ChallengeKind::Http01 => Key::new(Folder::Challenges, token),
                _ => Key::new(Folder::Challenges, &format!("alpn-{subject}")),
            };
            let document = ChallengeDocument {
                kind,
                subject: subject.to_string(),
                key_authorization: key.as_str().to_owned(),
                until: Instant::now().after(LIFE),
            };
            answered.document = Some(place.clone());
            if let Err(error) = documents::write(&*self.storage, &place, &document).await {
                answered.end().await;
                return Err(error.into());
            }
        }
        Ok(answered)
    }
}

/// A challenge that is being answered.
#[derive(Debug)]
pub struct Answered {
    solver: Solver,
    local: Option<Answering>,
    record: Option<(String, String)>,
    document: Option<Key>,
}

impl Answered {
    /// Stops answering. What cannot be taken away is said in the log: it is of no use to anybody.
    pub async fn end(mut self) {
        self.local = None;
        if let (Some((name, value)), Some(records)) = (self.record.take(), &self.solver.records)
            && let Err(error) = records.remove(&name, &value).await
        {
            tracing::warn!(%name, %error, "a TXT record of a challenge could not be removed");
        }
        if let Some(place) = self.document.take()
            && let Err(error) = self.solver.storage.delete(&place).await
        {
            tracing::warn!(document = %place, %error, "the answer to a challenge could not be removed from the store");
        }
    }
}

/// The authority's word for it.
pub fn acme(kind: ChallengeKind) -> ChallengeType {
    match kind {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::Dns01 => ChallengeType::Dns01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}
