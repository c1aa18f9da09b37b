//! What is said to those who come to check a challenge: read at each handshake and request that looks like one, without a lock.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};
use rustls::{crypto::aws_lc_rs::sign::any_supported_type, pki_types::PrivateKeyDer, sign::CertifiedKey};

use crate::subject::Subject;

/// The ALPN protocol of tls-alpn-01 (RFC 8737 section 4).
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// Where http-01 is asked (RFC 8555 section 8.3).
pub const HTTP_PATH: &str = "/.well-known/acme-challenge/";

/// Live answers. Cheap to clone: all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Answers(Arc<ArcSwap<Table>>);

#[derive(Debug, Clone, Default)]
struct Table {
    /// Key authorizations by token.
    tokens: HashMap<Arc<str>, Arc<str>>,
    /// Challenge certificates by name.
    certificates: HashMap<Arc<str>, Arc<CertifiedKey>>,
}

impl Answers {
    /// The key authorization for a token of http-01.
    pub fn token(&self, token: &str) -> Option<Arc<str>> {
        self.0.load().tokens.get(token).cloned()
    }

    /// The certificate for a handshake that offers nothing but [`ACME_TLS`]. `name`: the name asked for, lower case; that of an address is its
    /// reverse name (RFC 8738 section 6).
    pub fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.0.load().certificates.get(name).cloned()
    }

    /// Whether there is anything to answer at all.
    pub fn is_empty(&self) -> bool {
        let table = self.0.load();
        table.tokens.is_empty() && table.certificates.is_empty()
    }

    /// Answers http-01 until the guard is dropped.
    pub fn http(&self, token: &str, key_authorization: &str) -> Answering {
        let token: Arc<str> = token.into();
        self.change(|table| {
            table.tokens.insert(token.clone(), key_authorization.into());
        });
        Answering { answers: self.clone(), token: Some(token), name: None }
    }

    /// Answers tls-alpn-01 until the guard is dropped.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn tls(&self, subject: &Subject, key_authorization: &str) -> Result<Answering, String> {
        let certificate =
            Arc::new(challenge_certificate(subject, key_authorization).map_err(|error| error.to_string())?);
        let name: Arc<str> = sni(subject).into();
        self.change(|table| {
            table.certificates.insert(name.clone(), certificate.clone());
        });
        Ok(Answering { answers: self.clone(), token: None, name: Some(name) })
    }

    fn change(&self, what: impl Fn(&mut Table)) {
        self.0.rcu(|table| {
            let mut table = Table::clone(table);
            what(&mut table);
            table
        });
    }
}

/// An answer that is given while this lives.
#[derive(Debug)]
pub struct Answering {
    answers: Answers,
    token: Option<Arc<str>>,
    name: Option<Arc<str>>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.answers.change(|table| {
            if let Some(token) = &self.token {
                table.tokens.remove(token);
            }
            if let Some(name) = &self.name {
                table.certificates.remove(name);
            }
        });
    }
}

/// What the authority asks for by SNI: the name, or the reverse name of an address.
fn sni(subject: &Subject) -> String {
    use std::{fmt::Write as _, net::IpAddr};
    match subject {
        Subject::Address(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Subject::Address(IpAddr::V6(address)) => {
            let mut name = String::with_capacity(72);
            for byte in address.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", byte & 15, byte >> 4);
            }
            name + "ip6.arpa"
        }
        subject => subject.to_string(),
    }
}

/// RFC 8737 section 3: self-signed, one name, and the digest of the key authorization in a critical extension.
fn challenge_certificate(
    subject: &Subject,
    key_authorization: &str,
) -> Result<CertifiedKey, Box<dyn std::error::Error + Send + Sync>> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![match subject {
        Subject::Address(address) => SanType::IpAddress(*address),
        subject => SanType::DnsName(subject.to_string().try_into()?),
    }];
    let digest = digest(&SHA256, key_authorization.as_bytes());
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let der = PrivateKeyDer::try_from(key.serialize_der())?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], any_supported_type(&der)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_last_as_long_as_their_guards() {
        let answers = Answers::default();
        let first = answers.http("token", "token.thumb");
        let second = answers.tls(&Subject::parse("a.example.com").unwrap(), "x.thumb").unwrap();
        assert_eq!(answers.token("token").as_deref(), Some("token.thumb"));
        assert!(answers.certificate("a.example.com").is_some());
        drop(first);
        assert_eq!(answers.token("token"), None);
        drop(second);
        assert!(answers.is_empty());
    }

    #[test]
    fn addresses_are_asked_for_by_their_reverse_names() {
        assert_eq!(sni(&Subject::parse("192.0.2.1").unwrap()), "1.2.0.192.in-addr.arpa");
        let name = sni(&Subject::parse("2001:db8::1").unwrap());
        assert!(name.starts_with("1.0.0.0.") && name.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"), "{name}");
    }

    #[test]
    fn a_challenge_certificate_has_the_critical_extension() {
        use x509_parser::prelude::*;
        let certified = challenge_certificate(&Subject::parse("a.example.com").unwrap(), "token.thumb").unwrap();
        let (_, parsed) = X509Certificate::from_der(&certified.cert[0]).unwrap();
        let extension =
            parsed.extensions().iter().find(|extension| extension.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
        assert!(extension.critical);
        // An OCTET STRING of 32 bytes.
        assert_eq!(&extension.value[..2], [4, 32]);
        assert_eq!(&extension.value[2..], digest(&SHA256, b"token.thumb").as_ref());
    }
}
