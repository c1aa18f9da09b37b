//! One order, from its key to its certificate, resumable at every step.
//!
//! Each step that the authority remembers is written down before it is taken. A process that dies finds the document, and goes on with the same order
//! and the same key: nothing is ordered twice.

use std::{sync::Arc, time::Duration};

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeStatus, Error, Identifier, NewOrder, Order,
    OrderStatus, Problem,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};
use rustls::crypto::CryptoProvider;

use crate::{
    account,
    challenge::{self, Answered, Solver},
    client::Client,
    clock::Instant,
    documents::{self, CertificateDocument, OrderDocument},
    failure::{Failure, Kind},
    issued::Issued,
    settings::{Authority, KeyKind, Settings},
    storage::{Folder, Storage},
    subject::Subject,
};

/// How long validation may take, and then issuing. Let's Encrypt does each in seconds; others ask several times.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at an order, growing from the first to the second.
const LOOKS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// An order under way is given up after this: authorities let them expire after a week or sooner.
const OLDEST: Duration = Duration::from_secs(24 * 3600);

/// What an order needs.
#[derive(Debug, Clone)]
pub struct Orders {
    /// What the operator asks for.
    pub settings: Arc<Settings>,
    /// Where its steps are kept.
    pub storage: Arc<dyn Storage>,
    /// What answers challenges.
    pub solver: Solver,
    /// For the keys of certificates.
    pub provider: Arc<CryptoProvider>,
}

impl Orders {
    /// Orders a certificate, or goes on with the order that is under way, and keeps it. The caller holds the lease for this subject.
    ///
    /// `failed`: how often a challenge has failed before, so that another one is tried. `replaces`: the certificate that this one takes the place of (RFC 9773 section 5).
    ///
    /// Cancel safe: what was done is written down, and the next call goes on from there. A dns-01 record may stay behind.
    ///
    /// # Errors
    /// What went wrong, and whose doing it was.
    pub async fn issue(
        &self,
        authority: &Authority,
        subject: &Subject,
        kind: KeyKind,
        replaces: Option<&Issued>,
        failed: usize,
    ) -> Result<Issued, Failure> {
        let client = Client::new(authority.roots.clone());
        let mut forgotten = false;
        loop {
            let account = account::open(&self.settings, authority, &*self.storage, &client).await?;
            let result = self.run(&account, &client, authority, subject, kind, replaces, failed).await;
            match result {
                // The authority has lost the account (staging is emptied now and then): a new one, once.
                Err(Trouble::Acme(Error::Api(problem))) if is(&problem, "accountDoesNotExist") && !forgotten => {
                    forgotten = true;
                    tracing::warn!(authority = %authority.name, "the authority does not know the account any more; making a new one");
                    account::forget(authority, &*self.storage).await?;
                    self.storage.delete(&documents::place(Folder::Orders, subject, kind)).await?;
                }
                Err(Trouble::Acme(error)) => return Err(Failure::acme(&error, client.told_to_wait())),
                Err(Trouble::Failure(failure)) => return Err(failure),
                Ok(issued) => return Ok(issued),
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    async fn run(
        &self,
        account: &Account,
        client: &Client,
        authority: &Authority,
        subject: &Subject,
        kind: KeyKind,
        replaces: Option<&Issued>,
        failed: usize,
    ) -> Result<Issued, Trouble> {
        let place = documents::place(Folder::Orders, subject, kind);
        let (mut order, document) = self.begin(account, authority, subject, kind, replaces).await?;
        let result = self.finish(&mut order, client, authority, subject, kind, &document, failed).await;
        match result {
            Ok(issued) => {
                self.storage.delete(&place).await?;
                Ok(issued)
            }
            Err(trouble) => {
                // An order that has failed stays failed. One that merely was not finished is gone on with the next time.
                if order.state().status == OrderStatus::Invalid {
                    self.storage.delete(&place).await?;
                }
                Err(trouble)
            }
        }
    }

    /// The order under way, or a new one.
    async fn begin(
        &self,
        account: &Account,
        authority: &Authority,
        subject: &Subject,
        kind: KeyKind,
        replaces: Option<&Issued>,
    ) -> Result<(Order, OrderDocument), Trouble> {
        let place = documents::place(Folder::Orders, subject, kind);
        let kept = documents::read::<OrderDocument>(&*self.storage, &place).await?;
        let kept =
            kept.filter(|order| order.directory == *authority.directory && Instant::now().since(order.begun) < OLDEST);
        if let Some(document) = &kept
            && let Some(url) = &document.url
        {
            match account.order(url.clone()).await {
                Ok(mut order) => {
                    if order.state().status != OrderStatus::Invalid {
                        tracing::info!(%subject, order = %url, "going on with the order that was under way");
                        return Ok((order, document.clone()));
                    }
                }
                Err(Error::Api(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // A key that was made for an order that never came to be is as good as a new one.
        let key = match kept {
            Some(document) if document.url.is_none() => document.key,
            _ => self.make_key(kind).await?,
        };
        let mut document =
            OrderDocument { directory: authority.directory.to_string(), url: None, key, begun: Instant::now() };
        documents::write(&*self.storage, &place, &document).await?;
        let order = self.new_order(account, authority, subject, replaces).await?;
        document.url = Some(order.url().to_owned());
        documents::write(&*self.storage, &place, &document).await?;
        Ok((order, document))
    }

    async fn new_order(
        &self,
        account: &Account,
        authority: &Authority,
        subject: &Subject,
        replaces: Option<&Issued>,
    ) -> Result<Order, Trouble> {
        let identifiers = [match subject {
            Subject::Address(address) => Identifier::Ip(*address),
            subject => Identifier::Dns(subject.to_string()),
        }];
        let plain = || {
            let new = NewOrder::new(&identifiers);
            match &authority.profile {
                Some(profile) => new.profile(profile),
                None => new,
            }
        };
        // Only the authority that issued a certificate knows it.
        let replaced = replaces
            .filter(|issued| issued.document.directory.as_deref() == Some(&*authority.directory))
            .and_then(|issued| CertificateIdentifier::try_from(issued.leaf()).ok());
        if let Some(replaced) = replaced {
            match account.new_order(&plain().replaces(replaced)).await {
                // It was replaced before, or the authority does not know the word: a plain order then. What it says about limits counts.
                Err(Error::Unsupported(_) | Error::Other(_)) => {}
                Err(Error::Api(problem)) if !is(&problem, "rateLimited") => {
                    tracing::debug!(%subject, %problem, "an order that replaces was refused; ordering without");
                }
                result => return Ok(result?),
            }
        }
        Ok(account.new_order(&plain()).await?)
    }

    #[allow(clippy::too_many_arguments)]
    async fn finish(
        &self,
        order: &mut Order,
        client: &Client,
        authority: &Authority,
        subject: &Subject,
        kind: KeyKind,
        document: &OrderDocument,
        failed: usize,
    ) -> Result<Issued, Trouble> {
        if order.state().status == OrderStatus::Pending {
            let answered = self.prove(order, subject, failed).await?;
            let waited = wait(order, client, |status| status != OrderStatus::Pending).await;
            for answered in answered {
                answered.end().await;
            }
            waited?;
        }
        if order.state().status == OrderStatus::Invalid {
            return Err(why_invalid(order).await.into());
        }
        if order.state().status == OrderStatus::Ready {
            let request =
                signing_request(subject, &document.key).map_err(|error| Failure::new(Kind::Storage, error))?;
            match order.finalize_csr(&request).await {
                // The answer to an earlier finalization was lost: look what became of it.
                Err(Error::Api(problem)) if is(&problem, "orderNotReady") => {
                    order.refresh().await?;
                }
                result => result?,
            }
        }
        wait(order, client, |status| !matches!(status, OrderStatus::Processing | OrderStatus::Ready)).await?;
        if order.state().status != OrderStatus::Valid {
            return Err(why_invalid(order).await.into());
        }
        let chain = order.certificate().await?.ok_or(Error::Str("a certificate, though the order is valid"))?;
        let document = CertificateDocument {
            directory: Some(authority.directory.to_string()),
            chain,
            key: document.key.clone(),
            stored: Instant::now(),
            renewal: None,
        };
        let issued = Issued::read(subject, kind, document, &self.provider)
            .map_err(|error| Failure::new(Kind::Authority, format!("what was issued cannot be used: {error}")))?;
        documents::write(&*self.storage, &documents::place(Folder::Certificates, subject, kind), &*issued.document)
            .await?;
        Ok(issued)
    }

    /// Answers a challenge of each authorization that is open, and says so.
    async fn prove(&self, order: &mut Order, subject: &Subject, failed: usize) -> Result<Vec<Answered>, Trouble> {
        let mut answered = Vec::new();
        let result = async {
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization?;
                if authorization.status != AuthorizationStatus::Pending {
                    continue;
                }
                let offered: Vec<_> =
                    authorization.challenges.iter().map(|challenge| challenge.r#type.clone()).collect();
                let kind = self.solver.choose(subject, &self.settings.challenges, &offered, failed)?;
                let Some(mut challenge) = authorization.challenge(challenge::acme(kind)) else { continue };
                tracing::debug!(%subject, challenge = kind.name(), "answering");
                let token = challenge.token.clone();
                answered.push(self.solver.answer(subject, kind, &token, &challenge.key_authorization()).await?);
                // Of an order that is gone on with, it may have been said before.
                if challenge.status == ChallengeStatus::Pending {
                    challenge.set_ready().await?;
                }
            }
            Ok::<_, Trouble>(())
        }
        .await;
        match result {
            Ok(()) => Ok(answered),
            Err(trouble) => {
                for answered in answered {
                    answered.end().await;
                }
                Err(trouble)
            }
        }
    }

    /// RSA keys take a second of work, which is not the executor's.
    async fn make_key(&self, kind: KeyKind) -> Result<String, Failure> {
        let made = tokio::task::spawn_blocking(move || match kind {
            KeyKind::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            KeyKind::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            KeyKind::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048),
            KeyKind::Rsa4096 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_4096),
        });
        match made.await {
            Ok(Ok(key)) => Ok(key.serialize_pem()),
            Ok(Err(error)) => Err(Failure::new(Kind::Storage, format!("no key could be made: {error}"))),
            Err(error) => Err(Failure::new(Kind::Storage, format!("no key could be made: {error}"))),
        }
    }
}

/// Looks at the order until `done`, as often as the authority likes.
async fn wait(order: &mut Order, client: &Client, done: impl Fn(OrderStatus) -> bool) -> Result<(), Trouble> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut pause = LOOKS.0;
    while !done(order.state().status) {
        if tokio::time::Instant::now() >= deadline {
            return Err(Error::Timeout(None).into());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOKS.1);
        match order.refresh().await {
            Ok(_) => {}
            // Asked too often: the order is not lost by that.
            Err(Error::Api(problem)) if is(&problem, "rateLimited") => {
                pause = client.told_to_wait().unwrap_or(LOOKS.1).clamp(LOOKS.0, Duration::from_secs(60));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Why an order was refused: its own error, or that of the challenge that failed.
async fn why_invalid(order: &mut Order) -> Failure {
    if let Some(problem) = &order.state().error
        && problem.r#type.is_some()
    {
        let failure = Failure::problem(problem);
        // Some authorities put no more into it than "see the authorizations".
        if failure.kind != Kind::Authority {
            return failure;
        }
    }
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { break };
        // What was fetched when it was proved is old.
        if authorization.refresh().await.is_err() {
            break;
        }
        if let Some(problem) = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Failure::problem(problem);
        }
    }
    Failure::new(Kind::Authority, "the authority refused the order and did not say why")
}

/// PKCS#10, DER.
fn signing_request(subject: &Subject, key: &str) -> Result<Vec<u8>, String> {
    let key = KeyPair::from_pem(key).map_err(|error| format!("the key of the order cannot be read: {error}"))?;
    let mut params = CertificateParams::default();
    // Baseline requirements: the names stand in the extension; a common name is not needed.
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![match subject {
        Subject::Address(address) => SanType::IpAddress(*address),
        subject => SanType::DnsName(subject.to_string().try_into().map_err(|_| "the name is no ASCII".to_owned())?),
    }];
    let request =
        params.serialize_request(&key).map_err(|error| format!("no signing request could be made: {error}"))?;
    Ok(request.der().to_vec())
}

fn is(problem: &Problem, name: &str) -> bool {
    problem.r#type.as_deref().and_then(|kind| kind.strip_prefix("urn:ietf:params:acme:error:")) == Some(name)
}

/// What ends a step.
enum Trouble {
    Acme(Error),
    Failure(Failure),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Acme(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<crate::storage::StorageError> for Trouble {
    fn from(error: crate::storage::StorageError) -> Self {
        Self::Failure(error.into())
    }
}
