//! What a configuration wants ordered: for which hosts, from whom.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use portcullis_certs::{
    challenge::{Records, program::Program, rfc2136::Updates},
    settings::{self, Settings},
    subject::Subject,
};
use portcullis_config::{
    Config,
    acme::{self, Challenge, KeyKind, Secret},
    route::{Action, HostPattern, Route},
};
use rustls::RootCertStore;

use crate::{
    snapshot::BuildError,
    tls::{
        certificates::Loaded,
        client::{read_authorities, system_roots},
        store::Store,
    },
};

/// What a configuration wants ordered.
#[derive(Debug)]
pub struct Wanted {
    /// For each of these there is to be a certificate.
    pub subjects: BTreeSet<Subject>,
    /// How.
    pub settings: Settings,
    /// What puts TXT records into the DNS.
    pub records: Option<Arc<dyn Records>>,
    /// Where it is kept.
    pub folder: PathBuf,
    /// What the settings were made of.
    pub origin: Origin,
}

/// What settings were made of: the table, and the files that it names.
#[derive(Debug, PartialEq)]
pub struct Origin {
    table: acme::Acme,
    files: Vec<Vec<u8>>,
}

/// What was ordered does not depend on anything else.
impl PartialEq for Wanted {
    fn eq(&self, other: &Self) -> bool {
        self.subjects == other.subjects && self.origin == other.origin
    }
}

/// Orders under way at once. Each is a handful of requests and some waiting.
const PARALLEL: usize = 4;
/// First orders for many new names are spread over this at most.
const SPREAD: Duration = Duration::from_secs(3600);

impl Wanted {
    /// Of `config`, beside the certificates that were `loaded` from files. Reads the files that `[acme]` names.
    ///
    /// # Errors
    /// All that cannot be used.
    pub fn of(
        config: &Config,
        loaded: &Loaded,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Arc<Self>>, Vec<BuildError>> {
        let Some(table) = &config.acme else { return Ok(None) };
        let mut errors = Vec::new();
        let mut fail = |message: String| errors.push(BuildError { at: Some(table.at.clone()), message });
        let mut files = Vec::new();
        let mut authorities = Vec::new();
        for configured in &table.authorities {
            match authority(configured, &mut files) {
                Ok(authority) => authorities.push(authority),
                Err(message) => fail(format!("[acme] directory `{}`: {message}", configured.name)),
            }
        }
        let folder = super::usual_folder(table.state.as_deref()).unwrap_or_else(|message| {
            fail(message);
            PathBuf::new()
        });
        let records = match table.dns.as_ref().map(|dns| records(dns, &mut files)).transpose() {
            Ok(records) => records,
            Err(message) => {
                fail(format!("[acme] dns: {message}"));
                None
            }
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        let subjects = subjects(config, loaded, authorities.iter().all(|authority| authority.public), warnings);
        let settings = Settings {
            authorities,
            email: table.email.clone(),
            keys: table.keys.iter().copied().map(key_kind).collect(),
            challenges: table.challenges.iter().copied().map(challenge).collect(),
            parallel: PARALLEL,
            spread: SPREAD,
        };
        let origin = Origin { table: table.clone(), files };
        Ok(Some(Arc::new(Self { subjects, settings, records, folder, origin })))
    }
}

/// The hosts of routes that are reached through a listener with TLS, without those that a certificate from a file is for.
fn subjects(config: &Config, loaded: &Loaded, all_public: bool, warnings: &mut Vec<String>) -> BTreeSet<Subject> {
    let store = Store::new(loaded.clone());
    let mut subjects = BTreeSet::new();
    let wildcards = config.acme.as_ref().is_some_and(|acme| acme.challenges.contains(&Challenge::Dns01));
    let reached = config.routes.iter().filter(|route| is_terminated(config, route));
    for pattern in reached.flat_map(|route| &route.matches.hosts) {
        let host = match pattern {
            HostPattern::Exact(host) => host.as_str(),
            // Only dns-01 proves a wildcard (RFC 8555 section 7.1.3); any host at all is no name.
            HostPattern::Wildcard(suffix) => {
                if wildcards && !store.covers_wildcard(suffix) {
                    match Subject::parse(&format!("*.{suffix}")) {
                        Ok(subject) => drop(subjects.insert(subject)),
                        Err(unfit) => warnings.push(format!("no certificate can be ordered: {unfit}")),
                    }
                } else if !store.covers_wildcard(suffix) {
                    warnings.push(format!(
                        "no certificate is ordered for `*.{suffix}`: a wildcard needs dns-01 (`dns` in [acme]); list the hosts, or add a [[certificate]]"
                    ));
                }
                continue;
            }
            HostPattern::Any => continue,
        };
        if !store.covering(host).is_empty() {
            continue;
        }
        match Subject::parse(host) {
            Ok(subject) => {
                if let Err(unfit) = subject.public()
                    && all_public
                {
                    warnings.push(unfit.to_string());
                }
                subjects.insert(subject);
            }
            Err(unfit) => warnings.push(format!("no certificate can be ordered: {unfit}")),
        }
    }
    subjects
}

/// Whether TLS is terminated here for a route.
fn is_terminated(config: &Config, route: &Route) -> bool {
    !matches!(route.action, Action::Passthrough(_))
        && config.listeners.iter().any(|listener| {
            listener.tls.is_some() && (route.listeners.is_empty() || route.listeners.contains(&listener.name))
        })
}

fn authority(configured: &acme::Authority, files: &mut Vec<Vec<u8>>) -> Result<settings::Authority, String> {
    let roots = match &configured.ca {
        Some(path) => {
            files.push(read(path)?.into_bytes());
            read_authorities(path)?.0
        }
        None => system_roots()?,
    };
    let binding = match &configured.binding {
        None => None,
        Some(binding) => Some(settings::Binding::new(&binding.id, &secret(&binding.key, files)?)?),
    };
    Ok(settings::Authority {
        name: configured.name.as_str().into(),
        directory: configured.directory.as_str().into(),
        public: configured.public,
        roots: roots as Arc<RootCertStore>,
        binding,
        profile: configured.profile.as_deref().map(Into::into),
    })
}

fn records(dns: &acme::DnsUpdate, files: &mut Vec<Vec<u8>>) -> Result<Arc<dyn Records>, String> {
    Ok(match dns {
        acme::DnsUpdate::Program { path, arguments, time } => {
            Arc::new(Program::new(path.clone(), arguments.clone(), *time))
        }
        acme::DnsUpdate::Rfc2136 { server, zone, key } => {
            let key = match key {
                None => None,
                Some(key) => {
                    let secret = secret(&key.secret, files)?;
                    Some(settings::TsigKey::new(&key.name, key.algorithm.name(), &secret)?)
                }
            };
            Arc::new(Updates::new(*server, zone.as_deref(), key.as_ref())?)
        }
    })
}

fn secret(secret: &Secret, files: &mut Vec<Vec<u8>>) -> Result<String, String> {
    match secret {
        Secret::Text(text) => Ok(text.clone()),
        Secret::File(path) => {
            let text = read(path)?;
            files.push(text.clone().into_bytes());
            Ok(text)
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    /// Keys and roots; a bundle of all roots there are is a quarter of this.
    const LARGEST: u64 = 1 << 20;
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    if fs::metadata(path).map_err(told)?.len() > LARGEST {
        return Err(format!("{}: larger than {LARGEST} bytes", path.display()));
    }
    fs::read_to_string(path).map_err(told)
}

fn key_kind(kind: KeyKind) -> settings::KeyKind {
    match kind {
        KeyKind::P256 => settings::KeyKind::P256,
        KeyKind::P384 => settings::KeyKind::P384,
        KeyKind::Rsa2048 => settings::KeyKind::Rsa2048,
        KeyKind::Rsa4096 => settings::KeyKind::Rsa4096,
    }
}

fn challenge(challenge: Challenge) -> settings::ChallengeKind {
    match challenge {
        Challenge::TlsAlpn01 => settings::ChallengeKind::TlsAlpn01,
        Challenge::Http01 => settings::ChallengeKind::Http01,
        Challenge::Dns01 => settings::ChallengeKind::Dns01,
    }
}

/// The files that a configuration's `[acme]` names.
pub fn files(config: &Config) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut add = |secret: &Secret| {
        if let Secret::File(path) = secret {
            files.push(path.clone());
        }
    };
    let Some(acme) = &config.acme else { return files };
    if let Some(acme::DnsUpdate::Rfc2136 { key: Some(key), .. }) = &acme.dns {
        add(&key.secret);
    }
    acme.authorities.iter().filter_map(|authority| authority.binding.as_ref()).for_each(|binding| add(&binding.key));
    files.extend(acme.authorities.iter().filter_map(|authority| authority.ca.clone()));
    files
}
