use std::time::Duration;

use portcullis_tests::{
    client::http::{Connection, request},
    scenario::{alone, eventually, scenario, scenario_within},
};
use rustix::process::Signal;

use super::{Behind, HOST, LIMITS, at_times, health, plugin, post, text};

/// By themselves the guests here would end after 80 seconds.
#[test]
fn a_reload_and_the_end_do_not_wait_for_guests_that_spin() {
    scenario(async {
        let behind = Behind::start().await;
        let limits = "memory = '16MiB', time = '10s', wait = '60s', instances = 16";
        let changed = |attack: &str| at_times("spin", "refuse", limits, attack);
        let spins = changed("phase = 'request_head', do = 'spin'");
        let mut proxy = behind.proxy(&spins).await;
        let address = proxy.address("http");
        let spin = || {
            tokio::spawn(async move {
                let answer = Connection::h1(address).await.send_patiently(request("GET", HOST, "/spin/attack")).await;
                answer.map(|answer| answer.status().as_u16()).ok()
            })
        };
        let four_spin = async || {
            let four: Vec<_> = (0..4).map(|_| spin()).collect();
            eventually("the guests run", async || {
                (health(&proxy, "spin").await["instances"].as_u64() >= Some(4)).then_some(())
            })
            .await;
            four
        };

        let before = four_spin().await;
        // It is built beside those that spin, and takes over.
        proxy.apply(&text(&changed("phase = 'request_head', do = 'nothing'"))).await;
        assert_eq!(post(&proxy, "/spin/attack").await.status, 200, "the new one is in force");

        let generation = proxy.generation().await;
        proxy.edit(&text(&plugin("spin", "refuse", limits, "phase = 'configure', do = 'trap'")));
        eventually("the mistake is said", async || {
            let status = proxy.status().await;
            status["reload"]["error"].as_str()?.contains("configuring it failed").then_some(())
        })
        .await;
        assert_eq!(proxy.generation().await, generation, "a plugin that cannot be configured changes nothing");
        assert_eq!(post(&proxy, "/spin/attack").await.status, 200);

        proxy.apply(&text(&spins)).await;
        let after = four_spin().await;
        assert!(before.iter().chain(&after).all(|spinning| !spinning.is_finished()), "they still spin");
        proxy.signal(Signal::TERM);
        assert!(proxy.ended().await.success(), "at the drain deadline");
        for spinning in before.into_iter().chain(after) {
            let status = spinning.await.unwrap();
            assert!(status.is_none_or(|status| status == 503), "{status:?}");
        }
    });
}

/// The host's own test has more of them.
#[test]
fn failures_leave_nothing_in_memory() {
    // Seconds on a machine that has nothing else to do.
    scenario_within(Duration::from_secs(600), async {
        let _alone = alone().await;
        let behind = Behind::start().await;
        let attacks = [
            ("trap", "phase = 'request_head', do = 'trap'"),
            ("memory", "phase = 'request_head', do = 'allocate', bytes = 100000000"),
            ("invalid", "phase = 'request_head', do = 'edit', set = [['content-length', '5']]"),
        ];
        let table = |(name, attack): &(&str, &str)| at_times(name, "continue", LIMITS, attack);
        let proxy = behind.proxy(&attacks.iter().map(table).collect::<String>()).await;
        let client = Connection::h1(proxy.address("http")).await;
        let round = async |exchanges: u64| {
            for _ in 0..exchanges {
                for (name, _) in attacks {
                    assert_eq!(client.get(HOST, &format!("/{name}/attack")).await.status, 200, "{name}");
                    // A success between two failures, so that it is never suspended.
                    assert_eq!(client.get(HOST, &format!("/{name}/peace")).await.status, 200, "{name}");
                }
            }
        };
        round(200).await;
        let before = proxy.resident();
        round(1000).await;
        let after = proxy.resident();
        println!("{before} KiB before 3000 failures, {after} KiB after");
        // An instance that stays would be a page or more of each: 12 MiB.
        assert!(after < before + 6 * 1024, "{before} KiB before 3000 failures, {after} KiB after");
        for (name, _) in attacks {
            let health = health(&proxy, name).await;
            assert_eq!(health["failures"][name], 1200, "{health}");
        }
    });
}
