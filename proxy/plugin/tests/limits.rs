//! Quotas, places and suspensions: what plugins share, and how it is kept from being used up.

use std::{rc::Rc, time::Duration};

use portcullis_plugin::{Definition, FailureKind, Isolation, Local, Value};

use portcullis_tests::plugin_host::{HOST, built, built_with, exchange, facts, fails, head, local, on_a_worker};

/// What is done a thousand times takes its time, and more of it on a busy machine.
fn patient(definition: &mut Definition) {
    definition.limits.time = Duration::from_secs(10);
    definition.limits.wait = Duration::from_secs(30);
}

#[test]
fn shared_values_stay_within_their_quota() {
    let config = r#"{"phase": "request_head", "do": "keys", "count": 5000, "bytes": 1000}"#;
    let plugin = built_with("hostile", config, |definition| {
        definition.limits.key_value = 100_000;
        patient(definition);
    });
    let plugin = plugin.expect("it builds");
    on_a_worker(async {
        let local = local(&plugin);
        for _ in 0..3 {
            exchange(&local, "/").await.expect("a refusal is an answer and no failure");
        }
    });
    let used = HOST.key_value(&plugin.definition().name).used();
    assert!((90_000..=100_000).contains(&used), "{used} bytes of 100000");
}

#[test]
fn figures_and_lines_without_end_are_dropped_and_counted() {
    let figure = |plugin: &str, name: &str| {
        let figures = HOST.figures();
        let found = figures.iter().find(|figure| &*figure.plugin == plugin && figure.name == name);
        match found.map(|figure| &figure.value) {
            Some(Value::Counter(count)) => *count,
            None => 0,
            Some(other) => panic!("{plugin} {name}: {other:?}"),
        }
    };
    for (attack, dropped, least) in [
        (r#""do": "names", "count": 20000"#, "dropped_figures", 20_000 - 256),
        (r#""do": "lines", "count": 20000, "bytes": 100"#, "dropped_log_lines", 20_000 - 600),
        (r#""do": "lines", "count": 100, "bytes": 4000000"#, "dropped_log_lines", 0),
    ] {
        let config = format!(r#"{{"phase": "request_head", {attack}}}"#);
        let plugin = built_with("hostile", &config, patient);
        let plugin = plugin.expect("it builds");
        on_a_worker(async { exchange(&local(&plugin), "/").await.map(drop).expect("it is no failure") });
        let name = plugin.definition().name.clone();
        assert!(figure(&name, dropped) >= least, "{attack}: {}", figure(&name, dropped));
        assert!(HOST.figures().iter().filter(|figure| figure.plugin == name).count() <= 256 + 2);
    }
}

#[test]
fn a_place_among_the_instances_is_waited_for_but_not_for_long() {
    let config = r#"{"phase": "request_head", "only": "/attack", "do": "requests", "backend": "silent", "count": 1, "timeout_ms": 100000}"#;
    let plugin = built_with("hostile", config, |definition| {
        definition.limits.instances = 2;
        definition.limits.wait = Duration::from_millis(400);
    });
    let plugin = plugin.expect("it builds");
    on_a_worker(async {
        let local = local(&plugin);
        let held: Vec<_> = (0..2).map(|_| spawned(&local, "/attack")).collect();
        tokio::task::yield_now().await;
        assert_eq!(plugin.health().instances, 2);
        tokio::time::sleep(Duration::from_millis(100)).await;
        // The places are free again in 300 ms, which is in time.
        exchange(&local, "/").await.expect("a place was waited for");
        for held in held {
            assert_eq!(held.await.expect("it ends").expect_err("it waits").kind, FailureKind::Wait);
        }
        // Runs keep their instances between calls: nobody gives these back in time.
        let mut runs = vec![local.begin(facts), local.begin(facts)];
        for run in &mut runs {
            head(run, "/").await.expect("a free place");
        }
        fails(&local, "/", FailureKind::Instances, "all 2 instances (limits.instances) were in use").await;
        assert!(plugin.health().suspended.is_none());
        drop(runs);
        exchange(&local, "/").await.expect("free again");
    });
}

fn spawned(local: &Rc<Local>, target: &'static str) -> tokio::task::JoinHandle<Result<(), portcullis_plugin::Failure>> {
    let local = local.clone();
    tokio::task::spawn_local(async move { exchange(&local, target).await.map(drop) })
}

#[test]
fn a_plugin_that_keeps_failing_is_suspended_and_tried_again() {
    let plugin = built("hostile", r#"{"phase": "request_head", "only": "/attack", "do": "trap"}"#);
    on_a_worker(async {
        let local = local(&plugin);
        for _ in 0..10 {
            fails(&local, "/attack", FailureKind::Trap, "trapped").await;
        }
        fails(&local, "/", FailureKind::Suspended, "too often").await;
        let first = plugin.health().suspended.expect("suspended");
        assert!(first <= Duration::from_millis(500));

        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(plugin.health().suspended, Some(Duration::ZERO), "the next exchange tries it");
        fails(&local, "/attack", FailureKind::Trap, "trapped").await;
        let second = plugin.health().suspended.expect("suspended again");
        assert!(second > Duration::from_millis(500), "{second:?}: twice as long");
        fails(&local, "/", FailureKind::Suspended, "too often").await;

        tokio::time::sleep(Duration::from_millis(1100)).await;
        exchange(&local, "/").await.expect("it does well again");
        assert!(plugin.health().suspended.is_none());
        exchange(&local, "/").await.expect("it goes on doing well");
        assert_eq!(plugin.health().failures, [("trap", 11), ("suspended", 2)]);
        assert!(plugin.health().last.is_some_and(|last| last.contains("trapped")));
    });
}

#[test]
fn nothing_crosses_from_one_exchange_to_another_when_isolated() {
    for (isolation, expected) in [(Isolation::Exchange, "1"), (Isolation::Worker, "3")] {
        let plugin = built_with("good", r#"{"do": "uses"}"#, |definition| definition.isolation = isolation);
        let plugin = plugin.expect("it builds");
        on_a_worker(async {
            let local = local(&plugin);
            let mut last = None;
            for _ in 0..3 {
                last = exchange(&local, "/").await.expect("it behaves").pop();
            }
            let said = format!("{last:?}");
            assert!(said.contains(&format!("\"x-uses\", \"{expected}\"")), "{isolation:?}: {said}");
        });
    }
}
