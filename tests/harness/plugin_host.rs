//! What all tests of the host need: a host, guests from `tests/guests`, a worker of one thread, and exchanges to run through it.

use std::{
    rc::Rc,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use portcullis_plugin::{
    BodyEnd, BodyMode, BuildError, Definition, Facts, Failure, FailureKind, Grants, Host, Isolation, Limits, Local,
    OnFailure, Outbound, Plugin, RequestHead, ResponseHead, Run, Settings, Summary, Verdict,
};
use tokio::sync::mpsc;

use crate::{guests, repository};

/// One host for all tests of a program, with compiled code kept between runs.
pub static HOST: LazyLock<Arc<Host>> = LazyLock::new(host);

/// A host of its own.
pub fn host() -> Arc<Host> {
    let cache = repository::root().join("target/tmp/plugin-cache");
    Host::new(Settings { cache: Some(cache), ..Settings::default() }).expect("a host")
}

/// The bytes of a guest of `tests/guests`.
pub fn guest(name: &str) -> Bytes {
    std::fs::read(guests::path(name)).expect("a guest that was built can be read").into()
}

/// Everything granted, and limits that are reached quickly.
pub fn definition(name: &str, module: Bytes, config: &str) -> Definition {
    Definition {
        name: name.into(),
        module,
        config: config.into(),
        limits: Limits {
            memory: 16 << 20,
            time: Duration::from_millis(20),
            wait: Duration::from_millis(300),
            instances: 32,
            key_value: 1 << 20,
        },
        grants: Grants {
            log: true,
            metrics: true,
            clock: true,
            random: true,
            key_value: true,
            http: Some(vec!["silent".into()]),
            ..Grants::default()
        },
        isolation: Isolation::Worker,
        on_failure: OnFailure::Refuse,
        workers: 1,
    }
}

/// `good` or `hostile` with that configuration, changed by `change`.
pub fn built_with(
    guest_name: &str,
    config: &str,
    change: impl FnOnce(&mut Definition),
) -> Result<Arc<Plugin>, BuildError> {
    let mut definition = definition(&format!("{guest_name} {config}"), guest(guest_name), config);
    change(&mut definition);
    Plugin::build(&HOST, definition)
}

/// `good` or `hostile` with that configuration.
pub fn built(guest_name: &str, config: &str) -> Arc<Plugin> {
    built_with(guest_name, config, |_| {}).unwrap_or_else(|error| panic!("{config}: {error}"))
}

/// A worker: one thread, where tasks take turns.
pub fn on_a_worker(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, work);
}

/// A plugin on this worker. Requests that it makes are taken and never answered.
pub fn local(plugin: &Arc<Plugin>) -> Rc<Local> {
    let (sender, receiver) = mpsc::channel(64);
    tokio::task::spawn_local(keep(receiver));
    Local::new(plugin.clone(), sender)
}

async fn keep(mut receiver: mpsc::Receiver<Outbound>) {
    while let Some(outbound) = receiver.recv().await {
        tokio::task::spawn_local(async move {
            let mut outbound = outbound;
            outbound.reply.closed().await;
        });
    }
}

/// Of a client, on a plain connection.
pub fn facts() -> Facts {
    let client = "192.0.2.1:4242".parse().expect("an address");
    let server = "192.0.2.2:80".parse().expect("an address");
    Facts {
        client,
        peer: client,
        server,
        tls: None,
        listener: "web".into(),
        route: "all".into(),
        request_id: "1".into(),
        absolute_target: None,
    }
}

/// Ten fields of a request.
pub fn fields() -> HeaderMap {
    let mut fields = HeaderMap::new();
    let ten = [
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "accept-language",
        "cookie",
        "referer",
        "x-a",
        "x-b",
        "x-c",
    ];
    for name in ten {
        fields.insert(name, http::HeaderValue::from_static("a value of some length"));
    }
    fields
}

/// Shows the head of `GET target`.
pub async fn head(run: &mut Run, target: &str) -> Result<Verdict, Failure> {
    let fields = fields();
    let head = RequestHead {
        method: "GET",
        https: false,
        authority: "example.com",
        target,
        version: http::Version::HTTP_11,
        fields: &fields,
    };
    run.request_head(head).await
}

/// One exchange for `target`, through every phase that is wanted; the verdicts in order, or the first failure.
pub async fn exchange(local: &Rc<Local>, target: &str) -> Result<Vec<Verdict>, Failure> {
    let declaration = *local.plugin().declaration();
    let mut run = local.begin(facts);
    let mut verdicts = Vec::new();
    if declaration.request_head {
        verdicts.push(head(&mut run, target).await?);
    }
    if declaration.request_body != BodyMode::None {
        verdicts.push(run.request_body(b"of the request", Some(BodyEnd::Complete(None))).await?);
    }
    if declaration.response_head {
        let fields = fields();
        verdicts.push(run.response_head(ResponseHead { status: StatusCode::OK, fields: &fields }).await?);
    }
    if declaration.response_body != BodyMode::None {
        verdicts.push(run.response_body(b"of the response", Some(BodyEnd::Complete(None))).await?);
    }
    if declaration.log {
        run.log(summary()).await?;
    }
    Ok(verdicts)
}

/// Of an exchange that went well.
pub fn summary() -> Summary<'static> {
    Summary {
        status: 200,
        received: 14,
        sent: 15,
        duration: Duration::from_millis(1),
        backend: Some("app"),
        endpoint: None,
        error: None,
        decided_by: None,
    }
}

/// That an exchange of `local` fails in this way, with `says` in the message.
pub async fn fails(local: &Rc<Local>, target: &str, kind: FailureKind, says: &str) {
    let config = local.plugin().definition().config.clone();
    let failure = match exchange(local, target).await {
        Ok(verdicts) => panic!("{config}: nothing failed: {verdicts:?}"),
        Err(failure) => failure,
    };
    assert_eq!(failure.kind, kind, "{config}: {failure}");
    assert!(failure.message.contains(says), "{config}: {failure} does not say {says:?}");
}
