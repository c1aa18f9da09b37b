//! When a certificate is to be renewed, in the authority's words (RFC 9773).

use std::time::Duration;

use instant_acme::CertificateIdentifier;
use rcgen::KeyPair;

use crate::{
    account,
    client::Client,
    clock::Instant,
    documents::{CertificateDocument, Renewal},
    issued::Issued,
    settings::{KeyKind, Settings},
    storage::Storage,
};

/// RFC 9773 section 4.3.2: what an authority says about asking again is taken within these.
const ASK: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));
/// After a failure to ask (section 4.3.3), and for authorities that have no such thing.
const ASK_AFTER_FAILURE: Duration = Duration::from_secs(6 * 3600);

/// When the authority is to be asked again.
pub fn ask_at(issued: &Issued) -> Instant {
    match (&issued.document.directory, &issued.document.renewal) {
        // Imported: nobody to ask.
        (None, _) => Instant(i64::MAX),
        (Some(_), None) => Instant::default(),
        (Some(_), Some(renewal)) => renewal.ask_again,
    }
}

/// Asks, and gives the certificate's document with the answer in it. An authority that cannot be asked changes nothing but when it is asked again.
pub async fn ask(settings: &Settings, storage: &dyn Storage, issued: &Issued) -> CertificateDocument {
    let mut document = (*issued.document).clone();
    let now = Instant::now();
    match window(settings, storage, issued).await {
        Ok((start, end, explanation, again)) => {
            let again = again.clamp(ASK.0, ASK.1);
            let within = |at: &Instant| start <= *at && *at <= end;
            // The moment chosen before stays while it is in the window: asking more often must not move it.
            let chosen = document.renewal.as_ref().map(|renewal| renewal.at).filter(within);
            let at = chosen.unwrap_or_else(|| Instant(start.0 + fastrand::i64(0..=(end.0 - start.0).max(0))));
            if let Some(text) = &explanation
                && document.renewal.as_ref().is_none_or(|renewal| renewal.explanation.as_ref() != Some(text))
            {
                tracing::warn!(subject = %issued.subject, explanation = text, %start, %end, "the authority explains when it wants the certificate renewed");
            }
            document.renewal = Some(Renewal { start, end, at, ask_again: now.after(again), explanation });
        }
        Err(reason) => {
            tracing::debug!(subject = %issued.subject, reason, "the authority does not say when to renew");
            let default = Issued {
                document: {
                    let mut plain = document.clone();
                    plain.renewal = None;
                    plain.into()
                },
                ..issued.clone()
            }
            .renew_at();
            let renewal = document.renewal.get_or_insert(Renewal {
                start: default,
                end: default,
                at: default,
                ask_again: now,
                explanation: None,
            });
            renewal.ask_again = now.after(ASK_AFTER_FAILURE);
        }
    }
    document
}

type Window = (Instant, Instant, Option<String>, Duration);

async fn window(settings: &Settings, storage: &dyn Storage, issued: &Issued) -> Result<Window, String> {
    let directory = issued.document.directory.as_deref();
    let authority = settings
        .authorities
        .iter()
        .find(|authority| Some(&*authority.directory) == directory)
        .ok_or("its authority is not configured any more")?;
    let id = CertificateIdentifier::try_from(issued.leaf())?;
    let client = Client::new(authority.roots.clone());
    let account = account::open(settings, authority, storage, &client).await.map_err(|failure| failure.to_string())?;
    let (info, again) = account.renewal_info(&id).await.map_err(|error| error.to_string())?;
    let window = info.suggested_window;
    let (start, end) = (Instant(window.start.unix_timestamp()), Instant(window.end.unix_timestamp()));
    if end < start {
        return Err("its window ends before it begins".into());
    }
    // Shown to operators: what an authority sends is bounded.
    let explanation = info.explanation_url.map(|text| text.chars().filter(|c| !c.is_control()).take(500).collect());
    Ok((start, end, explanation, again))
}

/// What kind of key that is.
///
/// # Errors
/// A sentence, for a key of another kind or none at all.
pub fn kind_of_key(pem: &str) -> Result<KeyKind, String> {
    let key = KeyPair::from_pem(pem).map_err(|error| format!("the key cannot be read: {error}"))?;
    let algorithm = key.algorithm();
    if *algorithm == rcgen::PKCS_ECDSA_P256_SHA256 {
        Ok(KeyKind::P256)
    } else if *algorithm == rcgen::PKCS_ECDSA_P384_SHA384 {
        Ok(KeyKind::P384)
    } else if *algorithm == rcgen::PKCS_RSA_SHA256 {
        // 270 bytes with 2048 bits, 526 with 4096.
        Ok(if key.public_key_raw().len() > 400 { KeyKind::Rsa4096 } else { KeyKind::Rsa2048 })
    } else {
        Err("the key is neither ECDSA (P-256, P-384) nor RSA".into())
    }
}
