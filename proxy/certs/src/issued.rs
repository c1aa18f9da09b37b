//! A certificate with its key, ready to be shown.

use std::{sync::Arc, time::Duration};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use x509_parser::{extensions::GeneralName, prelude::*};

use crate::{clock::Instant, documents::CertificateDocument, settings::KeyKind, subject::Subject};

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Issued {
    /// What it was ordered for.
    pub subject: Subject,
    /// The same as text.
    pub name: Arc<str>,
    /// What kind of key it has.
    pub kind: KeyKind,
    /// What handshakes need.
    pub certified: Arc<CertifiedKey>,
    /// Who issued it, by its certificate's word.
    pub issuer: String,
    /// Lower-case hex.
    pub serial: String,
    /// Valid from.
    pub not_before: Instant,
    /// Valid until.
    pub not_after: Instant,
    /// As it is kept.
    pub document: Arc<CertificateDocument>,
}

impl Issued {
    /// Reads a document, and checks that the key is the certificate's and that the certificate is for `subject`.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn read(
        subject: &Subject,
        kind: KeyKind,
        document: CertificateDocument,
        provider: &CryptoProvider,
    ) -> Result<Self, String> {
        let chain = CertificateDer::pem_slice_iter(document.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("the chain is no PEM: {error}"))?;
        let Some(leaf) = chain.first() else { return Err("the chain holds no certificate".into()) };
        let key = PrivateKeyDer::from_pem_slice(document.key.as_bytes())
            .map_err(|error| format!("the key is no PEM: {error}"))?;
        let (_, parsed) =
            X509Certificate::from_der(leaf).map_err(|error| format!("the certificate cannot be read: {error}"))?;
        if !names(&parsed).any(|name| name == *subject || matches!(subject, Subject::Name(host) if name.covers(host))) {
            return Err(format!("the certificate is not for {subject}"));
        }
        let issuer = parsed.issuer().to_string();
        let serial = parsed.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect();
        let not_before = Instant(parsed.validity().not_before.timestamp());
        let not_after = Instant(parsed.validity().not_after.timestamp());
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => "the key is not the certificate's".to_owned(),
            error => format!("the key cannot be used: {error}"),
        })?;
        Ok(Self {
            subject: subject.clone(),
            name: subject.to_string().into(),
            kind,
            certified: Arc::new(certified),
            issuer,
            serial,
            not_before,
            not_after,
            document: Arc::new(document),
        })
    }

    /// When it is to be renewed: where the authority says (RFC 9773), else when a third of its life is left (or half, where it lives less than ten
    /// days: the authority's own advice for short-lived ones).
    pub fn renew_at(&self) -> Instant {
        if let Some(renewal) = &self.document.renewal {
            return renewal.at.min(self.not_after);
        }
        let life = self.not_after.since(self.not_before);
        let left = if life < Duration::from_secs(10 * 24 * 3600) { life / 2 } else { life / 3 };
        Instant(self.not_after.0 - i64::try_from(left.as_secs()).unwrap_or(0))
    }

    /// Whether it can be shown at that moment.
    pub fn valid(&self, now: Instant) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// Whether it is for an address.
    pub fn is_address(&self) -> bool {
        matches!(self.subject, Subject::Address(_))
    }

    /// The leaf.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.certified.cert[0]
    }
}

/// The names that a certificate holds.
fn names<'a>(certificate: &'a X509Certificate<'_>) -> impl Iterator<Item = Subject> + 'a {
    certificate
        .subject_alternative_name()
        .ok()
        .flatten()
        .into_iter()
        .flat_map(|extension| extension.value.general_names.iter())
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Subject::parse(name).ok(),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| Subject::Address(bytes.into())),
                16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| Subject::Address(bytes.into())),
                _ => None,
            },
            _ => None,
        })
}
