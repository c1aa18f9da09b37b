//! Guests that attack, in the way of real exchanges.
//!
//! - an attack ends as `on_failure` says, and nothing else notices: other exchanges, other routes, the process
//! - a plugin that keeps failing is suspended, which the status shows, and works again when it does well
//! - whatever guests do, a reload, a drain and the end of the process take no longer for it
//! - memory stays bounded
//!
//! The attacks one by one are the host's own tests (`proxy/plugin/tests`).

use std::time::{Duration, Instant};

use portcullis_tests::{
    client::http::{Answer, Connection, get, request_with_body},
    guests,
    origin::{Origin, stock},
    proxy::{Plan, Proxy},
    scenario::{alone, eventually, scenario},
};
use rustix::process::Signal;
use tokio::net::TcpListener;

/// One worker, so that whatever holds it up holds up everybody. `@do@` is what the guest does to exchanges below `/attack`.
const TEXT: &str = r#"
[server]
workers = 1
drain = "3s"

[[listener]]
name = "http"
address = "127.0.0.1:@http@"

[plugin.hostile]
module = "hostile.wasm"
on_failure = "@on_failure@"
limits = { memory = "16MiB", time = "@time@", wait = "1s", instances = 64, key_value = "1MiB" }
grants = { log = true, metrics = true, clock = true, random = true, key_value = true, http = ["silent"] }

[plugin.hostile.config]
only = "/attack"
@do@

[[route]]
name = "attacked"
path = "/shared"
backend = "app"
plugins = ["hostile"]

[[route]]
name = "attack"
path = "/attack"
backend = "app"
plugins = ["hostile"]

[[route]]
name = "other"
backend = "app"

[backend.app]
endpoints = ["http://@origin@"]

[backend.silent]
endpoints = ["http://@silent@"]
"#;

/// What is behind the proxy: an origin, and one that takes connections and says nothing.
struct Behind {
    origin: Origin,
    silent: TcpListener,
}

impl Behind {
    async fn start() -> Self {
        Self { origin: Origin::start().await, silent: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn plan(&self, attack: &str, on_failure: &str, time: &str) -> Plan {
        Plan::new(TEXT)
            .file("hostile.wasm", std::fs::read(guests::path("hostile")).unwrap())
            .set("origin", self.origin.address())
            .set("silent", self.silent.local_addr().unwrap())
            .set("do", attack)
            .set("on_failure", on_failure)
            .set("time", time)
    }

    async fn attacked(&self, attack: &str, on_failure: &str, time: &str) -> Proxy {
        self.plan(attack, on_failure, time).start().await
    }
}

async fn attack(proxy: &Proxy) -> Answer {
    let body = stock::full("a body");
    Connection::h1(proxy.address("http")).await.fetch(request_with_body("POST", "a.example", "/attack", body)).await
}

/// A plugin's part of the status.
async fn health(proxy: &Proxy) -> serde_json::Value {
    let status = proxy.status().await;
    let plugins = status["plugins"].as_array().unwrap_or_else(|| panic!("no plugins in {status}"));
    plugins.iter().find(|plugin| plugin["name"] == "hostile").unwrap_or_else(|| panic!("{status}")).clone()
}

const ATTACKS: [&str; 8] = [
    "phase = \"request_head\"\ndo = \"trap\"",
    "phase = \"request_body\"\ndo = \"spin\"",
    "phase = \"response_head\"\ndo = \"allocate\"\nbytes = 100000000",
    "phase = \"response_head\"\ndo = \"spin-clock\"",
    "phase = \"request_head\"\ndo = \"requests\"\nbackend = \"silent\"\ncount = 1000\ntimeout_ms = 600000",
    "phase = \"request_head\"\ndo = \"edit\"\nset = [[\"content-length\", \"5\"]]",
    "phase = \"response_head\"\ndo = \"edit\"\nset = [[\"x-a\", \"1\\r\\nset-cookie: a=b\"]]",
    "phase = \"response_head\"\ndo = \"respond\"\nstatus = 42",
];

#[test]
fn an_attack_ends_as_the_operator_says_and_nothing_else_notices() {
    scenario(async {
        let behind = Behind::start().await;
        for (on_failure, status) in [("refuse", 503), ("continue", 200)] {
            for what in ATTACKS {
                let proxy = behind.attacked(what, on_failure, "20ms").await;
                for _ in 0..3 {
                    let answer = attack(&proxy).await;
                    assert_eq!(answer.status, status, "{on_failure}, {what}: {}", answer.text());
                    assert!(!answer.headers.contains_key("set-cookie"), "{what}");
                    if status == 503 {
                        assert!(answer.header("proxy-status").contains("error="), "{what}: {:?}", answer.headers);
                    }
                    assert_eq!(get(proxy.address("http"), "a.example", "/shared").await.status, 200, "{what}");
                    assert_eq!(get(proxy.address("http"), "a.example", "/").await.status, 200, "{what}");
                }
                assert_eq!(proxy.counter("panics").await, 0, "{what}");
            }
        }
    });
}

/// What fails after the response's head has gone can only be cut off, or go on without the plugin.
#[test]
fn a_body_that_a_plugin_fails_in_is_cut_off_or_goes_on() {
    scenario(async {
        let behind = Behind::start().await;
        let what = "phase = \"response_body\"\ndo = \"trap\"";
        let proxy = behind.attacked(what, "continue", "20ms").await;
        let answer = attack(&proxy).await;
        assert_eq!((answer.status, answer.json()["method"].as_str()), (200, Some("POST")));
        let proxy = behind.attacked(what, "refuse", "20ms").await;
        let client = Connection::h1(proxy.address("http")).await;
        let body = stock::full("a body");
        let whole = client.try_fetch(request_with_body("POST", "a.example", "/attack", body)).await;
        assert!(whole.as_ref().map_or(true, |answer| answer.status == 503), "{:?}", whole.map(|answer| answer.status));
        assert_eq!(get(proxy.address("http"), "a.example", "/shared").await.status, 200);
    });
}

/// Eight guests that spin for a second each would stop a worker for eight. Nobody waits for one of them.
#[test]
fn guests_that_spin_hold_up_nobody() {
    scenario(async {
        let _alone = alone().await;
        let behind = Behind::start().await;
        let proxy = behind.attacked("phase = \"request_head\"\ndo = \"spin\"", "refuse", "1s").await;
        let address = proxy.address("http");
        let client = Connection::h1(address).await;
        client.get("a.example", "/").await;
        let spinning: Vec<_> =
            (0..8).map(|_| tokio::spawn(async move { get(address, "a.example", "/attack").await.status })).collect();
        let mut took = Vec::new();
        while spinning.iter().any(|spinning| !spinning.is_finished()) {
            let begun = Instant::now();
            assert_eq!(client.get("a.example", "/").await.status, 200);
            took.push(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for spinning in spinning {
            assert_eq!(spinning.await.unwrap(), 503);
        }
        took.sort();
        let at = |share: usize| took[(took.len() - 1) * share / 100];
        println!("{} beside: half in {:?}, 99 % in {:?}, all in {:?}", took.len(), at(50), at(99), at(100));
        assert!(took.len() > 50, "{} exchanges while eight guests spun", took.len());
        // The machine may be busy; a guest that is not interrupted would show as a second.
        assert!(at(50) < Duration::from_millis(50), "half took {:?}", at(50));
        assert!(at(100) < Duration::from_millis(900), "one took {:?}", at(100));
    });
}

#[test]
fn a_plugin_that_keeps_failing_is_suspended_and_comes_back() {
    scenario(async {
        let behind = Behind::start().await;
        let proxy = behind.attacked("phase = \"request_head\"\ndo = \"trap\"", "refuse", "20ms").await;
        assert_eq!(proxy.status().await["ready"], true);
        for _ in 0..10 {
            assert_eq!(attack(&proxy).await.status, 503);
        }
        let hostile = health(&proxy).await;
        assert_eq!(hostile["failures"]["trap"], 10, "{hostile}");
        assert!(!hostile["suspended_ms"].is_null(), "{hostile}");
        assert_eq!(proxy.status().await["ready"], false, "a plugin cannot run");
        assert_eq!(get(proxy.address("http"), "a.example", "/").await.status, 200, "routes without it do not mind");
        eventually("the plugin is tried and does well", async || {
            (get(proxy.address("http"), "a.example", "/shared").await.status == 200).then_some(())
        })
        .await;
        assert!(health(&proxy).await["suspended_ms"].is_null());
        assert_eq!(proxy.status().await["ready"], true);
    });
}

#[test]
fn a_suspended_plugin_that_may_be_missing_costs_nothing() {
    scenario(async {
        let behind = Behind::start().await;
        let proxy = behind.attacked("phase = \"request_head\"\ndo = \"spin\"", "continue", "50ms").await;
        for _ in 0..10 {
            assert_eq!(attack(&proxy).await.status, 200);
        }
        assert!(!health(&proxy).await["suspended_ms"].is_null());
        assert_eq!(proxy.status().await["ready"], true, "its absence is allowed");
        assert_eq!(attack(&proxy).await.status, 200, "it is not asked");
        assert!(health(&proxy).await["failures"]["suspended"].as_u64() >= Some(1));
    });
}

#[test]
fn a_reload_and_the_end_do_not_wait_for_guests_that_spin() {
    scenario(async {
        let behind = Behind::start().await;
        let mut proxy = behind.attacked("phase = \"request_head\"\ndo = \"spin\"", "refuse", "10s").await;
        let address = proxy.address("http");
        let spin = || tokio::spawn(async move { Connection::h1(address).await.try_fetch(
            portcullis_tests::client::http::request("GET", "a.example", "/attack"),
        ).await.map(|answer| answer.status).ok() });
        let before: Vec<_> = (0..4).map(|_| spin()).collect();
        eventually("the guests run", async || {
            (health(&proxy).await["instances"].as_u64() >= Some(4)).then_some(())
        })
        .await;

        // Another configuration of the same plugin: it is built beside those that spin, and takes over.
        proxy.set("do", "phase = \"request_head\"\ndo = \"nothing\"");
        proxy.apply(TEXT).await;
        assert_eq!(attack(&proxy).await.status, 200, "the new one is in force");

        proxy.set("do", "phase = \"configure\"\ndo = \"trap\"");
        let generation = proxy.generation().await;
        proxy.edit(TEXT);
        eventually("the mistake is said", async || proxy.stderr().contains("configuring it failed").then_some(())).await;
        assert_eq!(proxy.generation().await, generation, "a plugin that does not configure changes nothing");
        assert_eq!(attack(&proxy).await.status, 200);

        proxy.set("do", "phase = \"request_head\"\ndo = \"spin\"");
        proxy.apply(TEXT).await;
        let after: Vec<_> = (0..4).map(|_| spin()).collect();
        eventually("the guests run", async || (health(&proxy).await["instances"].as_u64() >= Some(4)).then_some(())).await;
        let begun = Instant::now();
        proxy.signal(Signal::TERM);
        assert!(proxy.ended().await.success());
        assert!(begun.elapsed() < Duration::from_secs(8), "the drain is 3 seconds: {:?}", begun.elapsed());
        for spinning in before.into_iter().chain(after) {
            let status = spinning.await.unwrap();
            assert!(status.is_none_or(|status| status == 503), "{status:?}");
        }
    });
}

/// Trap, run out of memory, be refused, be cut short: a few thousand of each through the whole proxy. The host's own test has the million.
#[test]
fn failures_leave_nothing_in_memory() {
    scenario(async {
        let _alone = alone().await;
        let behind = Behind::start().await;
        for what in [ATTACKS[0], "phase = \"request_head\"\ndo = \"allocate\"\nbytes = 100000000", ATTACKS[5]] {
            let proxy = behind.attacked(what, "continue", "50ms").await;
            let client = Connection::h1(proxy.address("http")).await;
            let round = async |exchanges: usize| {
                for i in 0..exchanges {
                    // One in two is attacked, so that it is never suspended.
                    let target = if i % 2 == 0 { "/attack" } else { "/shared" };
                    assert_eq!(client.get("a.example", target).await.status, 200, "{what}");
                }
            };
            round(500).await;
            let before = proxy.resident();
            round(3000).await;
            let after = proxy.resident();
            assert!(after < before + 8 * 1024, "{what}: {before} KiB before, {after} KiB after");
            let hostile = health(&proxy).await;
            let failed: u64 = hostile["failures"].as_object().unwrap().values().filter_map(|count| count.as_u64()).sum();
            assert!(failed >= 1700, "{hostile}");
        }
    });
}
