use std::time::{Duration, Instant};

use portcullis_tests::{
    client::http::{Connection, get},
    scenario::{alone, eventually, scenario},
};

use super::{Behind, HOST, LIMITS, at_times, health};

const TRAP: &str = "phase = 'request_head', do = 'trap'";
const SPIN: &str = "phase = 'request_head', do = 'spin'";

/// A guest that is not interrupted would keep the only worker until it has ended: others would have no more than one turn before the
/// first end.
#[test]
fn others_are_served_while_guests_spin() {
    scenario(async {
        let _alone = alone().await;
        let behind = Behind::start().await;
        let limits = "memory = '16MiB', time = '200ms', wait = '60s', instances = 16";
        let proxy = behind.proxy(&at_times("spin", "refuse", limits, SPIN)).await;
        let address = proxy.address("http");
        let client = Connection::h1(address).await;
        client.get(HOST, "/").await;
        let spinning: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn(async move {
                    let request = portcullis_tests::client::http::request("GET", HOST, "/spin/attack");
                    let answer = Connection::h1(address).await.send_patiently(request).await;
                    answer.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
                })
            })
            .collect();
        eventually("eight guests spin", async || {
            (health(&proxy, "spin").await["instances"].as_u64() >= Some(8)).then_some(())
        })
        .await;
        let mut took = Vec::new();
        // As long as all of them do.
        while spinning.iter().all(|spinning| !spinning.is_finished()) {
            let begun = Instant::now();
            let target = if took.len() % 2 == 0 { "/" } else { "/spin/peace" };
            assert_eq!(client.get(HOST, target).await.status, 200);
            took.push(begun.elapsed());
        }
        for spinning in spinning {
            assert_eq!(spinning.await.unwrap(), Ok(503));
        }
        // On a machine that is busy enough, a minute passes before one has had its time.
        let failures = &health(&proxy, "spin").await["failures"];
        assert_eq!(failures["time"].as_u64().unwrap_or(0) + failures["wait"].as_u64().unwrap_or(0), 8, "{failures}");
        took.sort();
        let at = |share: usize| took[took.len().saturating_sub(1) * share / 100];
        assert!(took.len() > 20, "{} exchanges beside eight guests that spun", took.len());
        println!("{} beside: half in {:?}, 99 % in {:?}, all in {:?}", took.len(), at(50), at(99), at(100));
        assert!(at(100) < Duration::from_secs(5), "one took {:?}", at(100));
    });
}

#[test]
fn a_plugin_that_keeps_failing_is_suspended_and_comes_back() {
    scenario(async {
        let behind = Behind::start().await;
        let proxy = behind.proxy(&at_times("bad", "refuse", LIMITS, TRAP)).await;
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(proxy.status().await["ready"], true);
        // Tried again and failing again, it is suspended for longer each time: soon it is for seconds.
        let status = eventually("it is suspended for long", async || {
            assert_eq!(client.get(HOST, "/bad/attack").await.status, 503);
            let status = proxy.status().await;
            (status["plugins"][0]["suspended_ms"].as_u64() > Some(1500)).then_some(status)
        })
        .await;
        assert_eq!(status["ready"], false, "{status}");
        assert!(status["not_ready_because"][0].as_str().unwrap().contains("plugin bad"), "{status}");
        let bad = &status["plugins"][0];
        // Ten in a row, and one for each time that it was tried again.
        let trapped = bad["failures"]["trap"].as_u64().unwrap();
        assert!((11..30).contains(&trapped) && bad["failures"]["suspended"].as_u64() > Some(0), "{bad}");
        assert_eq!(client.get(HOST, "/").await.status, 200, "routes without it do not mind");

        eventually("it is tried and does well", async || {
            (client.get(HOST, "/bad/peace").await.status == 200).then_some(())
        })
        .await;
        let status = proxy.status().await;
        assert!(status["plugins"][0]["suspended_ms"].is_null(), "{status}");
        assert_eq!((&status["ready"], status["not_ready_because"].as_array().unwrap().len()), (&true.into(), 0));
        assert_eq!(client.get(HOST, "/bad/peace").await.status, 200);
    });
}

#[test]
fn a_suspended_plugin_that_may_be_missing_is_not_asked() {
    scenario(async {
        let behind = Behind::start().await;
        let proxy = behind.proxy(&at_times("bad", "continue", LIMITS, SPIN)).await;
        eventually("exchanges do without it", async || {
            assert_eq!(get(proxy.address("http"), HOST, "/bad/attack").await.status, 200);
            (health(&proxy, "bad").await["failures"]["suspended"].as_u64() >= Some(3)).then_some(())
        })
        .await;
        let status = proxy.status().await;
        assert!(status["plugins"][0]["suspended_ms"].is_u64(), "{status}");
        assert_eq!(status["ready"], true, "its absence is allowed");
        assert!(status["plugins"][0]["failures"]["time"].as_u64() >= Some(10), "{status}");
    });
}
