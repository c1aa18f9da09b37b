use std::net::SocketAddr;

use portcullis_tests::{
    certificates::{authority, leaf},
    client::{
        http::{Connection, get},
        raw::Raw,
        tls,
    },
    nameserver::Nameserver,
    origin::Origin,
    proxy::Plan,
    scenario::{eventually, scenario},
};
use tokio::net::TcpStream;

use crate::ground::{PLAIN, TLS, loopback, plain};

/// Waits until nobody listens there.
async fn closed(address: SocketAddr) {
    eventually("nobody listens", async || TcpStream::connect(address).await.is_err().then_some(())).await;
}

#[test]
fn listeners_come_and_go() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let both = format!("{PLAIN}\n[[listener]]\nname = \"second\"\naddress = \"127.0.0.1:@second@\"\n");
        let first = Connection::h1(proxy.address("http")).await;
        assert_eq!(first.get("x", "/").await.status, 200);
        proxy.apply(&both).await;
        let second = Connection::h1(proxy.address("second")).await;
        assert_eq!(second.get("x", "/").await.status, 200);
        proxy.apply(PLAIN).await;
        closed(proxy.address("second")).await;
        // Idle connections of a listener that is gone are closed, those of the other are not.
        eventually("its idle connection is closed", async || second.is_closed().then_some(())).await;
        assert_eq!(first.get("x", "/").await.status, 200);
        assert_eq!(proxy.counter("connections").await, 2);
        // Again at the same address.
        proxy.apply(&both).await;
        assert_eq!(get(proxy.address("second"), "x", "/").await.status, 200);
    });
}

#[test]
fn an_exchange_on_a_listener_that_is_removed_is_finished() {
    scenario(async {
        let origin = Origin::start().await;
        let text = format!("{PLAIN}\n[[listener]]\nname = \"second\"\naddress = \"127.0.0.1:@second@\"\n");
        let proxy = Plan::new(&*text).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("second")).await;
        client.send("GET /drip?n=20&ms=100 HTTP/1.1\r\nhost: x\r\n\r\n").await;
        eventually("it has begun", async || (origin.count() == 1).then_some(())).await;
        proxy.apply(PLAIN).await;
        closed(proxy.address("second")).await;
        let response = client.response().await;
        assert_eq!((response.is_cut, response.text().lines().count()), (false, 20));
        assert!(client.is_closed().await);
    });
}

#[test]
fn what_goes_on_for_ever_on_a_removed_listener_ends_at_the_drain_deadline() {
    scenario(async {
        let origin = Origin::start().await;
        let one = PLAIN.replace("\n[[listener]]", "[server]\ndrain = \"1s\"\n\n[[listener]]");
        let text = format!("{one}\n[[listener]]\nname = \"second\"\naddress = \"127.0.0.1:@second@\"\n");
        let proxy = Plan::new(&*text).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("second")).await;
        client.send("GET /drip?n=1000&ms=50 HTTP/1.1\r\nhost: x\r\n\r\n").await;
        eventually("it has begun", async || (origin.count() == 1).then_some(())).await;
        proxy.apply(&one).await;
        assert!(client.response().await.is_cut);
        assert_eq!(proxy.log_line(|line| line["listener"] == "second").await["end"], "drained");
    });
}

#[test]
fn a_listener_moves_to_another_address() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let old = proxy.address("http");
        let client = Connection::h1(old).await;
        assert_eq!(client.get("x", "/").await.status, 200);
        proxy.apply(&PLAIN.replace("@http@", "@other@")).await;
        assert_eq!(get(proxy.address("other"), "x", "/").await.status, 200);
        closed(old).await;
        // The listener is still there: its connections are its own.
        assert_eq!(client.get("x", "/").await.status, 200);
    });
}

#[test]
fn addresses_of_a_listener_come_and_go() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let second = SocketAddr::new(loopback(2), proxy.address("http").port());
        proxy.apply(&PLAIN.replace("\"127.0.0.1:@http@\"", "[\"127.0.0.1:@http@\", \"127.0.0.2:@http@\"]")).await;
        assert_eq!(get(second, "x", "/").await.status, 200);
        // An address that holds the others: it can only be bound once they are given up.
        proxy.apply(&PLAIN.replace("127.0.0.1:@http@", "0.0.0.0:@http@")).await;
        for address in [proxy.address("http"), second] {
            assert_eq!(get(address, "x", "/").await.status, 200);
        }
        proxy.apply(PLAIN).await;
        closed(second).await;
        assert_eq!(get(proxy.address("http"), "x", "/").await.status, 200);
    });
}

#[test]
fn a_listener_can_begin_to_speak_tls() {
    scenario(async {
        let origin = Origin::start().await;
        let text = TLS.replace("tls = {}\n", "");
        let plan = Plan::new(&*text).leaf("leaf", &leaf(&["x.example"])).set("origin", origin.address());
        let proxy = plan.start().await;
        let open = Connection::h1(proxy.address("https")).await;
        assert_eq!(open.get("x.example", "/").await.status, 200);
        proxy.apply(TLS).await;
        let config = authority().client(&["h2"]);
        let client = Connection::tls(proxy.address("https"), "x.example", &config).await;
        assert_eq!(client.get("x.example", "/").await.status, 200);
        proxy.apply(&text).await;
        assert_eq!(get(proxy.address("https"), "x.example", "/").await.status, 200);
    });
}

#[test]
fn certificates_come_and_go() {
    scenario(async {
        let origin = Origin::start().await;
        let (one, two) = (leaf(&["one.example"]), leaf(&["two.example"]));
        let plan = Plan::new(TLS).leaf("leaf", &one).leaf("two", &two).set("origin", origin.address());
        let proxy = plan.start().await;
        let config = authority().client(&["http/1.1"]);
        let address = proxy.address("https");
        assert!(tls(address, "two.example", &config).await.is_err());
        let open = Connection::tls(address, "one.example", &config).await;
        let more = "[[certificate]]\nname = \"two\"\ncert = \"two.pem\"\nkey = \"two.key\"\n";
        proxy.apply(&format!("{TLS}\n{more}")).await;
        let client = Connection::tls(address, "two.example", &config).await;
        assert_eq!(client.tls.as_ref().unwrap().leaf, two.der());
        assert!(proxy.says("generation 2").await.contains("certificates added two"));
        proxy.apply(&TLS.replace("\"leaf", "\"two")).await;
        // A configuration of its own: nothing is resumed.
        assert!(tls(address, "one.example", &authority().client(&["http/1.1"])).await.is_err());
        let line = proxy.says("generation 3").await;
        assert!(line.contains("certificates removed leaf"), "{line}");
        assert_eq!(open.get("one.example", "/").await.status, 200);
    });
}

#[test]
fn limits_hold_for_what_comes_after_the_reload() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let long = format!("/{}", "a".repeat(2000));
        assert_eq!(get(proxy.address("http"), "x", &long).await.status, 200);
        proxy.apply(&format!("{PLAIN}\n[limits]\ntarget_length = \"1KiB\"\n")).await;
        assert_eq!(get(proxy.address("http"), "x", &long).await.status, 414);
        proxy.apply(PLAIN).await;
        assert_eq!(get(proxy.address("http"), "x", &long).await.status, 200);
    });
}

#[test]
fn the_log_changes_its_form_and_its_place() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        assert_eq!(get(proxy.address("http"), "x", "/first").await.status, 200);
        proxy.log_of("/first").await;
        proxy.apply(&format!("{PLAIN}\n[log]\naccess = \"human\"\nfile = \"@dir@/other.log\"\n")).await;
        assert_eq!(get(proxy.address("http"), "x", "/second").await.status, 200);
        let other = || std::fs::read_to_string(proxy.folder().join("other.log")).unwrap_or_default();
        eventually("the line is there", async || other().contains("/second").then_some(())).await;
        assert!(!other().starts_with('{'), "{}", other());
        let quiet = format!("{PLAIN}\n[log]\nlevel = \"warn\"\n");
        proxy.apply(&quiet).await;
        assert_eq!(get(proxy.address("http"), "x", "/third").await.status, 200);
        proxy.log_of("/third").await;
        let says = proxy.error_log();
        proxy.apply(&quiet.replace("[[route]]\n", "[[route]]\nname = \"quiet\"\n")).await;
        assert_eq!(proxy.error_log(), says, "a reload is no warning");
    });
}

#[test]
fn names_are_looked_up_in_the_new_way() {
    scenario(async {
        let port = portcullis_tests::port::Port::reserve();
        let at = |n| SocketAddr::new(loopback(n), port.number());
        let (_one, _two) = (Origin::plan("one").at(at(2)).start().await, Origin::plan("two").at(at(3)).start().await);
        let nameserver = Nameserver::start().await;
        nameserver.set("app.internal", &[loopback(3)]);
        let text = PLAIN.replace("@origin@", "app.internal:@port@");
        let hosts = format!("{text}\n[dns.hosts]\n\"app.internal\" = \"127.0.0.2\"\n");
        let zone = format!("{text}\n[[dns.zone]]\nsuffix = \"internal\"\nnameservers = [\"@nameserver@\"]\n");
        let plan = Plan::new(&*hosts).set("port", port.number()).set("nameserver", nameserver.address());
        let proxy = plan.start().await;
        assert_eq!(get(proxy.address("http"), "x", "/name").await.text(), "one");
        proxy.apply(&zone).await;
        // At once: the name is known before the new configuration is in force.
        assert_eq!(get(proxy.address("http"), "x", "/name").await.text(), "two");
        proxy.apply(&hosts).await;
        assert_eq!(get(proxy.address("http"), "x", "/name").await.text(), "one");
    });
}
