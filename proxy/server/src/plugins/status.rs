//! How the plugins do, for `status`.

use std::{collections::BTreeMap, sync::Arc};

use portcullis_plugin::{BodyMode, Declaration, Figure, Isolation, OnFailure, Plugin, Value as FigureValue};
use serde_json::{Map, Value, json};

use crate::snapshot::Snapshot;

/// Every plugin of `snapshot`: one entry for each table that it is configured with.
pub fn describe(snapshot: &Snapshot) -> Vec<Value> {
    let describe = |(position, plugin): (usize, &Arc<Plugin>)| {
        let routes: Vec<_> =
            snapshot.routes.iter().filter(|route| route.chain.contains(&position)).map(|route| &*route.name).collect();
        let definition = plugin.definition();
        let health = plugin.health();
        let failures: Map<String, Value> =
            health.failures.iter().map(|(kind, count)| ((*kind).to_owned(), json!(count))).collect();
        json!({
            "name": definition.name,
            "routes": routes,
            "phases": phases(plugin.declaration()),
            "imports": plugin.inspection().imports,
            "isolation": match definition.isolation {
                Isolation::Exchange => "exchange",
                Isolation::Worker => "worker",
            },
            "on_failure": match definition.on_failure {
                OnFailure::Refuse => "refuse",
                OnFailure::Continue => "continue",
            },
            "exchanges": health.exchanges,
            "cost": snapshot.spent[position].to_json(),
            "failures": failures,
            "last_failure": health.last,
            "suspended_ms": health.suspended.map(|left| left.as_millis() as u64),
            "instances": health.instances,
            "instances_limit": definition.limits.instances,
        })
    };
    snapshot.plugins.iter().enumerate().map(describe).collect()
}

/// What plugins in use may not be done without and are not asked now: for whoever asks whether the process is ready.
pub fn suspended(snapshot: &Snapshot) -> Vec<String> {
    let in_use = snapshot.plugins.iter();
    let suspended = in_use.filter(|plugin| plugin.definition().on_failure == OnFailure::Refuse).filter_map(|plugin| {
        let health = plugin.health();
        let left = health.suspended?;
        let why = health.last.unwrap_or_default();
        Some(format!("plugin {} failed too often and is not asked for {left:?}: {why}", plugin.definition().name))
    });
    suspended.collect()
}

/// What plugins count, by `plugin_NAME_FIGURE`.
pub fn figures(figures: Vec<Figure>) -> Map<String, Value> {
    let mut all = BTreeMap::new();
    for Figure { plugin, name, value } in figures {
        let value = match value {
            FigureValue::Counter(count) => json!(count),
            FigureValue::Gauge(value) => json!(value),
            FigureValue::Histogram { count, sum, buckets } => {
                json!({ "count": count, "sum": sum, "buckets": buckets })
            }
        };
        all.insert(format!("plugin_{}_{name}", plugin.replace('-', "_")), value);
    }
    all.into_iter().collect()
}

/// What a plugin wants to see, in words.
pub fn phases(wants: &Declaration) -> Vec<String> {
    let body = |name: &str, mode: BodyMode| match mode {
        BodyMode::None => None,
        BodyMode::Stream => Some(format!("{name} (stream)")),
        BodyMode::Hold { limit, .. } => {
            Some(format!("{name} (hold up to {})", portcullis_config::units::Size(limit as u64)))
        }
    };
    [
        wants.request_head.then(|| "request_head".to_owned()),
        body("request_body", wants.request_body),
        wants.response_head.then(|| "response_head".to_owned()),
        body("response_body", wants.response_body),
        wants.log.then(|| "log".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect()
}
