//! Guests that attack, each through the host as a worker uses it: how each attack ends, and that others do not notice.

use std::time::Duration;

use portcullis_plugin::{FailureKind, Isolation, Verdict};

use portcullis_tests::plugin_host::{built, built_with, exchange, fails, local, on_a_worker};

const PHASES: [&str; 5] = ["request_head", "request_body", "response_head", "response_body", "log"];

/// The attack in each of the five phases and in the constructor ends as `kind`; an exchange of the same plugin that is not attacked passes,
/// and so does one of another plugin on the same worker.
fn in_each_phase(attack: &str, kind: FailureKind, says: &'static str) {
    for phase in PHASES {
        let attacked = built("hostile", &format!(r#"{{"phase": "{phase}", "only": "/attack", {attack}}}"#));
        let other = built("good", r#"{"do": "reader-writer"}"#);
        on_a_worker(async {
            let (attacked, other) = (local(&attacked), local(&other));
            for _ in 0..3 {
                fails(&attacked, "/attack", kind, says).await;
                fails(&attacked, "/attack", kind, phase).await;
                assert!(exchange(&attacked, "/").await.is_ok(), "{phase} {attack}: others of the same plugin pass");
                let verdicts = exchange(&other, "/").await.expect("another plugin works");
                assert!(matches!(verdicts[..], [Verdict::Edit(_)]));
            }
            let failures = attacked.plugin().health().failures;
            assert_eq!(failures, [(kind.name(), 6)], "{phase} {attack}");
        });
    }
    let attacked = built("hostile", &format!(r#"{{"phase": "constructor", {attack}}}"#));
    on_a_worker(async { fails(&local(&attacked), "/", kind, says).await });
}

#[test]
fn traps_end_in_every_phase() {
    in_each_phase(r#""do": "trap""#, FailureKind::Trap, "it gave up");
}

#[test]
fn guests_that_never_return_end_in_every_phase() {
    in_each_phase(r#""do": "spin""#, FailureKind::Time, "limits.time");
}

#[test]
fn guests_that_call_the_host_without_end_end_in_every_phase() {
    in_each_phase(r#""do": "spin-clock""#, FailureKind::Time, "limits.time");
}

#[test]
fn recursion_without_end_ends_in_every_phase() {
    in_each_phase(r#""do": "recurse""#, FailureKind::Trap, "recursed too deep");
}

#[test]
fn too_much_memory_ends_in_every_phase() {
    in_each_phase(r#""do": "allocate", "bytes": 20000000"#, FailureKind::Memory, "limits.memory");
}

#[test]
fn waiting_for_what_never_comes_ends_in_every_phase() {
    let attack = r#""do": "requests", "backend": "silent", "count": 1000, "timeout_ms": 4000000000"#;
    in_each_phase(attack, FailureKind::Wait, "limits.wait");
}

#[test]
fn fresh_instances_fail_alike() {
    for (attack, kind) in [("trap", FailureKind::Trap), ("spin", FailureKind::Time), ("recurse", FailureKind::Trap)] {
        let config = format!(r#"{{"phase": "request_head", "only": "/attack", "do": "{attack}"}}"#);
        let plugin = built_with("hostile", &config, |definition| definition.isolation = Isolation::Exchange);
        let plugin = plugin.expect("it builds");
        on_a_worker(async {
            let local = local(&plugin);
            for _ in 0..5 {
                fails(&local, "/attack", kind, "request_head").await;
                assert!(exchange(&local, "/").await.is_ok());
            }
        });
    }
}

/// The exchange that failed in its own end is over; the next one must not pay for it.
#[test]
fn an_exchange_that_ends_badly_costs_the_next_one_nothing() {
    for attack in ["trap", "spin", "recurse"] {
        let plugin = built("hostile", &format!(r#"{{"phase": "drop", "only": "/attack", "do": "{attack}"}}"#));
        on_a_worker(async {
            let local = local(&plugin);
            for _ in 0..3 {
                assert!(exchange(&local, "/attack").await.is_ok(), "the attack comes after it");
                let next = exchange(&local, "/").await;
                assert!(next.is_ok(), "drop, {attack}: {next:?}");
            }
            let failures: u64 = plugin.health().failures.iter().map(|(_, count)| count).sum();
            assert_eq!(failures, 3, "each is counted");
        });
    }
}

#[test]
fn answers_that_http_does_not_allow_are_refused() {
    let answers = [
        (
            "request_head",
            r#""do": "edit", "set": [["connection", "close"]]"#,
            "`connection`, which only the proxy sets",
        ),
        (
            "request_head",
            r#""do": "edit", "set": [["Content-Length", "5"]]"#,
            "`content-length`, which only the proxy sets",
        ),
        (
            "response_head",
            r#""do": "edit", "append": [["transfer-encoding", "chunked"]]"#,
            "`transfer-encoding`, which only",
        ),
        (
            "response_head",
            r#""do": "edit", "remove": ["content-length"]"#,
            "`content-length`, which only the proxy sets",
        ),
        ("request_head", r#""do": "edit", "append": [["host", "other"]]"#, "second `host`"),
        ("request_head", r#""do": "edit", "remove": ["host"]"#, "removed `host`"),
        ("request_head", r#""do": "edit", "set": [["x-a", "1\r\nx-b: 2"]]"#, "bytes that HTTP does not allow"),
        ("response_head", r#""do": "edit", "set": [["x-a", "\u0000"]]"#, "bytes that HTTP does not allow"),
        ("response_head", r#""do": "edit", "set": [["x a", "1"]]"#, "as the name of a field"),
        ("response_head", r#""do": "edit", "set": [["", "1"]]"#, "as the name of a field"),
        ("request_head", r#""do": "edit", "target": "no-slash""#, "which is no path"),
        ("request_head", r#""do": "edit", "target": "/a b""#, "which is no path"),
        ("request_head", r#""do": "edit", "target": "/a\r\nx: y""#, "which is no path"),
        ("request_head", r#""do": "edit", "status": 404"#, "the status in request_head"),
        ("response_head", r#""do": "edit", "status": 42"#, "status 42"),
        ("response_head", r#""do": "edit", "status": 101"#, "status 101"),
        ("response_head", r#""do": "edit", "status": 65535"#, "status 65535"),
        ("response_head", r#""do": "edit", "target": "/""#, "the target in response_head"),
        ("request_head", r#""do": "edit", "data": 1"#, "body bytes in request_head"),
        ("request_body", r#""do": "edit", "set": [["x-a", "1"]]"#, "after the head had gone"),
        ("response_body", r#""do": "edit", "status": 404"#, "after the head had gone"),
        ("request_head", r#""do": "edit", "trailers": []"#, "before the end of the body"),
        ("response_body", r#""do": "edit", "trailers": [["content-length", "1"]]"#, "which only the proxy sets"),
        ("request_head", r#""do": "edit", "remove": ["x"], "many": 1025"#, "1025 edits at once"),
        ("request_head", r#""do": "respond", "status": 42"#, "status 42"),
        ("request_body", r#""do": "respond", "status": 200, "body": 1048577"#, "at most 1048576"),
        (
            "response_head",
            r#""do": "respond", "status": 200, "fields": [["upgrade", "h2c"]]"#,
            "which only the proxy sets",
        ),
    ];
    on_a_worker(async {
        for (phase, answer, says) in answers {
            let plugin = built("hostile", &format!(r#"{{"phase": "{phase}", "only": "/attack", {answer}}}"#));
            let local = local(&plugin);
            fails(&local, "/attack", FailureKind::Invalid, says).await;
            assert!(exchange(&local, "/").await.is_ok(), "{answer}: others pass");
        }
    });
}

/// What one answer may hand over is bounded before the host copies it: the guest's call ends as a trap.
#[test]
fn answers_without_end_end() {
    let answers = [
        ("request_head", r#""do": "edit", "remove": ["x"], "many": 300000"#),
        ("request_head", r#""do": "respond", "status": 200, "body": 9000000"#),
        ("response_body", r#""do": "edit", "data": 9000000"#),
    ];
    on_a_worker(async {
        for (phase, answer) in answers {
            let config = format!(r#"{{"phase": "{phase}", "only": "/attack", {answer}}}"#);
            let plugin = built_with("hostile", &config, |definition| {
                definition.limits.memory = 64 << 20;
                definition.limits.time = Duration::from_secs(10);
                definition.limits.wait = Duration::from_secs(30);
            });
            let local = local(&plugin.expect("it builds"));
            fails(&local, "/attack", FailureKind::Trap, "trapped").await;
            assert!(exchange(&local, "/").await.is_ok(), "{answer}: others pass");
        }
    });
}

#[test]
fn random_bytes_are_given_by_the_mouthful() {
    on_a_worker(async {
        let plugin = built("hostile", r#"{"phase": "request_head", "do": "random", "bytes": 4294967295}"#);
        fails(&local(&plugin), "/", FailureKind::Trap, "at most 65536").await;
    });
}

#[test]
fn leaks_end_with_the_instance_and_not_with_the_proxy() {
    // 64 KiB each time of 16 MiB: 200 exchanges of one instance would be too many. It is replaced before it fails.
    let plugin = built("hostile", r#"{"phase": "request_head", "do": "leak", "bytes": 65536}"#);
    on_a_worker(async {
        let local = local(&plugin);
        for i in 0..2000 {
            if let Err(failure) = exchange(&local, "/").await {
                panic!("exchange {i}: {failure}");
            }
        }
        assert!(plugin.health().failures.is_empty());
    });
}

#[test]
fn all_memory_that_there_is_may_be_taken_and_comes_back() {
    let config = r#"{"phase": "request_head", "do": "grow"}"#;
    let plugin = built_with("hostile", config, |definition| {
        definition.limits.time = Duration::from_secs(10);
        definition.limits.wait = Duration::from_secs(30);
    });
    let plugin = plugin.expect("it builds");
    on_a_worker(async {
        let local = local(&plugin);
        for _ in 0..20 {
            assert!(exchange(&local, "/").await.is_ok(), "a guest that takes no for an answer goes on");
        }
        // They are dropped on a thread of their own, in its time.
        let gone = async {
            while plugin.health().instances > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let soon = tokio::time::timeout(Duration::from_secs(20), gone).await;
        assert!(soon.is_ok(), "instances that are nearly full are not used again");
    });
}
