//! `portcullis certs`, on the side of the running process.

use std::time::Duration;

use portcullis_certs::{issued::Issued, manager::Manager, subject::Subject};
use serde_json::{Value, json};

use super::Acme;
use crate::control::{CertsRequest, Failure};

/// A little less than an answer on the control socket may take.
const PATIENCE: Duration = Duration::from_secs(110);

/// Does what was asked.
///
/// # Errors
/// A sentence that says why not.
pub async fn handle(acme: &Acme, request: &CertsRequest) -> Result<Value, Failure> {
    if let CertsRequest::Root {} = request {
        let none = || Failure::from("no listener has `tls = { local = true }`: there is no local authority".to_owned());
        return acme.root().map(|root| json!({ "root": root })).ok_or_else(none);
    }
    let Some(manager) = acme.manager() else {
        if matches!(request, CertsRequest::List {}) {
            return Ok(json!([]));
        }
        return Err(Failure::from("no certificates are ordered: the configuration has no [acme]".to_owned()));
    };
    match request {
        CertsRequest::Root {} | CertsRequest::List {} => Ok(json!(manager.list())),
        CertsRequest::Renew { host } => renew(&manager, &subject(host)?).await,
        CertsRequest::Import { host, chain, key } => {
            let issued = manager.import(&subject(host)?, chain.clone(), key.clone()).await?;
            Ok(describe(&issued))
        }
        CertsRequest::Export { host } => export(&manager, &subject(host)?),
    }
}

fn subject(host: &str) -> Result<Subject, Failure> {
    Subject::parse(host).map_err(|unfit| Failure::from(unfit.to_string()))
}

async fn renew(manager: &Manager, subject: &Subject) -> Result<Value, Failure> {
    match tokio::time::timeout(PATIENCE, manager.renewed(subject)).await {
        Ok(None) => Err(unknown(manager, subject)),
        Ok(Some(listed)) => match listed.iter().find_map(|listed| listed.error.clone()) {
            Some(error) => Err(Failure { message: format!("{subject}: {error}"), detail: json!(listed) }),
            None => Ok(json!(listed)),
        },
        Err(_) => Err(Failure::from(format!(
            "the order for {subject} is still under way after {} s; `portcullis certs list` shows how it ends",
            PATIENCE.as_secs()
        ))),
    }
}

fn export(manager: &Manager, subject: &Subject) -> Result<Value, Failure> {
    let issued = manager.of(subject);
    if issued.is_empty() {
        return Err(unknown(manager, subject));
    }
    let one = |issued: &Issued| {
        let mut value = describe(issued);
        value["chain"] = json!(issued.document.chain);
        value["private_key"] = json!(issued.document.key);
        value
    };
    Ok(issued.iter().map(|issued| one(issued)).collect())
}

fn describe(issued: &Issued) -> Value {
    json!({
        "host": issued.name,
        "key": issued.kind.name(),
        "issuer": issued.issuer,
        "serial": issued.serial,
        "not_before": issued.not_before.to_string(),
        "not_after": issued.not_after.to_string(),
    })
}

fn unknown(manager: &Manager, subject: &Subject) -> Failure {
    let listed = manager.list();
    let of_it = listed.iter().find(|listed| listed.host == subject.to_string());
    Failure::from(match of_it {
        Some(listed) => match &listed.error {
            Some(error) => format!("there is no certificate for {subject} yet: {error}"),
            None => format!("there is no certificate for {subject} yet: it is being ordered"),
        },
        None => format!(
            "no certificate is ordered for {subject}: no route that is reached through a listener with TLS names it, or a [[certificate]] covers it; \
             `portcullis certs list` shows those that are"
        ),
    })
}
