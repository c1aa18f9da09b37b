//! What a command can ask of a configuration without running it: files, names, TLS endpoints, explanations.
//!
//! All of it builds the same snapshot that the process would, on an executor of its own, and throws it away.

use std::{path::Path, sync::Arc, time::Duration};

use portcullis_config::{Config, backend::Scheme};
use serde::Serialize;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::{
    acme, answers,
    backend::{Backend, connect},
    control::{ExplainRequest, Failure},
    dns::Names,
    explain,
    process::ground,
    snapshot::{Built, Snapshot, build},
};

/// How long names are waited for.
const NAMES: Duration = Duration::from_secs(5);

/// Something that was found beyond the configuration's text.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Whether the configuration cannot serve like that.
    pub error: bool,
    /// What it is about: a file, a name, an endpoint.
    pub subject: String,
    /// What is the matter.
    pub message: String,
}

/// Loads certificates, keys and authorities, and builds plugins, as the process would. `path` is what `config` was read from.
pub fn files(config: &Config, path: &Path) -> Vec<Finding> {
    with_snapshot(config, path, |_, built| {
        let warning = |message| Finding { error: false, subject: "files".to_owned(), message };
        built.warnings.into_iter().map(warning).collect()
    })
    .unwrap_or_else(|findings| findings)
}

/// Resolves every name and shakes hands with every TLS endpoint.
pub fn online(config: &Config, path: &Path) -> Vec<Finding> {
    with_snapshot(config, path, |runtime, built| {
        runtime.block_on(async {
            let names = resolved(&built.snapshot).await;
            let backends: Vec<_> = built.snapshot.backends.values().cloned().collect();
            let shakes = backends.iter().map(handshakes);
            let shaken = futures_util::future::join_all(shakes).await;
            let ordered = match &built.snapshot.wanted {
                Some(wanted) => acme::findings(wanted).await,
                None => Vec::new(),
            };
            names.into_iter().chain(shaken.into_iter().flatten()).chain(ordered).collect()
        })
    })
    .unwrap_or_else(|findings| findings)
}

/// What would become of a request under a configuration that is not running.
///
/// # Errors
/// When the question is not understood or the configuration cannot be built.
pub fn explain_offline(config: &Config, path: &Path, request: &ExplainRequest) -> Result<Value, Failure> {
    with_snapshot(config, path, |runtime, built| {
        runtime.block_on(resolved(&built.snapshot));
        explain::explain(&built.snapshot, request)
    })
    .unwrap_or_else(|findings| {
        let messages: Vec<_> = findings.iter().map(|finding| finding.message.clone()).collect();
        Err(Failure::from(messages.join("\n")))
    })
}

/// A name as the configuration's `[dns]` finds it.
///
/// # Errors
/// When the table cannot be used.
pub fn look_up(config: &Config, name: &str, service: bool) -> Result<Value, Failure> {
    let runtime = runtime().map_err(|error| Failure::from(error.to_string()))?;
    let names =
        Names::new(&config.dns, runtime.handle().clone()).map_err(|error| Failure::from(format!("[dns]: {error}")))?;
    Ok(runtime.block_on(answers::look_up(&names, name, service)))
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn with_snapshot<T>(config: &Config, path: &Path, work: impl FnOnce(&Runtime, Built) -> T) -> Result<T, Vec<Finding>> {
    let finding = |subject: &str, message: String| Finding { error: true, subject: subject.to_owned(), message };
    let runtime = runtime().map_err(|error| vec![finding("threads", error.to_string())])?;
    let ground = ground(1, runtime.handle().clone(), config, path, None)
        .map_err(|error| vec![finding("tls", error.to_string())])?;
    match build(config.clone(), None, &ground) {
        Ok(built) => Ok(work(&runtime, built)),
        Err(errors) => Err(errors
            .into_iter()
            .map(|error| {
                let subject = error.at.map_or_else(|| "configuration".to_owned(), |at| at.to_string());
                finding(&subject, error.message)
            })
            .collect()),
    }
}

/// Waits until every name has an answer of some kind; what is wrong with those that have no good one.
async fn resolved(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot.settled(NAMES).await;
    let mut findings = Vec::new();
    for backend in snapshot.backends.values() {
        for answer in backend.answers().flatten() {
            if answer.records.is_empty() {
                findings.push(Finding {
                    error: true,
                    subject: format!("backend {}: {}", backend.name, answer.question.name),
                    message: answer.state.to_string(),
                });
            }
        }
    }
    findings
}

/// Tries every TLS endpoint of a backend.
async fn handshakes(backend: &Arc<Backend>) -> Vec<Finding> {
    let members = backend.members();
    let tls = members.list.iter().filter(|member| matches!(member.endpoint.scheme, Scheme::Https | Scheme::Tls));
    let mut findings = Vec::new();
    for member in tls {
        let endpoint = &member.endpoint;
        let client = connect::Client { address: endpoint.address, local: endpoint.address };
        if let Err(error) = connect::connect(backend, endpoint, None, client, false).await {
            findings.push(Finding {
                error: true,
                subject: format!("backend {}: {} ({})", backend.name, endpoint.host, endpoint.address),
                message: error.detail.into_owned(),
            });
        }
    }
    findings
}
