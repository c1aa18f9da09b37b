//! The answers of the running process on its control socket.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};

use crate::{
    acme,
    control::{CertsRequest, Control, ExplainRequest, Failure, RecordRequest},
    dns,
    explain::{describe_backend, explain},
    log, plugins,
    reload::Reloader,
    running::Running,
};

/// Answers for a running process.
pub struct Answers {
    running: Arc<Running>,
    reloader: Arc<Reloader>,
}

impl Answers {
    /// For this process.
    pub fn new(running: Arc<Running>, reloader: Arc<Reloader>) -> Self {
        Self { running, reloader }
    }

    async fn describe(&self) -> Value {
        let running = &self.running;
        let snapshot = running.snapshot();
        let mut pools: HashMap<u64, (usize, usize)> = HashMap::new();
        for (endpoint, open, idle) in running.pools().await {
            let sum = pools.entry(endpoint).or_default();
            *sum = (sum.0 + open, sum.1 + idle);
        }
        let listeners: Vec<Value> = snapshot
            .listeners
            .iter()
            .map(|listener| {
                json!({
                    "name": listener.name,
                    "addresses": listener.config.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "tls": listener.tls.is_some(),
                    "connections": listener.lasting.open.load(std::sync::atomic::Ordering::Relaxed),
                    "limit": listener.config.connections,
                })
            })
            .collect();
        let backends: Vec<Value> = snapshot
            .backends
            .values()
            .map(|backend| {
                let mut value = describe_backend(backend);
                let members = backend.members();
                if let Some(endpoints) = value["endpoints"].as_array_mut() {
                    for (endpoint, member) in endpoints.iter_mut().zip(&members.list) {
                        let (open, idle) = pools.get(&member.endpoint.id).copied().unwrap_or_default();
                        endpoint["connections"] = json!(open);
                        endpoint["idle"] = json!(idle);
                    }
                }
                value
            })
            .collect();
        let now = SystemTime::now();
        let certificates: Vec<Value> = snapshot
            .certificates
            .certificates
            .iter()
            .map(|certificate| {
                let left = certificate.not_after.duration_since(now).map_or(0, |left| left.as_secs());
                json!({
                    "name": certificate.name,
                    "covers": certificate.hosts,
                    "key": certificate.key_kind.name(),
                    "left_seconds": left,
                })
            })
            .collect();
        let unready = plugins::suspended(&snapshot);
        let last = self.reloader.last();
        let state = match () {
            () if running.is_stopping() => "draining",
            () if last.error.is_some() => "running an older configuration: the last reload failed",
            () => "running",
        };
        json!({
            "state": state,
            "version": running.options.version,
            "pid": std::process::id(),
            "up_seconds": since(running.since),
            "config": running.options.config.display().to_string(),
            "generation": snapshot.generation,
            "workers": running.workers(),
            "reload": {
                "last_seconds": last.at.map(since),
                "failures": last.failures,
                "error": last.error,
            },
            "listeners": listeners,
            "routes": snapshot.routes.len(),
            "backends": backends,
            "certificates": certificates,
            "acme": running.ground.acme.describe(),
            "plugins": plugins::describe(&snapshot),
            "plugin_figures": plugins::figures(running.ground.plugins.figures()),
            "ready": unready.is_empty() && !running.is_stopping(),
            "not_ready_because": unready,
            "counters": running.counted(),
            "log_lines_dropped": running.log_dropped(),
        })
    }
}

fn since(at: SystemTime) -> u64 {
    at.elapsed().unwrap_or(Duration::ZERO).as_secs()
}

impl Control for Answers {
    fn status(&self) -> BoxFuture<'_, Value> {
        self.describe().boxed()
    }

    fn reload(&self) -> BoxFuture<'_, Result<Value, Failure>> {
        self.reloader.reload("portcullis reload").boxed()
    }

    fn recall<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Option<Value>> {
        async move {
            let record = self.running.find(id).await?;
            let mut line = Vec::new();
            log::json(&record, &mut line);
            serde_json::from_slice(&line).ok()
        }
        .boxed()
    }

    fn explain<'a>(&'a self, request: &'a ExplainRequest) -> BoxFuture<'a, Result<Value, Failure>> {
        std::future::ready(explain(&self.running.snapshot(), request)).boxed()
    }

    fn dns<'a>(&'a self, name: &'a str, service: bool) -> BoxFuture<'a, Result<Value, Failure>> {
        async move {
            let names = self.running.snapshot().names.clone();
            let kind = if service { dns::Kind::Service } else { dns::Kind::Address };
            let plain = name.trim_end_matches('.').to_ascii_lowercase();
            // What backends are using, stale or not, says more than asking again.
            if let Some(answer) = names.followed(&plain, kind) {
                return Ok(answer.to_json(Instant::now()));
            }
            Ok(look_up(&names, name, service).await)
        }
        .boxed()
    }

    fn certs<'a>(&'a self, request: &'a CertsRequest) -> BoxFuture<'a, Result<Value, Failure>> {
        acme::handle(&self.running.ground.acme, request).boxed()
    }

    fn record<'a>(&'a self, request: &'a RecordRequest) -> BoxFuture<'a, Result<Value, Failure>> {
        /// An answer on this socket must come within two minutes, and fit into what the other side reads, as JSON.
        const SECONDS_MAX: u64 = 100;
        const BYTES_MAX: usize = 8 << 20;
        async move {
            let RecordRequest { route, count, seconds, body_bytes } = request;
            if *seconds > SECONDS_MAX || *seconds == 0 {
                return Err(Failure::from(format!("1 to {SECONDS_MAX} seconds can be recorded at a time, not {seconds}")));
            }
            if *count == 0 || count.saturating_mul(body_bytes.saturating_mul(2)) > BYTES_MAX || *count > 1000 {
                let most = BYTES_MAX >> 20;
                return Err(Failure::from(format!(
                    "1 to 1000 exchanges can be recorded at a time, with bodies of {most} MiB in all: {count} with two of {body_bytes} bytes \
                     are too many"
                )));
            }
            if let Some(route) = route.as_deref().filter(|route| !self.running.snapshot().by_route.contains_key(*route)) {
                return Err(Failure::from(format!("there is no route `{route}`")));
            }
            let recorder = &self.running.shared().recorder;
            let Some(mut recording) = recorder.begin(route.clone(), *count, *body_bytes) else {
                return Err(Failure::from("somebody else is recording; one can at a time".to_owned()));
            };
            let mut taken = Vec::new();
            let until = tokio::time::Instant::now() + Duration::from_secs(*seconds);
            while taken.len() < *count {
                match tokio::time::timeout_at(until, recording.finished.recv()).await {
                    Ok(Some(exchange)) => taken.push(exchange),
                    Ok(None) | Err(_) => break,
                }
            }
            Ok(Value::Array(taken))
        }
        .boxed()
    }
}

/// A name as these names see it.
pub async fn look_up(names: &dns::Names, name: &str, service: bool) -> Value {
    let kind = if service { dns::Kind::Service } else { dns::Kind::Address };
    // A trailing dot stays: it keeps search domains away.
    let name = name.to_ascii_lowercase();
    let answer = names.look_up(&dns::Question { name, kind, allow_local: false }).await;
    answer.to_json(Instant::now())
}
