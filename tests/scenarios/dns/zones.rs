use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use portcullis_tests::{
    client::http::{Connection, get},
    nameserver::{Mood, Nameserver, Service},
    origin::Origin,
    port::Port,
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario},
};

use super::{NAME, TEXT, addresses, dns, loopbacks, origins, proxy};
use crate::ground::loopback;

/// Who answers `count` requests, in order.
async fn answering(proxy: &Proxy, count: usize) -> Vec<String> {
    let client = Connection::h1(proxy.address("http")).await;
    let mut names = Vec::new();
    for _ in 0..count {
        let answer = client.get("x", "/name").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        names.push(answer.text());
    }
    names
}

fn set(names: &[String]) -> BTreeSet<&str> {
    names.iter().map(String::as_str).collect()
}

#[test]
fn every_address_of_a_name_is_an_endpoint() {
    scenario(async {
        let port = Port::reserve();
        let all = [loopback(2), loopback(3), Ipv6Addr::LOCALHOST.into()];
        let origins = origins(&port, &all).await;
        let nameserver = Nameserver::start().await;
        nameserver.set(NAME, &all);
        let proxy = proxy(TEXT, &nameserver, &port).await;
        let names = answering(&proxy, 9).await;
        assert_eq!(set(&names), BTreeSet::from(["o2", "o3", "six"]));
        assert!(origins.iter().all(|origin| origin.count() == 3), "{names:?}");
        let line = proxy.log_line(|line| line["status"] == 200).await;
        assert_eq!(line["endpoint_name"], NAME);
        assert!(line["dns_age_us"].is_u64() && line.get("dns_stale").is_none(), "{line}");
        // The origin gets the host that the client asked for, not the name that led to it.
        assert_eq!(origins[0].last().unwrap().host, "x");
    });
}

#[test]
fn names_of_private_networks_and_of_containers_both_work() {
    scenario(async {
        let port = Port::reserve();
        let _origins = origins(&port, &loopbacks([2, 3])).await;
        let (zone, platform) = (Nameserver::start().await, Nameserver::start().await);
        zone.set("1.web.ap-x.pn-y.private-network.internal", &loopbacks([2]));
        // A bare name is the platform's own: it may lead to any address.
        platform.set("my-express-api", &loopbacks([3]));
        let text = r#"
[[listener]]
address = "127.0.0.1:@http@"

[[route]]
path = "/private"
backend = "private"

[[route]]
path = "/bare"
backend = "bare"

[backend.private]
endpoints = ["http://1.web.ap-x.pn-y.private-network.internal:@port@"]

[backend.bare]
endpoints = ["http://my-express-api:@port@"]

[dns]
nameservers = ["@platform@"]

[[dns.zone]]
suffix = "private-network.internal"
nameservers = ["@zone@"]
"#;
        let plan = Plan::new(text).set("zone", zone.address()).set("platform", platform.address());
        let proxy = plan.set("port", port.number()).start().await;
        assert_eq!(get(proxy.address("http"), "x", "/private/name").await.text(), "o2");
        assert_eq!(get(proxy.address("http"), "x", "/bare/name").await.text(), "o3");
        assert!(platform.asked().iter().all(|(name, _)| name == "my-express-api"), "{:?}", platform.asked());
        assert!(zone.asked().iter().all(|(name, _)| name.ends_with("private-network.internal")));
    });
}

#[test]
fn the_zone_with_the_longest_suffix_is_asked() {
    scenario(async {
        let port = Port::reserve();
        let _origins = origins(&port, &loopbacks([2, 3])).await;
        let (outer, inner) = (Nameserver::start().await, Nameserver::start().await);
        for (nameserver, n) in [(&outer, 2), (&inner, 3)] {
            nameserver.set("app.pn-1.internal", &loopbacks([n]));
        }
        let text = TEXT.replace("app.internal", "app.pn-1.internal");
        let text = format!("{text}\n[[dns.zone]]\nsuffix = \"pn-1.internal\"\nnameservers = [\"@inner@\"]\n");
        let plan = Plan::new(text).set("nameserver", outer.address()).set("inner", inner.address());
        let proxy = plan.set("port", port.number()).start().await;
        assert_eq!(answering(&proxy, 1).await, ["o3"]);
        assert_eq!(outer.asked(), []);
        let says = dns(&proxy, "app.pn-1.internal").await;
        assert_eq!((&says["source"], &says["zone"]), (&"zone".into(), &"pn-1.internal".into()));
        assert_eq!(says["nameserver"], inner.address().to_string());
    });
}

#[test]
fn the_next_nameserver_of_a_zone_is_asked_when_one_does_not_answer() {
    scenario(async {
        for mood in [Mood::Silent, Mood::Failing, Mood::Refusing, Mood::Babbling] {
            let port = Port::reserve();
            let _origins = origins(&port, &loopbacks([2])).await;
            let (bad, good) = (Nameserver::start().await, Nameserver::start().await);
            bad.mood(mood);
            good.set(NAME, &loopbacks([2]));
            let text = TEXT.replace("\"@nameserver@\"", "\"@bad@\", \"@good@\"");
            let plan = Plan::new(text).set("bad", bad.address()).set("good", good.address());
            let proxy = plan.set("port", port.number()).start().await;
            assert_eq!(answering(&proxy, 1).await, ["o2"], "{mood:?}");
            assert_eq!(dns(&proxy, NAME).await["nameserver"], good.address().to_string(), "{mood:?}");
            assert!(bad.times_asked(NAME) >= 1, "{mood:?}");
        }
    });
}

#[test]
fn an_answer_that_is_too_long_for_udp_comes_over_tcp() {
    scenario(async {
        let port = Port::reserve();
        let _origins = origins(&port, &loopbacks([2])).await;
        let nameserver = Nameserver::start().await;
        nameserver.set(NAME, &loopbacks([2]));
        nameserver.mood(Mood::Truncating);
        let proxy = proxy(TEXT, &nameserver, &port).await;
        assert_eq!(answering(&proxy, 1).await, ["o2"]);
        let asked = nameserver.asked();
        let first = |transport| asked.iter().position(|(_, by)| *by == transport).unwrap();
        assert!(first("udp") < first("tcp"), "{asked:?}");
    });
}

#[test]
fn a_large_set_of_addresses_is_whole() {
    scenario(async {
        let port = Port::reserve();
        let nameserver = Nameserver::start().await;
        let all: Vec<IpAddr> = (0..200).map(|n| IpAddr::from([127, 1, 0, n])).collect();
        nameserver.set(NAME, &all);
        let proxy = proxy(TEXT, &nameserver, &port).await;
        assert_eq!(addresses(&dns(&proxy, NAME).await).len(), 200);
        let status = proxy.status().await;
        assert_eq!(status["backends"][0]["endpoints"].as_array().unwrap().len(), 200);
    });
}

#[test]
fn services_bring_ports_and_weights_and_only_the_lowest_priority_is_used() {
    scenario(async {
        let (one, two, spare) = (Origin::named("one").await, Origin::named("two").await, Origin::named("spare").await);
        let nameserver = Nameserver::start().await;
        nameserver.set("host.internal", &loopbacks([1]));
        let service = |origin: &Origin, priority, weight| Service {
            priority,
            weight,
            port: origin.address().port(),
            target: "host.internal".to_owned(),
        };
        let all = vec![service(&one, 10, 3), service(&two, 10, 1), service(&spare, 20, 1)];
        nameserver.set_ranked_services("_http._tcp.app.internal", all);
        let text = TEXT.replace("http://app.internal:@port@", "http+srv://_http._tcp.app.internal");
        let proxy = proxy(&text, &nameserver, &Port::reserve()).await;
        answering(&proxy, 8).await;
        assert_eq!((one.count(), two.count(), spare.count()), (6, 2, 0));
        let finished = proxy.command(&["dns", "--srv", "_http._tcp.app.internal", "--json"]).await;
        assert!(finished.stdout.contains(&one.address().port().to_string()), "{finished:?}");
        // The service moves to another port.
        nameserver.set_services("_http._tcp.app.internal", &[(spare.address().port(), "host.internal")]);
        eventually("the new port is used", async || (answering(&proxy, 1).await == ["spare"]).then_some(())).await;
    });
}

#[test]
fn hosts_of_the_configuration_come_before_every_nameserver() {
    scenario(async {
        let port = Port::reserve();
        let _origins = origins(&port, &loopbacks([2, 3, 4])).await;
        let nameserver = Nameserver::start().await;
        nameserver.set(NAME, &loopbacks([2]));
        let text = format!("{TEXT}\n[dns.hosts]\n\"app.internal\" = [\"127.0.0.3\", \"127.0.0.4\"]\n");
        let proxy = proxy(&text, &nameserver, &port).await;
        assert_eq!(set(&answering(&proxy, 4).await), BTreeSet::from(["o3", "o4"]));
        assert_eq!(nameserver.asked(), []);
        assert_eq!(dns(&proxy, NAME).await["source"], "hosts");
    });
}

#[test]
fn an_alias_is_followed_and_one_out_of_the_zone_is_asked_nowhere_else() {
    scenario(async {
        let port = Port::reserve();
        let _origins = origins(&port, &loopbacks([2])).await;
        let (zone, public) = (Nameserver::start().await, Nameserver::start().await);
        zone.set_alias(NAME, "2.app.internal");
        zone.set("2.app.internal", &loopbacks([2]));
        zone.set_alias("leaks.internal", "app.example.com");
        public.set("app.example.com", &loopbacks([2]));
        let text = TEXT.replace("[dns]\n", "[dns]\nnameservers = [\"@public@\"]\n");
        let plan = Plan::new(text).set("nameserver", zone.address()).set("public", public.address());
        let proxy = plan.set("port", port.number()).start().await;
        assert_eq!(answering(&proxy, 1).await, ["o2"]);
        assert_eq!(addresses(&dns(&proxy, "leaks.internal").await), [""; 0]);
        assert_eq!(public.asked(), []);
    });
}

#[test]
fn a_name_of_a_private_zone_is_asked_nowhere_else_whatever_its_nameserver_does() {
    scenario(async {
        let port = Port::reserve();
        let origins = origins(&port, &loopbacks([2])).await;
        for mood in [Mood::Well, Mood::Silent, Mood::Failing, Mood::Refusing, Mood::Babbling, Mood::Truncating] {
            let (zone, public) = (Nameserver::start().await, Nameserver::start().await);
            zone.mood(mood);
            // Whoever owns the public resolver would like to have the traffic.
            public.set(NAME, &loopbacks([2]));
            let text = TEXT.replace("[dns]\n", "[dns]\nnameservers = [\"@public@\"]\n");
            let plan = Plan::new(text).set("nameserver", zone.address()).set("public", public.address());
            let proxy = plan.set("port", port.number()).start().await;
            assert_eq!(get(proxy.address("http"), "x", "/").await.status, 503, "{mood:?}");
            assert_eq!(addresses(&dns(&proxy, NAME).await), [""; 0], "{mood:?}");
            assert_eq!(addresses(&dns(&proxy, "APP.Internal.").await), [""; 0], "{mood:?}");
            assert!(zone.times_asked(NAME) >= 2, "{mood:?}");
            assert_eq!(public.asked(), [], "{mood:?}");
        }
        assert_eq!(origins[0].count(), 0);
    });
}

#[test]
fn a_public_name_that_leads_to_this_host_or_to_metadata_is_refused_unless_allowed() {
    scenario(async {
        let port = Port::reserve();
        let origins = origins(&port, &[loopback(2), Ipv6Addr::LOCALHOST.into()]).await;
        let public = Nameserver::start().await;
        public.set("app.example.com", &[loopback(2), Ipv6Addr::LOCALHOST.into()]);
        let local = ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1", "::ffff:127.0.0.1"];
        for (number, address) in local.iter().enumerate() {
            public.set(&format!("n{number}.example.com"), &[address.parse().unwrap()]);
        }
        public.set("mixed.example.com", &["192.0.2.7".parse().unwrap(), loopback(2)]);
        let text = r#"
[[listener]]
address = "127.0.0.1:@http@"

[[route]]
backend = "app"

[backend.app]
endpoints = ["http://app.example.com:@port@"]

[dns]
nameservers = ["@public@"]
"#;
        let plan = Plan::new(text).set("public", public.address()).set("port", port.number());
        let proxy = plan.start().await;
        let answer = get(proxy.address("http"), "x", "/refused").await;
        assert_eq!(answer.status, 503);
        assert!(!answer.text().contains("127.0.0.2"), "clients learn no addresses: {}", answer.text());
        let line = proxy.log_of("/refused").await;
        assert_eq!(line["error"], "destination_ip_prohibited");
        let detail = line["detail"].as_str().unwrap();
        assert!(detail.contains("127.0.0.2") && detail.contains("allow_local"), "{detail}");
        for (number, address) in local.iter().enumerate() {
            let says = dns(&proxy, &format!("n{number}.example.com")).await;
            assert_eq!((&says["state"], addresses(&says)), (&"refused".into(), vec![]), "{address}");
        }
        assert_eq!(addresses(&dns(&proxy, "mixed.example.com").await), ["192.0.2.7"]);
        assert!(origins.iter().all(|origin| origin.connections() == 0));

        proxy.apply(&text.replace("[dns]", "allow_local = true\n[dns]")).await;
        assert_eq!(get(proxy.address("http"), "x", "/").await.status, 200);
    });
}

#[test]
fn the_system_resolver_is_asked_where_nothing_is_configured() {
    // The system's files name port 53, which takes root; so does giving one process files of its own.
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: the system's resolver is left to the tests of portcullis-server");
        return;
    }
    scenario(async {
        let port = Port::reserve();
        let _origins = origins(&port, &loopbacks([2, 3, 4])).await;
        // As a container platform's embedded DNS is.
        let nameserver = Nameserver::at(SocketAddr::from(([127, 0, 53, 11], 53))).await;
        nameserver.set("my-express-api", &loopbacks([2]));
        // A public suffix there: only what is asked with it belongs to the project.
        nameserver.set("db.my-project", &loopbacks([3]));
        let text = r#"
[[listener]]
address = "127.0.0.1:@http@"

[[route]]
path = "/bare"
backend = "bare"

[[route]]
path = "/searched"
backend = "searched"

[[route]]
path = "/file"
backend = "file"

[backend.bare]
endpoints = ["http://my-express-api:@port@"]

[backend.searched]
endpoints = ["http://db:@port@"]

[backend.file]
endpoints = ["http://in-the-file:@port@"]
"#;
        let mounts = "mount --bind resolv.conf /etc/resolv.conf && mount --bind hosts /etc/hosts && exec \"$0\" \"$@\"";
        let plan = Plan::new(text)
            .file("resolv.conf", "nameserver 127.0.53.11\nsearch my-project\n")
            .file("hosts", "127.0.0.1 localhost\n127.0.0.4 in-the-file\n")
            .set("port", port.number())
            .through(&["unshare", "--mount", "sh", "-c", mounts]);
        let proxy = plan.start().await;
        for (path, expected) in [("/bare/name", "o2"), ("/searched/name", "o3"), ("/file/name", "o4")] {
            assert_eq!(get(proxy.address("http"), "x", path).await.text(), expected, "{path}");
        }
        let says = dns(&proxy, "my-express-api").await;
        assert_eq!((&says["source"], &says["nameserver"]), (&"system".into(), &"127.0.53.11:53".into()));
        assert_eq!(dns(&proxy, "in-the-file").await["source"], "system_hosts");
    });
}
