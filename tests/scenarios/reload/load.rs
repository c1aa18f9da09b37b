use portcullis_tests::{
    certificates::{authority, leaf},
    client::load::Load,
    nameserver::Nameserver,
    origin::Origin,
    port::Port,
    proxy::Plan,
    scenario::{alone, eventually, scenario},
    tool::Tool,
};

use crate::ground::{PLAIN, TLS, full_log, loopback};

const HOST: &str = "shop.example";

#[test]
fn no_exchange_fails_while_everything_changes() {
    scenario(async {
        let _alone = alone().await;
        let (one, two) = (Origin::named("one").await, Origin::named("two").await);
        let plan = Plan::new(TLS).leaf("leaf", &leaf(&[HOST])).leaf("other", &leaf(&["other.example"]));
        let proxy = plan.set("origin", one.address()).set("two", two.address()).start().await;
        let (h1, h2) = (authority().client(&["http/1.1"]), authority().client(&["h2"]));
        let load = Load::tls(proxy.address("https"), HOST, "/load", &[h1.clone(), h2.clone(), h1, h2]);
        load.go_on(30).await;
        let edited =
            TLS.replace("backend = \"app\"\n", "backend = \"app\"\nresponse_headers = { set = { x-n = \"1\" } }\n");
        let moved = TLS.replace("@origin@", "@two@");
        let both = TLS
            .replace("[\"http://@origin@\"]", "[\"http://@origin@\", \"http://@two@\"]\nbalance = \"least-requests\"");
        let limits = TLS.replace("tls = {}", "tls = { handshake_time = \"5s\" }\nlimits = { streams = 50 }");
        let more = format!(
            "{TLS}\n[[listener]]\nname = \"more\"\naddress = \"127.0.0.1:@more@\"\n[[certificate]]\nname = \"other\"\n\
             cert = \"other.pem\"\nkey = \"other.key\"\n[[route]]\nhost = \"other.example\"\nredirect = \"https\"\n"
        );
        let named = TLS.replace("[[route]]\n", "[[route]]\nname = \"renamed\"\n");
        let renamed = named.replace("\"app\"", "\"again\"").replace("backend.app", "backend.again");
        for text in [&edited, &moved, &both, &limits, &more, &renamed, &TLS.to_owned()] {
            proxy.apply(text).await;
            load.go_on(30).await;
        }
        proxy.write_leaf("leaf", &leaf(&[HOST]));
        proxy.reload_seen(9).await;
        load.go_on(30).await;
        let tally = load.stop_unharmed().await;
        assert!(two.count() > 0 && one.count() + two.count() >= tally.done as usize);
        // Each exchange is served by one generation as a whole, and none is older than its connection's first.
        let lines = full_log(&proxy, tally.done).await;
        assert!(lines.iter().all(|line| line["status"] == 200 && line["end"] == "complete"));
        for generation in 1..=9 {
            assert!(lines.iter().any(|line| line["generation"] == generation), "generation {generation}");
        }
    });
}

#[test]
fn no_exchange_fails_while_the_configuration_is_written_again_and_again() {
    scenario(async {
        let _alone = alone().await;
        let origin = Origin::start().await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let load = Load::plain(proxy.address("http"), HOST, "/load", 6);
        for number in 0..40 {
            let text = format!("{PLAIN}\n[[route]]\nhost = \"n{number}.example\"\nrespond = {{ status = 204 }}\n");
            proxy.edit(&text);
            load.go_on(5).await;
        }
        let last = format!("{PLAIN}\n[[route]]\nhost = \"last.example\"\nrespond = {{ status = 204 }}\n");
        proxy.edit(&last);
        eventually("the last one is in force", async || {
            let answer = portcullis_tests::client::http::get(proxy.address("http"), "last.example", "/").await;
            (answer.status == 204).then_some(())
        })
        .await;
        load.stop_unharmed().await;
        // What did not change was kept the whole time.
        assert!(origin.connections() <= 12, "{} connections", origin.connections());
    });
}

#[test]
fn h2load_sees_no_error_over_reloads() {
    scenario(async {
        let _alone = alone().await;
        let origin = Origin::start().await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let url = format!("http://{}/", proxy.address("http"));
        for arguments in [&["-n", "3000", "-c", "4", "-m", "4"][..], &["--h1", "-n", "3000", "-c", "4"][..]] {
            let running = tokio::spawn(Tool::new("h2load").args(arguments).args([&url]).output());
            let before = proxy.generation().await;
            for number in 0.. {
                if running.is_finished() {
                    break;
                }
                proxy.apply(&PLAIN.replace("[[route]]\n", &format!("[[route]]\nname = \"n{number}\"\n"))).await;
            }
            assert!(proxy.generation().await > before + 1, "it was over before anything changed");
            let says = running.await.unwrap();
            assert!(says.contains("3000 succeeded, 0 failed, 0 errored, 0 timeout"), "{says}");
        }
    });
}

#[test]
fn no_exchange_fails_while_a_backend_moves_by_reload() {
    scenario(async {
        let _alone = alone().await;
        let port = Port::reserve();
        let mut running = Origin::plan("o").at((loopback(2), port.number()).into()).start().await;
        let mut proxy = Plan::new(PLAIN).set("origin", running.address()).start().await;
        let load = Load::plain(proxy.address("http"), HOST, "/load", 6);
        load.go_on(30).await;
        for next in [3, 4, 5] {
            let new = Origin::plan("o").at((loopback(next), port.number()).into()).start().await;
            proxy.set("origin", new.address());
            proxy.apply(PLAIN).await;
            eventually("the old one is drained", async || (running.open() == 0).then_some(())).await;
            running = new;
            load.go_on(30).await;
        }
        load.stop_unharmed().await;
    });
}

#[test]
fn no_exchange_fails_while_names_and_configuration_change_together() {
    scenario(async {
        let _alone = alone().await;
        let port = Port::reserve();
        let origin = async |n: u8| Origin::plan("o").at((loopback(n), port.number()).into()).start().await;
        let nameserver = Nameserver::start().await;
        nameserver.set("app.internal", &[loopback(2)]);
        let text = PLAIN.replace("@origin@", "app.internal:@port@")
            + "\n[[dns.zone]]\nsuffix = \"internal\"\nnameservers = [\"@nameserver@\"]\n[dns]\nttl_ceiling = \"@ceiling@\"\n";
        let plan = Plan::new(&*text).set("nameserver", nameserver.address()).set("port", port.number());
        let mut running = origin(2).await;
        let mut proxy = plan.set("ceiling", "60s").start().await;
        let load = Load::plain(proxy.address("http"), HOST, "/load", 6);
        load.go_on(30).await;
        for next in [3, 4, 5, 6] {
            let new = origin(next).await;
            nameserver.set("app.internal", &[loopback(next)]);
            // How names are looked up changes, and so who looks them up; the backend changes too.
            proxy.set("ceiling", format!("{}s", 60 + next));
            proxy.apply(&text.replace("endpoints =", &format!("retries = {next}\nendpoints ="))).await;
            eventually("the new address has work", async || (new.count() > 0).then_some(())).await;
            eventually("the old one is drained", async || (running.open() == 0).then_some(())).await;
            running = new;
            load.go_on(30).await;
        }
        load.stop_unharmed().await;
    });
}
