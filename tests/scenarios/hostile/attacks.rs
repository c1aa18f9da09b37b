use std::time::Duration;

use portcullis_tests::{
    client::http::get,
    proxy::Proxy,
    scenario::{eventually, scenario, scenario_within},
};

use super::{Behind, HOST, LIMITS, at_times, health, plugin, post, try_post};

/// Each with the status that a client gets when the plugin may not be missing. What fails after the response is nobody's any more.
const PHASES: [(&str, u16); 6] = [
    ("constructor", 503),
    ("request-head", 503),
    ("request-body", 503),
    ("response-head", 503),
    ("log", 200),
    ("drop", 200),
];

/// Each with the kind of failure that it is counted as.
const ATTACKS: [(&str, &str, &str); 9] = [
    ("recursion", "trap", "phase = 'request_head', do = 'recurse'"),
    ("memory", "memory", "phase = 'response_head', do = 'allocate', bytes = 100000000"),
    ("clock", "time", "phase = 'response_head', do = 'spin-clock'"),
    (
        "waiting",
        "wait",
        "phase = 'request_head', do = 'requests', backend = 'silent', count = 1000, timeout_ms = 600000",
    ),
    ("framing", "invalid", "phase = 'request_head', do = 'edit', set = [['content-length', '5']]"),
    ("splitting", "invalid", r#"phase = 'response_head', do = 'edit', set = [['x-a', "1\r\nset-cookie: a=b"]]"#),
    ("status", "invalid", "phase = 'response_head', do = 'respond', status = 42"),
    ("target", "invalid", "phase = 'request_head', do = 'edit', target = 'elsewhere'"),
    ("flood", "invalid", "phase = 'request_head', do = 'edit', append = [['x-a', 'b']], many = 2000"),
];

/// Plugins of one proxy: each is compiled, which takes seconds on a busy machine.
const AT_ONCE: usize = 3;
const LONG: Duration = Duration::from_secs(240);

/// Attacks of `name` end with `status`; everything else goes on.
async fn ends(proxy: &Proxy, name: &str, status: u16, kind: &str) {
    for _ in 0..3 {
        let answer = post(proxy, &format!("/{name}/attack")).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert!(!answer.headers.contains_key("set-cookie"), "{name}");
        match status {
            200 => assert_eq!(answer.json()["method"], "POST", "{name}: it reached the origin"),
            _ => assert!(answer.header("proxy-status").contains("error="), "{name}: {:?}", answer.headers),
        }
        assert_eq!(get(proxy.address("http"), HOST, "/").await.status, 200, "beside {name}");
        if name != "constructor" {
            let peace = post(proxy, &format!("/{name}/peace")).await;
            assert_eq!(peace.status, 200, "through {name}: {}", peace.text());
        }
    }
    eventually(&format!("the failures of {name} are counted as {kind}"), async || {
        (health(proxy, name).await["failures"][kind].as_u64() >= Some(3)).then_some(())
    })
    .await;
}

fn in_each_phase(what: &str, kind: &str, on_failure: &str) {
    scenario_within(LONG, async {
        let behind = Behind::start().await;
        let table = |(phase, _): &(&str, u16)| {
            let attack = format!("phase = '{}', do = '{what}'", phase.replace('-', "_"));
            match *phase {
                // Which exchange it is for is not known yet.
                "constructor" => plugin(phase, on_failure, LIMITS, &attack),
                _ => at_times(phase, on_failure, LIMITS, &attack),
            }
        };
        for phases in PHASES.chunks(AT_ONCE) {
            let mut proxy = behind.proxy(&phases.iter().map(table).collect::<String>()).await;
            for (phase, status) in phases {
                ends(&proxy, phase, if on_failure == "refuse" { *status } else { 200 }, kind).await;
            }
            assert_eq!(proxy.counter("panics").await, 0);
            assert!(proxy.is_running());
        }
    });
}

#[test]
fn a_trap_in_any_phase_is_refused() {
    in_each_phase("trap", "trap", "refuse");
}

#[test]
fn a_trap_in_any_phase_passes_where_the_plugin_may_be_missing() {
    in_each_phase("trap", "trap", "continue");
}

#[test]
fn a_loop_without_end_in_any_phase_is_refused() {
    in_each_phase("spin", "time", "refuse");
}

#[test]
fn a_loop_without_end_in_any_phase_passes_where_the_plugin_may_be_missing() {
    in_each_phase("spin", "time", "continue");
}

fn each_attack(on_failure: &str, status: u16) {
    scenario_within(LONG, async {
        let behind = Behind::start().await;
        let table = |(name, _, attack): &(&str, &str, &str)| at_times(name, on_failure, LIMITS, attack);
        for attacks in ATTACKS.chunks(AT_ONCE) {
            let mut proxy = behind.proxy(&attacks.iter().map(table).collect::<String>()).await;
            for (name, kind, _) in attacks {
                ends(&proxy, name, status, kind).await;
            }
            assert_eq!(proxy.counter("panics").await, 0);
            assert!(proxy.is_running());
        }
    });
}

#[test]
fn other_attacks_are_refused() {
    each_attack("refuse", 503);
}

#[test]
fn other_attacks_pass_where_the_plugin_may_be_missing() {
    each_attack("continue", 200);
}

/// Its head may have gone, so that there is nothing left but to cut it off.
#[test]
fn a_response_whose_body_a_plugin_fails_in_is_never_taken_for_whole() {
    scenario(async {
        let behind = Behind::start().await;
        let attack = "phase = 'response_body', do = 'trap'";
        let plugins = at_times("strict", "refuse", LIMITS, attack) + &at_times("loose", "continue", LIMITS, attack);
        let proxy = behind.proxy(&plugins).await;
        for _ in 0..3 {
            let cut = try_post(&proxy, "/strict/attack").await;
            assert!(cut.as_ref().map_or(true, |answer| answer.status == 503), "{:?}", cut.map(|answer| answer.text()));
            assert_eq!(post(&proxy, "/strict/peace").await.json()["method"], "POST");
            let whole = post(&proxy, "/loose/attack").await;
            assert_eq!((whole.status, whole.json()["method"].as_str()), (200, Some("POST")));
        }
        assert_eq!(health(&proxy, "strict").await["failures"]["trap"], 3);
        assert_eq!(health(&proxy, "loose").await["failures"]["trap"], 3);
    });
}
