use std::{
    net::{Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use portcullis_tests::{
    client::http::{Connection, get},
    nameserver::{Mood, Nameserver},
    port::Port,
    proxy::{Plan, Proxy},
    scenario::{eventually, eventually_within, scenario},
};
use serde_json::Value;

use super::{NAME, TEXT, addresses, dns, loopbacks, origins, proxy};
use crate::ground::{full_backlog, loopback};

/// [`TEXT`] with a second backend `other` for `/other`.
fn with_other(name: &str) -> String {
    format!(
        "{TEXT}\n[[route]]\npath = \"/other\"\nbackend = \"other\"\n\
         [backend.other]\nendpoints = [\"http://{name}:@port@\"]\n"
    )
}

async fn answered_by(proxy: &Proxy, name: &str) {
    eventually(&format!("{name} answers"), async || {
        (get(proxy.address("http"), "x", "/name").await.text() == name).then_some(())
    })
    .await;
}

async fn answered_with(proxy: &Proxy, status: u16) {
    eventually(&format!("the answer is {status}"), async || {
        (get(proxy.address("http"), "x", "/name").await.status == status).then_some(())
    })
    .await;
}

async fn state(proxy: &Proxy, wanted: &str) -> Value {
    eventually(&format!("what is known is {wanted}"), async || {
        let says = dns(proxy, NAME).await;
        (says["state"] == wanted).then_some(says)
    })
    .await
}

#[test]
fn addresses_are_followed_as_they_change() {
    scenario(async {
        let port = Port::reserve();
        let origins = origins(&port, &loopbacks([2, 3, 4])).await;
        let nameserver = Nameserver::start().await;
        nameserver.set(NAME, &loopbacks([2]));
        let proxy = proxy(TEXT, &nameserver, &port).await;
        answered_by(&proxy, "o2").await;
        nameserver.set(NAME, &loopbacks([3, 4]));
        answered_by(&proxy, "o3").await;
        answered_by(&proxy, "o4").await;
        let before = origins[0].count();
        for _ in 0..10 {
            assert_eq!(get(proxy.address("http"), "x", "/name").await.status, 200);
        }
        assert_eq!(origins[0].count(), before);
        proxy.says("endpoint left").await;
        eventually("who left has no connection", async || (origins[0].open() == 0).then_some(())).await;
    });
}

#[test]
fn an_exchange_with_an_address_that_leaves_is_not_cut_off() {
    scenario(async {
        let port = Port::reserve();
        let origins = origins(&port, &loopbacks([2, 3])).await;
        let nameserver = Nameserver::start().await;
        nameserver.set(NAME, &loopbacks([2]));
        let proxy = proxy(TEXT, &nameserver, &port).await;
        let address = proxy.address("http");
        let download = tokio::spawn(async move { get(address, "x", "/drip?n=40&ms=100").await });
        eventually("it has begun", async || (origins[0].count() == 1).then_some(())).await;
        nameserver.set(NAME, &loopbacks([3]));
        answered_by(&proxy, "o3").await;
        let answer = download.await.unwrap();
        assert_eq!((answer.status, answer.text().lines().count()), (200, 40));
        eventually("its connection is closed then", async || (origins[0].open() == 0).then_some(())).await;
    });
}

#[test]
fn a_ttl_is_raised_to_the_floor_and_lowered_to_the_ceiling() {
    scenario(async {
        let port = Port::reserve();
        let _origins = origins(&port, &loopbacks([2, 3])).await;
        let nameserver = Nameserver::start().await;
        nameserver.set_with_ttl(NAME, 86_400, &loopbacks([2]));
        nameserver.set_with_ttl("brief.internal", 0, &loopbacks([2]));
        let text = TEXT.replace("[dns]\n", "[dns]\nttl_floor = \"1s\"\nttl_ceiling = \"2s\"\n");
        let proxy = proxy(&text, &nameserver, &port).await;
        answered_by(&proxy, "o2").await;
        assert_eq!(dns(&proxy, NAME).await["ttl"], 2.0);
        assert_eq!(dns(&proxy, "brief.internal").await["ttl"], 1.0);
        // A day would have been too long to wait.
        nameserver.set_with_ttl(NAME, 86_400, &loopbacks([3]));
        answered_by(&proxy, "o3").await;
        proxy.apply(&text.replace("\"1s\"\nttl_ceiling = \"2s\"", "\"1h\"\nttl_ceiling = \"1h\"")).await;
        assert_eq!(dns(&proxy, "brief.internal").await["ttl"], 3600.0);
    });
}

#[test]
fn a_failed_connection_makes_the_name_looked_up_at_once() {
    scenario(async {
        let port = Port::reserve();
        let mut origins = origins(&port, &loopbacks([2, 3])).await;
        let nameserver = Nameserver::start().await;
        nameserver.set_with_ttl(NAME, 300, &loopbacks([2]));
        let proxy = proxy(TEXT, &nameserver, &port).await;
        answered_by(&proxy, "o2").await;
        // Created again at another address, long before the TTL is over.
        nameserver.set_with_ttl(NAME, 300, &loopbacks([3]));
        drop(origins.remove(0));
        eventually_within(Duration::from_secs(5), "the new address is used", async || {
            (get(proxy.address("http"), "x", "/name").await.text() == "o3").then_some(())
        })
        .await;
        // Who is down does not make the nameserver busy: A and AAAA, once a second.
        drop(origins);
        let asked = nameserver.times_asked(NAME);
        let begun = Instant::now();
        for _ in 0..100 {
            assert!(get(proxy.address("http"), "x", "/").await.status >= 500);
        }
        let most = 2 * (begun.elapsed().as_secs() as usize + 2);
        assert!(nameserver.times_asked(NAME) <= asked + most, "{:?}", begun.elapsed());
    });
}

#[test]
fn a_name_that_is_taken_away_empties_its_backend_alone() {
    scenario(async {
        let port = Port::reserve();
        let origins = origins(&port, &loopbacks([2, 3])).await;
        let nameserver = Nameserver::start().await;
        nameserver.set(NAME, &loopbacks([2]));
        nameserver.set("other.internal", &loopbacks([3]));
        let proxy = proxy(&with_other("other.internal"), &nameserver, &port).await;
        answered_by(&proxy, "o2").await;
        nameserver.remove(NAME);
        answered_with(&proxy, 503).await;
        let line = proxy.log_line(|line| line["status"] == 503).await;
        assert_eq!((&line["error"], &line["backend"]), (&"destination_unavailable".into(), &"app".into()));
        let detail = line["detail"].as_str().unwrap();
        assert!(detail.contains(NAME) && detail.contains("no such name"), "{detail}");
        assert_eq!(get(proxy.address("http"), "x", "/other/name").await.text(), "o3");
        eventually("its connections are closed", async || (origins[0].open() == 0).then_some(())).await;
        nameserver.set(NAME, &loopbacks([2]));
        answered_by(&proxy, "o2").await;
    });
}

#[test]
fn starts_with_names_that_do_not_resolve_yet() {
    scenario(async {
        for mood in [Mood::Well, Mood::Silent, Mood::Failing] {
            let port = Port::reserve();
            let _origins = origins(&port, &loopbacks([2, 3])).await;
            let (nameserver, other) = (Nameserver::start().await, Nameserver::start().await);
            nameserver.mood(mood);
            other.set("app.other", &loopbacks([3]));
            let zone = "[[dns.zone]]\nsuffix = \"other\"\nnameservers = [\"@other@\"]\n";
            let plan = Plan::new(with_other("app.other") + zone).set("nameserver", nameserver.address());
            let proxy = plan.set("other", other.address()).set("port", port.number()).start().await;
            assert_eq!(get(proxy.address("http"), "x", "/name").await.status, 503, "{mood:?}");
            assert_eq!(get(proxy.address("http"), "x", "/other/name").await.text(), "o3", "{mood:?}");
            nameserver.set(NAME, &loopbacks([2]));
            nameserver.mood(Mood::Well);
            answered_by(&proxy, "o2").await;
        }
    });
}

#[test]
fn the_last_good_answer_is_kept_while_nameservers_fail_and_its_age_is_shown() {
    scenario(async {
        for mood in [Mood::Silent, Mood::Failing, Mood::Refusing, Mood::Babbling] {
            let port = Port::reserve();
            let _origins = origins(&port, &loopbacks([2, 3])).await;
            let nameserver = Nameserver::start().await;
            nameserver.set(NAME, &loopbacks([2]));
            let proxy = proxy(TEXT, &nameserver, &port).await;
            answered_by(&proxy, "o2").await;
            nameserver.mood(mood);
            let says = state(&proxy, "stale").await;
            assert_eq!(addresses(&says), ["127.0.0.2"], "{mood:?}");
            assert!(says["age"].as_f64().unwrap() >= 1.0 && says["reason"].is_string(), "{says}");
            assert_eq!(get(proxy.address("http"), "x", "/stale").await.status, 200, "{mood:?}");
            let line = proxy.log_of("/stale").await;
            assert_eq!(line["dns_stale"], true);
            assert!(line["dns_age_us"].as_u64().unwrap() >= 1_000_000, "{line}");
            assert_eq!(proxy.status().await["backends"][0]["dns"][0]["state"], "stale");
            proxy.says("the last good answer is kept").await;

            nameserver.mood(Mood::Well);
            nameserver.set(NAME, &loopbacks([3]));
            answered_by(&proxy, "o3").await;
            assert_eq!(dns(&proxy, NAME).await["state"], "fresh");
        }
    });
}

#[test]
fn the_last_good_answer_is_kept_no_longer_than_the_configuration_says() {
    scenario(async {
        let port = Port::reserve();
        let _origins = origins(&port, &loopbacks([2])).await;
        let nameserver = Nameserver::start().await;
        nameserver.set(NAME, &loopbacks([2]));
        let text = TEXT.replace("[dns]\n", "[dns]\nstale = \"0s\"\n");
        let proxy = proxy(&text, &nameserver, &port).await;
        answered_by(&proxy, "o2").await;
        nameserver.mood(Mood::Failing);
        state(&proxy, "failed").await;
        answered_with(&proxy, 503).await;
        let line = proxy.log_line(|line| line["status"] == 503).await;
        assert!(line["detail"].as_str().unwrap().contains("SERVFAIL"), "{line}");
    });
}

#[test]
fn that_there_is_no_such_name_is_believed_for_a_while() {
    scenario(async {
        let port = Port::reserve();
        let nameserver = Nameserver::start().await;
        let proxy = proxy(TEXT, &nameserver, &port).await;
        let client = Connection::h1(proxy.address("http")).await;
        let begun = Instant::now();
        for _ in 0..300 {
            assert_eq!(client.get("x", "/").await.status, 503);
        }
        // A and AAAA, once a second.
        let most = 2 * (begun.elapsed().as_secs() as usize + 3);
        assert!((2..=most).contains(&nameserver.times_asked(NAME)), "{}", nameserver.times_asked(NAME));
    });
}

#[test]
fn bytes_that_are_no_answer_break_nothing() {
    scenario(async {
        let port = Port::reserve();
        let _origins = origins(&port, &loopbacks([2])).await;
        let nameserver = Nameserver::start().await;
        nameserver.set(NAME, &loopbacks([2]));
        nameserver.mood(Mood::Babbling);
        let mut proxy = proxy(TEXT, &nameserver, &port).await;
        assert_eq!(get(proxy.address("http"), "x", "/").await.status, 503);
        eventually("it was asked again", async || (nameserver.times_asked(NAME) >= 4).then_some(())).await;
        assert!(proxy.is_running());
        nameserver.mood(Mood::Well);
        answered_by(&proxy, "o2").await;
        assert_eq!(proxy.counter("panics").await, 0);
    });
}

#[test]
fn the_other_address_family_is_used_where_one_does_not_work() {
    scenario(async {
        let port = Port::reserve();
        let six = SocketAddr::from((Ipv6Addr::LOCALHOST, port.number()));
        let _full = full_backlog(six);
        let origins = origins(&port, &loopbacks([2])).await;
        let nameserver = Nameserver::start().await;
        nameserver.set(NAME, &[loopback(2), six.ip()]);
        let text = TEXT.replace("endpoints =", "retries = 0\npool = { idle = 0 }\nendpoints =");
        let proxy = proxy(&text, &nameserver, &port).await;
        for _ in 0..4 {
            let begun = Instant::now();
            assert_eq!(get(proxy.address("http"), "x", "/").await.status, 200);
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        }
        assert_eq!(origins[0].count(), 4);
    });
}

#[test]
fn what_a_name_leads_to_is_shown_by_the_command_dns() {
    scenario(async {
        let port = Port::reserve();
        let nameserver = Nameserver::start().await;
        nameserver.set_with_ttl(NAME, 30, &loopbacks([2, 3]));
        let proxy = proxy(TEXT, &nameserver, &port).await;
        let finished = proxy.command(&["dns", NAME]).await;
        assert_eq!(finished.code, Some(0));
        for part in [NAME, "127.0.0.2", "127.0.0.3", "internal", "fresh", &nameserver.address().to_string()] {
            assert!(finished.stdout.contains(part), "{part} is not in\n{}", finished.stdout);
        }
        let finished = proxy.command(&["dns", "nobody.internal"]).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stdout.contains("no_such_name"), "{}", finished.stdout);
    });
}
