use portcullis_tests::{
    certificates::leaf,
    client::{
        http::{Connection, get},
        raw::Raw,
    },
    origin::Origin,
    proxy::Plan,
    scenario::{eventually, scenario},
};

use crate::ground::{PLAIN, TLS, plain};

#[test]
fn shows_listeners_backends_certificates_and_counters() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(TLS).leaf("leaf", &leaf(&["shop.example"])).set("origin", origin.address()).start().await;
        let config = portcullis_tests::certificates::authority().client(&[]);
        let client = Connection::tls(proxy.address("https"), "shop.example", &config).await;
        client.get("shop.example", "/").await;
        let status = eventually("the exchange is over", async || {
            let status = proxy.status().await;
            (status["counters"]["exchanges_open"] == 0).then_some(status)
        })
        .await;
        assert_eq!(status["state"], "running");
        assert_eq!(status["pid"], proxy.pid());
        assert_eq!((&status["generation"], &status["routes"]), (&1.into(), &1.into()));
        assert!(status["config"].as_str().unwrap().ends_with("portcullis.toml"));
        assert!(status["version"].as_str().unwrap().starts_with(env!("CARGO_PKG_VERSION")), "{status}");
        let listener = &status["listeners"][0];
        assert_eq!((&listener["name"], &listener["tls"]), (&"https".into(), &true.into()));
        assert_eq!(listener["addresses"][0], proxy.address("https").to_string());
        assert_eq!((&listener["connections"], &listener["limit"]), (&1.into(), &16384.into()));
        let endpoint = &status["backends"][0]["endpoints"][0];
        assert_eq!((&endpoint["address"], &endpoint["state"]), (&origin.address().to_string().into(), &"good".into()));
        assert_eq!((&endpoint["connections"], &endpoint["idle"], &endpoint["open"]), (&1.into(), &1.into(), &0.into()));
        let certificate = &status["certificates"][0];
        assert_eq!((&certificate["name"], &certificate["covers"][0]), (&"leaf".into(), &"shop.example".into()));
        assert!(certificate["left_seconds"].as_u64().unwrap() > 0);
        let expected = [
            ("connections", 1),
            ("connections_open", 1),
            ("handshakes", 1),
            ("exchanges", 1),
            ("exchanges_forwarded", 1),
            ("panics", 0),
        ];
        for (counter, value) in expected {
            assert_eq!(status["counters"][counter], value, "{counter} in {status}");
        }
    });
}

#[test]
fn counters_follow_what_happens() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut slow = Raw::connect(proxy.address("http")).await;
        slow.send("GET /slow?ms=60000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        eventually("it is open", async || (proxy.counter("exchanges_open").await == 1).then_some(())).await;
        assert_eq!(proxy.status().await["backends"][0]["endpoints"][0]["open"], 1);
        drop(slow);
        eventually("it is over", async || {
            let status = proxy.status().await;
            let open = (&status["counters"]["exchanges_open"], &status["counters"]["connections_open"]);
            (open == (&0.into(), &0.into())).then_some(())
        })
        .await;
        assert_eq!(proxy.status().await["backends"][0]["endpoints"][0]["open"], 0);
    });
}

#[test]
fn a_failed_reload_shows_until_one_succeeds() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        proxy.edit(&PLAIN.replace("backend = \"app\"", "backend = \"ap\""));
        let status = eventually("the failure shows", async || {
            let status = proxy.status().await;
            status["reload"]["error"].is_string().then_some(status)
        })
        .await;
        assert!(status["state"].as_str().unwrap().contains("last reload failed"), "{status}");
        assert!(status["reload"]["error"].as_str().unwrap().contains("did you mean `app`"), "{status}");
        assert_eq!(status["reload"]["failures"], 1);
        assert_eq!(get(proxy.address("http"), "a", "/").await.status, 200);
        let text = proxy.command(&["status"]).await.stdout;
        assert!(text.contains("last reload failed"), "{text}");
        proxy.edit(PLAIN);
        eventually("all is well again", async || {
            let status = proxy.status().await;
            (status["state"] == "running" && status["reload"]["error"].is_null()).then_some(())
        })
        .await;
    });
}
