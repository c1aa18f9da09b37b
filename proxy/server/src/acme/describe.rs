//! What `status` and `check --online` say about ordered certificates.

use std::time::Duration;

use portcullis_certs::{
    client,
    clock::Instant,
    documents::{self, AttemptsDocument, CertificateDocument},
    issued::Issued,
    manager::state,
    storage::{Folder, disk::Disk},
};
use serde_json::{Value, json};

use super::{Acme, Wanted};
use crate::{check::Finding, tls::provider::provider};

impl Acme {
    /// For `status`: what there is, and how orders went; null where none are made.
    pub fn describe(&self) -> Value {
        let Some(manager) = self.manager() else { return Value::Null };
        let (issued, failures) = manager.counts();
        let certificates = manager.list();
        let soonest = certificates.iter().filter_map(|listed| listed.seconds_left).min();
        json!({
            "issued": issued,
            "failed": failures.values().sum::<u64>(),
            "failed_by_kind": failures,
            "under_way": certificates.iter().filter(|listed| listed.busy).count(),
            "missing": certificates.iter().filter(|listed| listed.seconds_left.is_none_or(|left| left <= 0)).count(),
            "first_expiry_seconds": soonest,
            "certificates": certificates,
        })
    }
}

/// How long a certificate's keeper may take to read what is kept, and an authority to answer.
const TIME: Duration = Duration::from_secs(20);

/// What is the matter with authorities and with what is kept, without a running process.
pub async fn findings(wanted: &Wanted) -> Vec<Finding> {
    let mut findings = Vec::new();
    for authority in &wanted.settings.authorities {
        let asked =
            tokio::time::timeout(TIME, client::Client::new(authority.roots.clone()).directory(&authority.directory));
        let problem = match asked.await {
            Ok(Ok(())) => continue,
            Ok(Err(problem)) => problem,
            Err(_) => format!("no answer within {} s", TIME.as_secs()),
        };
        findings.push(Finding {
            error: true,
            subject: format!("[acme] directory {}", authority.name),
            message: problem,
        });
    }
    // Looking must not make a folder; where there is none, nothing has been ordered.
    if wanted.folder.exists() {
        kept(wanted, &mut findings).await;
    }
    findings
}

async fn kept(wanted: &Wanted, findings: &mut Vec<Finding>) {
    let finding = |error, subject: String, message: String| Finding { error, subject, message };
    let folder = wanted.folder.clone();
    let disk = match tokio::task::spawn_blocking(move || Disk::open(&folder)).await {
        Ok(Ok(disk)) => disk,
        Ok(Err(error)) => return findings.push(finding(false, "[acme] state".into(), error.to_string())),
        Err(error) => return findings.push(finding(false, "[acme] state".into(), error.to_string())),
    };
    let now = Instant::now();
    for subject in &wanted.subjects {
        for &kind in &wanted.settings.keys {
            let about = format!("certificate of {subject}");
            let place = documents::place(Folder::Certificates, subject, kind);
            let issued = match documents::read::<CertificateDocument>(&disk, &place).await {
                Ok(document) => document.and_then(|document| Issued::read(subject, kind, document, &provider()).ok()),
                Err(error) => {
                    findings.push(finding(true, about, error.to_string()));
                    continue;
                }
            };
            let state = state(issued.as_ref(), now);
            let place = documents::place(Folder::Attempts, subject, kind);
            let attempts = documents::read::<AttemptsDocument>(&disk, &place).await;
            let last = attempts.ok().flatten().and_then(|attempts| attempts.last().cloned());
            let failed = last.filter(|attempt| attempt.failure.is_some());
            let until = issued.map(|issued| issued.not_after.to_string()).unwrap_or_default();
            let message = match (state, failed) {
                ("valid", None) => continue,
                ("none", None) => "there is none yet; it is ordered when the proxy runs".to_owned(),
                (state, None) => format!("{state}: valid until {until}"),
                ("none", Some(failed)) => {
                    format!("there is none; the last attempt ({}) failed: {}", failed.at, failed.detail)
                }
                (state, Some(failed)) => {
                    format!("{state} until {until}; the last attempt ({}) failed: {}", failed.at, failed.detail)
                }
            };
            findings.push(finding(state == "expired", about, message));
        }
    }
}
