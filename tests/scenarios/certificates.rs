//! Certificates that the proxy orders by itself, at pebble.
//!
//! - each challenge, on whichever listener the authority reaches: [`challenges`]
//! - proofs in the DNS, by a program and by dynamic updates: [`dns`]
//! - the authority of the machine itself: [`local`]
//! - what is kept, renewed and survives reloads, restarts and kills: [`keeping`]
//! - authorities that are away or say no, folders that cannot be used: [`trouble`]
//! - `portcullis certs`: [`commands`]

mod challenges;
mod commands;
mod dns;
mod keeping;
mod local;
mod trouble;

use std::{sync::Arc, time::Duration};

use portcullis_tests::{
    certificates::authority,
    client::http::Connection,
    pebble::{Choice, Pebble},
    proxy::{Plan, Proxy},
    scenario::eventually_within,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::Value;

/// Long enough for pebble beside a compiler.
const WITHIN: Duration = Duration::from_secs(40);

/// One host, redirected to HTTPS; `@acme@` is the rest of the table.
const ONE: &str = r#"
[[listener]]
name = "http"
address = "127.0.0.1:@http@"

[[listener]]
name = "https"
address = "127.0.0.1:@https@"
tls = {}

[acme]
email = "ops@example.com"
directory = { directory = "@directory@", ca = "ca.pem" }
state = "@dir@/state"
@acme@

[[route]]
host = "a.example.com"
listener = "https"
respond = { status = 204 }

[[route]]
listener = "http"
redirect = "https"
"#;

/// A plan with pebble, which reaches the listeners at the port placeholders `http` and `https`.
async fn ground(text: &str, choice: impl FnOnce(&mut Choice)) -> (Plan, Pebble) {
    ground_at(text, "https", choice).await
}

/// [`ground`], with handshakes of challenges at the port placeholder `tls`.
async fn ground_at(text: &str, tls: &str, choice: impl FnOnce(&mut Choice)) -> (Plan, Pebble) {
    let plan = Plan::new(text).file("ca.pem", authority().pem()).set("acme", "");
    let mut chosen =
        Choice { http: Some(plan.address("http").port()), tls: Some(plan.address(tls).port()), ..Choice::default() };
    choice(&mut chosen);
    let pebble = Pebble::start(chosen).await;
    (plan.set("directory", pebble.directory()), pebble)
}

/// A client that believes what pebble issues and nothing else.
async fn client(pebble: &Pebble) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(pebble.root().await.as_bytes()) {
        roots.add(root.expect("pebble's root is PEM")).expect("pebble's root is one");
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// The leaf that a client is shown who believes pebble, once there is one.
async fn shown(proxy: &Proxy, pebble: &Pebble, host: &str) -> Vec<u8> {
    certified(proxy, host, "valid").await;
    let connection = Connection::tls(proxy.address("https"), host, &client(pebble).await).await;
    assert_eq!(connection.get(host, "/").await.status, 204);
    connection.tls.clone().expect("it was TLS").leaf
}

/// What `status` says of a host, once it is in that state.
async fn certified(proxy: &Proxy, host: &str, state: &str) -> Value {
    let what = format!("the certificate of {host} is {state}");
    eventually_within(WITHIN, &what, async || {
        let listed = listed(proxy, host).await?;
        (listed["state"] == state && listed["busy"] == false).then_some(listed)
    })
    .await
}

async fn listed(proxy: &Proxy, host: &str) -> Option<Value> {
    let status = proxy.status().await;
    status["acme"]["certificates"].as_array()?.iter().find(|listed| listed["host"] == host).cloned()
}

/// What `status` says of a host, once an attempt has failed.
async fn failed(proxy: &Proxy, host: &str) -> Value {
    eventually_within(WITHIN, &format!("an attempt for {host} has failed"), async || {
        listed(proxy, host).await.filter(|listed| listed["error_kind"].is_string() && listed["busy"] == false)
    })
    .await
}
