//! How long exchanges wait for guests of others on the same worker, and what becomes of guests that are left in the middle.
//!
//! Times are of the worker's thread, as the processor counts them: what other programs do on the machine does not matter then.

use std::{
    future::poll_fn,
    pin::pin,
    time::{Duration, Instant},
};

use portcullis_plugin::{FailureKind, Verdict};

use portcullis_tests::plugin_host::{built, built_with, exchange, facts, head, local, on_a_worker, summary};

/// What the product promises is 5 ms. The tick that ends a turn comes from a thread of its own, which a busy machine wakes late;
/// so the hard bound is wider, and nine of ten turns must keep the promise.
const PROMISE: Duration = Duration::from_millis(5);
const BOUND: Duration = Duration::from_millis(100);

/// Processor time of the calling thread.
fn thread_clock() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Runs `work`, and adds how long it kept the thread each time it was its turn.
async fn turns<T>(work: impl Future<Output = T>, turns: &mut Vec<Duration>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let begun = thread_clock();
        let polled = work.as_mut().poll(cx);
        turns.push(thread_clock().saturating_sub(begun));
        polled
    })
    .await
}

/// Guests that are attacked keep the thread for a short time, from their making to their removal.
fn short(attack: &str, memory: u64) {
    let config = format!(r#"{{"phase": "request_head", {attack}}}"#);
    let plugin = built_with("hostile", &config, |definition| {
        definition.limits.memory = memory;
        definition.limits.time = Duration::from_millis(200);
        definition.limits.wait = Duration::from_secs(20);
    });
    let plugin = plugin.expect("it builds");
    let mut taken = Vec::new();
    on_a_worker(async {
        let local = local(&plugin);
        for _ in 0..8 {
            turns(exchange(&local, "/"), &mut taken).await.expect_err("it is attacked");
        }
    });
    taken.sort();
    let at = |share: usize| taken[(taken.len() - 1) * share / 100];
    println!("{attack}: {} turns, half {:?}, 90 % {:?}, longest {:?}", taken.len(), at(50), at(90), at(100));
    assert!(at(90) < PROMISE, "{attack}: nine of ten turns took {:?}", at(90));
    assert!(at(100) < BOUND, "{attack}: one turn took {:?}", at(100));
}

#[test]
fn guests_that_spin_give_way() {
    short(r#""do": "spin""#, 16 << 20);
    short(r#""do": "recurse""#, 16 << 20);
}

#[test]
fn guests_that_call_the_host_without_end_give_way() {
    short(r#""do": "spin-clock""#, 16 << 20);
    short(r#""do": "keys", "count": 100000000, "bytes": 1000"#, 16 << 20);
    short(r#""do": "add", "count": 100000000"#, 16 << 20);
    short(r#""do": "lines", "count": 100000000, "bytes": 1000000"#, 16 << 20);
    short(r#""do": "names", "count": 100000000"#, 16 << 20);
}

/// Single instructions that work on all the memory there is, and the removal of that much.
#[test]
fn guests_that_fill_and_copy_memory_give_way() {
    short(r#""do": "fill", "bytes": 60000000"#, 64 << 20);
    short(r#""do": "copy", "bytes": 60000000"#, 64 << 20);
    short(r#""do": "fill", "bytes": 250000000"#, 256 << 20);
    short(r#""do": "copy", "bytes": 250000000"#, 256 << 20);
}

/// Eight that spin share the turns of one: another exchange waits for few of them, and not for each.
#[test]
fn those_that_spin_queue_among_themselves() {
    let plugin = built_with("hostile", r#"{"phase": "request_head", "do": "spin"}"#, |definition| {
        definition.limits.time = Duration::from_millis(300);
        definition.limits.wait = Duration::from_secs(60);
    });
    let (spinning, other) = (plugin.expect("it builds"), built("good", r#"{"do": "reader-writer"}"#));
    on_a_worker(async {
        let (spinning, other) = (local(&spinning), local(&other));
        let attacks: Vec<_> = (0..8)
            .map(|_| {
                let spinning = spinning.clone();
                tokio::task::spawn_local(async move { exchange(&spinning, "/").await.map(drop) })
            })
            .collect();
        // Their first turns.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        // A task among theirs that waits for a timer, as others wait for a socket: it goes on when the executor has looked at both.
        let measuring = tokio::task::spawn_local(async move {
            let mut took = Vec::new();
            while attacks.iter().all(|attack| !attack.is_finished()) {
                let begun = thread_clock();
                tokio::time::sleep(Duration::from_micros(1)).await;
                let verdicts = exchange(&other, "/").await.expect("it behaves");
                assert!(matches!(verdicts[..], [Verdict::Edit(_)]));
                took.push(thread_clock().saturating_sub(begun));
            }
            (took, attacks)
        });
        let (mut took, attacks) = measuring.await.expect("it ends");
        for attack in attacks {
            assert_eq!(attack.await.expect("it ends").expect_err("it spins").kind, FailureKind::Time);
        }
        took.sort();
        let at = |share: usize| took[(took.len() - 1) * share / 100];
        println!("beside eight: {}, half {:?}, 90 % {:?}, longest {:?}", took.len(), at(50), at(90), at(100));
        assert!(took.len() > 100, "{} exchanges in more than two seconds", took.len());
        assert!(at(50) < PROMISE, "half took {:?}", at(50));
    });
}

/// A client that goes away takes its exchange with it, wherever the guest is.
#[test]
fn guests_that_are_left_in_the_middle_are_not_used_again() {
    on_a_worker(async {
        for attack in [r#""do": "spin""#, r#""do": "requests", "backend": "silent", "count": 1, "timeout_ms": 100000"#]
        {
            let config = format!(r#"{{"phase": "request_head", "only": "/attack", {attack}}}"#);
            let plugin = built_with("hostile", &config, |definition| {
                definition.limits.time = Duration::from_secs(10);
                definition.limits.wait = Duration::from_secs(10);
                definition.limits.instances = 1;
            });
            let plugin = plugin.expect("it builds");
            let local = local(&plugin);
            for _ in 0..3 {
                let begun = Instant::now();
                let mut run = local.begin(facts);
                let left = tokio::time::timeout(Duration::from_millis(30), head(&mut run, "/attack")).await;
                assert!(left.is_err(), "{attack}: it was left");
                assert!(run.log(summary()).await.is_err(), "{attack}: there is nobody to tell");
                drop(run);
                assert!(exchange(&local, "/").await.is_ok(), "{attack}: its place is free at once");
                assert!(begun.elapsed() < Duration::from_secs(5), "{attack}: nobody waited for it");
            }
        }
    });
}

/// The backend answers nothing and takes its time about it: other exchanges of the same plugin go on.
#[test]
fn exchanges_pass_those_that_wait() {
    let attack = r#"{"phase": "request_head", "only": "/attack", "do": "requests", "backend": "silent", "count": 1, "timeout_ms": 100000}"#;
    let plugin = built_with("hostile", attack, |definition| definition.limits.wait = Duration::from_secs(3));
    let plugin = plugin.expect("it builds");
    on_a_worker(async {
        let local = local(&plugin);
        let waiting = {
            let local = local.clone();
            tokio::task::spawn_local(async move { exchange(&local, "/attack").await })
        };
        let mut passed = 0;
        while !waiting.is_finished() {
            exchange(&local, "/").await.expect("it is not attacked");
            passed += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let failure = waiting.await.expect("it ends").expect_err("it waited too long");
        assert_eq!(failure.kind, FailureKind::Wait);
        assert!(passed > 100, "{passed} passed in three seconds");
    });
}
