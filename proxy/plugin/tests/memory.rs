//! Guests that fail leave nothing behind in the process: not in memory, and not among the instances.
//!
//! A hundred thousand exchanges by themselves; a million with
//! `PORTCULLIS_EXCHANGES=1000000 cargo test --release --workspace --test memory -- --nocapture`.

use std::{rc::Rc, sync::Arc, time::Duration};

use portcullis_plugin::{Isolation, Local, Plugin};

use portcullis_tests::plugin_host::{built_with, exchange, facts, head, local, on_a_worker};

/// What may be added after the first tenth, in KiB: pages that an allocator keeps. An exchange that leaves 100 bytes would add 9 MiB.
const BOUND: u64 = 8 * 1024;

/// Ways to fail; the rarer ones take milliseconds each.
const OFTEN: [&str; 5] = [
    r#""phase": "request_head", "do": "trap""#,
    r#""phase": "drop", "do": "trap""#,
    r#""phase": "request_head", "do": "allocate", "bytes": 40000000"#,
    r#""phase": "request_head", "do": "edit", "set": [["connection", "x"]], "many": 100"#,
    r#""phase": "request_head", "do": "nothing""#,
];
const RARELY: [&str; 3] = [
    r#""phase": "request_head", "do": "spin""#,
    r#""phase": "request_head", "do": "recurse""#,
    r#""phase": "request_head", "do": "requests", "backend": "silent", "count": 1, "timeout_ms": 1"#,
];

fn plugins() -> Vec<Arc<Plugin>> {
    let mut plugins = Vec::new();
    for (i, attack) in OFTEN.iter().chain(&RARELY).enumerate() {
        let config = format!(r#"{{"only": "/attack", {attack}}}"#);
        let plugin = built_with("hostile", &config, |definition| {
            definition.isolation = if i % 2 == 0 { Isolation::Exchange } else { Isolation::Worker };
            definition.limits.time = Duration::from_millis(3);
            definition.limits.wait = Duration::from_millis(500);
            definition.limits.instances = 4;
            definition.limits.memory = 8 << 20;
        });
        plugins.push(plugin.expect("it builds"));
    }
    plugins
}

/// One that is attacked, one that is left in the middle now and then, and one that goes well, so that nothing is suspended for long.
async fn round(local: &Rc<Local>, leave: bool) -> u64 {
    if leave {
        let mut run = local.begin(facts);
        let mut call = std::pin::pin!(head(&mut run, "/attack"));
        // A guest that spins gives way once, and is dropped there.
        let _ = once(call.as_mut()).await;
    } else {
        let _ = exchange(local, "/attack").await;
    }
    let _ = exchange(local, "/").await;
    2
}

/// Polls once.
async fn once<F: Future>(mut call: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match call.as_mut().poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc(5)");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("proc(5) has this line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_hundred_thousand_exchanges_that_fail_leave_nothing_behind() {
    let all: u64 = match std::env::var("PORTCULLIS_EXCHANGES") {
        Ok(number) => number.parse().expect("PORTCULLIS_EXCHANGES is a number"),
        Err(_) => 100_000,
    };
    let plugins = plugins();
    on_a_worker(async {
        let locals: Vec<_> = plugins.iter().map(local).collect();
        let (often, rarely) = locals.split_at(OFTEN.len());
        let (mut done, mut before, mut round_number) = (0, None, 0usize);
        while done < all {
            for local in often {
                done += round(local, round_number % 50 == 7).await;
            }
            if round_number % 100 == 0 {
                for local in rarely {
                    done += round(local, round_number % 300 == 0).await;
                }
            }
            round_number += 1;
            // Background tasks of requests that were left get their turn.
            tokio::task::yield_now().await;
            if done >= all / 10 && before.is_none() {
                before = Some(resident());
            }
        }
        let (before, after) = (before.expect("a tenth has been done"), resident());
        println!("{done} exchanges: {before} KiB after a tenth, {after} KiB at the end");
        assert!(after <= before + BOUND, "{done} exchanges: {before} KiB after a tenth, {after} KiB at the end");
        for plugin in &plugins {
            let health = plugin.health();
            assert!(health.instances <= 1, "{}: {health:?}", plugin.definition().config);
        }
        let failed: u64 = plugins.iter().flat_map(|plugin| plugin.health().failures).map(|(_, count)| count).sum();
        assert!(failed > all / 10, "{failed} of {done} failed");
    });
}
