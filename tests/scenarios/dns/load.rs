use portcullis_tests::{
    client::load::Load,
    port::Port,
    proxy::{Plan, Proxy},
    scenario::{alone, eventually, scenario},
    unbound::Unbound,
};

use super::{TEXT, dns, loopbacks, origins};
use crate::ground::loopback;

const ZONE: &str = "pn-y.private-network.internal";
const APP: &str = "1.web.ap-x.pn-y.private-network.internal";

async fn proxy(unbound: &Unbound, port: &Port) -> Proxy {
    let text = TEXT.replace("app.internal", APP).replace("\"internal\"", &format!("\"{ZONE}\""));
    Plan::new(text).set("nameserver", unbound.address()).set("port", port.number()).start().await
}

#[test]
fn no_exchange_fails_while_the_records_of_a_zone_change() {
    scenario(async {
        let _alone = alone().await;
        let port = Port::reserve();
        let origins = origins(&port, &loopbacks([2, 3, 4])).await;
        let mut unbound = Unbound::start(ZONE).await;
        unbound.set(APP, &loopbacks([2])).await;
        let proxy = proxy(&unbound, &port).await;
        let load = Load::plain(proxy.address("http"), "x", "/load", 6);
        load.go_on(50).await;
        for numbers in [vec![2, 3], vec![3, 4], vec![2], vec![4, 3, 2], vec![3]] {
            let addresses: Vec<_> = numbers.iter().map(|&n| loopback(n)).collect();
            unbound.set(APP, &addresses).await;
            eventually("the proxy knows the set", async || {
                let mut known = super::addresses(&dns(&proxy, APP).await);
                known.sort();
                let mut wanted: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                wanted.sort();
                (known == wanted).then_some(())
            })
            .await;
            let before: Vec<_> = origins.iter().map(|origin| origin.count()).collect();
            load.go_on(50).await;
            for number in numbers {
                let at = usize::from(number) - 2;
                assert!(origins[at].count() > before[at], "127.0.0.{number} has no work");
            }
        }
        eventually("who left has no connection", async || (origins[0].open() + origins[2].open() == 0).then_some(()))
            .await;
        load.stop_unharmed().await;
    });
}

#[test]
fn no_exchange_fails_while_a_backend_is_created_again_at_another_address() {
    scenario(async {
        let _alone = alone().await;
        let port = Port::reserve();
        let mut running = origins(&port, &loopbacks([2])).await.remove(0);
        let mut unbound = Unbound::start(ZONE).await;
        unbound.set(APP, &loopbacks([2])).await;
        let proxy = proxy(&unbound, &port).await;
        let load = Load::plain(proxy.address("http"), "x", "/load", 6);
        load.go_on(50).await;
        for next in [3, 4, 5] {
            let new = origins(&port, &loopbacks([next])).await.remove(0);
            unbound.set(APP, &loopbacks([next])).await;
            // The old one is stopped as careful deployments do it: once it is drained.
            eventually("the new one has work", async || (new.count() > 0).then_some(())).await;
            eventually("the old one is drained", async || (running.open() == 0).then_some(())).await;
            running = new;
            load.go_on(50).await;
        }
        load.stop_unharmed().await;
    });
}

#[test]
fn no_exchange_fails_while_a_backend_moves_without_waiting_for_anybody() {
    scenario(async {
        let _alone = alone().await;
        let port = Port::reserve();
        let mut running = origins(&port, &loopbacks([2])).await.remove(0);
        let mut unbound = Unbound::start(ZONE).await;
        unbound.set(APP, &loopbacks([2])).await;
        let proxy = proxy(&unbound, &port).await;
        let load = Load::reading(proxy.address("http"), "x", "/load", 6);
        load.go_on(50).await;
        for next in [3, 4, 5] {
            let new = origins(&port, &loopbacks([next])).await.remove(0);
            unbound.set(APP, &loopbacks([next])).await;
            // The TTL is not over: the proxy still goes to the old one, is refused, and looks the name up at once.
            running.leave();
            eventually("the new one has work", async || (new.count() > 0).then_some(())).await;
            eventually("the old one is drained", async || (running.open() == 0).then_some(())).await;
            running = new;
            load.go_on(50).await;
        }
        load.stop_unharmed().await;
    });
}

#[test]
fn no_exchange_fails_while_the_nameserver_is_away() {
    scenario(async {
        let _alone = alone().await;
        let port = Port::reserve();
        let origins = origins(&port, &loopbacks([2, 3])).await;
        let mut unbound = Unbound::start(ZONE).await;
        unbound.set(APP, &loopbacks([2])).await;
        let proxy = proxy(&unbound, &port).await;
        let load = Load::plain(proxy.address("http"), "x", "/load", 6);
        load.go_on(50).await;
        unbound.stop();
        eventually("the answer is stale", async || (dns(&proxy, APP).await["state"] == "stale").then_some(())).await;
        load.go_on(100).await;
        unbound.start_again().await;
        unbound.set(APP, &loopbacks([3])).await;
        eventually("the new address has work", async || (origins[1].count() > 0).then_some(())).await;
        load.stop_unharmed().await;
    });
}

#[test]
fn services_of_a_zone_are_followed_too() {
    scenario(async {
        let (port, other) = (Port::reserve(), Port::reserve());
        let one = origins(&port, &loopbacks([2])).await;
        let two = origins(&other, &loopbacks([2])).await;
        let mut unbound = Unbound::start(ZONE).await;
        let (service, host) = (format!("_http._tcp.{ZONE}"), format!("host.{ZONE}"));
        unbound.set(&host, &loopbacks([2])).await;
        unbound.set_services(&service, &[(port.number(), &host)]).await;
        let text = TEXT.replace("http://app.internal:@port@", &format!("http+srv://{service}"));
        let text = text.replace("\"internal\"", &format!("\"{ZONE}\""));
        let proxy = Plan::new(text).set("nameserver", unbound.address()).start().await;
        let load = Load::plain(proxy.address("http"), "x", "/load", 2);
        load.go_on(20).await;
        assert_eq!(two[0].count(), 0);
        unbound.set_services(&service, &[(other.number(), &host)]).await;
        eventually("the new port has work", async || (two[0].count() > 0).then_some(())).await;
        eventually("the old one is drained", async || (one[0].open() == 0).then_some(())).await;
        load.stop_unharmed().await;
    });
}
