use std::net::TcpListener;

use portcullis_tests::{
    certificates::leaf,
    client::{
        http::{Connection, get},
        raw::Raw,
    },
    origin::Origin,
    port::Port,
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario},
};

use crate::ground::{PLAIN, TLS, plain};

/// Waits until a reload has failed `failures` times, checks that all is as before, and gives what was said.
async fn refused(proxy: &Proxy, failures: u64) -> String {
    let status = eventually(&format!("reload {failures} has failed"), async || {
        let status = proxy.status().await;
        (status["reload"]["failures"].as_u64() >= Some(failures)).then_some(status)
    })
    .await;
    assert_eq!(status["generation"], 1, "the old configuration is in force");
    status["reload"]["error"].as_str().unwrap_or_else(|| panic!("{status}")).to_owned()
}

#[test]
fn a_change_with_mistakes_is_refused_with_its_place_and_the_old_one_serves_on() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let client = Connection::h1(proxy.address("http")).await;
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let more = |text: &str| format!("{PLAIN}\n{text}");
        let cases = [
            ("does not parse", more("[[listener]\nname = \"x\""), "portcullis.toml:"),
            ("a string without an end", more("[log]\naccess = \"json"), "portcullis.toml:"),
            ("an unknown key", PLAIN.replace("address", "adress"), "did you mean `address`"),
            ("an unknown backend", PLAIN.replace("backend = \"app\"", "backend = \"apq\""), "did you mean `app`"),
            ("an unknown listener", PLAIN.replace("[[route]]", "[[route]]\nlistener = \"https\""), "https"),
            ("a wrong type", PLAIN.replace("name = \"http\"", "name = 5"), "portcullis.toml:"),
            ("a duration without a unit", format!("[limits]\nheader_time = 5\n{PLAIN}"), "unit"),
            ("a regex that does not compile", PLAIN.replace("[[route]]", "[[route]]\npath_regex = \"(\""), "regex"),
            ("no endpoint", PLAIN.replace("\"http://@origin@\"", ""), "endpoint"),
            ("the same name twice", more("[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@other@\""), "http"),
            (
                "one address twice",
                more("[[listener]]\nname = \"two\"\naddress = \"127.0.0.1:@http@\""),
                "portcullis.toml:",
            ),
            (
                "a missing certificate",
                more(
                    "[[listener]]\nname = \"s\"\naddress = \"127.0.0.1:@s@\"\ntls = {}\n[[certificate]]\ncert = \"gone.pem\"\nkey = \"gone.key\"",
                ),
                "gone.pem",
            ),
            (
                "a port in use",
                more(&format!("[[listener]]\nname = \"b\"\naddress = \"127.0.0.1:{port}\"")),
                "another process listens there",
            ),
            (
                "an address of somebody else",
                more("[[listener]]\nname = \"b\"\naddress = \"192.0.2.1:@b@\""),
                "no interface",
            ),
            (
                "a missing authority",
                PLAIN.replace("[\"http://@origin@\"]", "[\"https://127.0.0.1:1\"]\ntls = { ca = \"gone-ca.pem\" }"),
                "gone-ca.pem",
            ),
        ];
        for (number, (what, text, says)) in cases.into_iter().enumerate() {
            proxy.edit(&text);
            let error = refused(&proxy, number as u64 + 1).await;
            assert!(error.contains(says), "{what}: {error}");
            assert_eq!(client.get("a.example", "/").await.status, 200, "{what}: the old connection serves");
            assert_eq!(get(proxy.address("http"), "a.example", "/").await.status, 200, "{what}: new ones too");
            proxy.says(error.lines().next().unwrap()).await;
        }
        let workers = proxy.status().await["workers"].as_u64().unwrap();
        assert!(origin.connections() as u64 <= workers, "no pool was lost: each worker has one connection");
        proxy.apply(&more("[[route]]\nhost = \"new.example\"\nrespond = { status = 204 }\n")).await;
        assert_eq!(client.get("new.example", "/").await.status, 204);
    });
}

#[test]
fn all_mistakes_are_told_at_once() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let text = PLAIN.replace("address", "adress").replace("backend = \"app\"", "backend = \"apq\"");
        proxy.edit(&format!("{text}\n[log]\nlevel = \"loud\"\n"));
        let error = refused(&proxy, 1).await;
        for part in ["adress", "apq", "loud", "errors in"] {
            assert!(error.contains(part), "{part} in {error}");
        }
    });
}

#[test]
fn a_half_written_file_changes_nothing_until_the_rest_is_there() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let client = Connection::h1(proxy.address("http")).await;
        // The mark is at the end, so that no cut makes a whole configuration.
        let whole = format!("{PLAIN}\n[[route]]\nhost = \"new.example\"\nrespond = {{ status = 204 }}\n");
        let mut failures = 0;
        for cut in [0, 1, 30, PLAIN.len() - 10, whole.len() - 30, whole.len() - 3] {
            proxy.overwrite(&whole[..cut]);
            failures += 1;
            refused(&proxy, failures).await;
            assert_eq!(client.get("new.example", "/").await.status, 200, "cut after {cut}: the old route");
        }
        proxy.overwrite(&whole);
        proxy.reload_seen(2).await;
        assert_eq!(client.get("new.example", "/").await.status, 204);
    });
}

#[test]
fn a_file_that_is_gone_or_no_text_changes_nothing() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        std::fs::remove_file(proxy.folder().join("portcullis.toml")).unwrap();
        let error = refused(&proxy, 1).await;
        assert!(error.contains("portcullis.toml"), "{error}");
        proxy.write("portcullis.toml", b"\xff\xfe[\x00[\x00");
        let error = refused(&proxy, 2).await;
        assert!(error.contains("UTF-8"), "{error}");
        assert_eq!(get(proxy.address("http"), "a.example", "/").await.status, 200);
        proxy.edit(PLAIN);
        eventually("all is well again", async || (proxy.status().await["state"] == "running").then_some(())).await;
    });
}

#[test]
fn a_certificate_that_goes_missing_or_breaks_is_shown_on() {
    scenario(async {
        let origin = Origin::start().await;
        let leaf = leaf(&["shop.example"]);
        let proxy = Plan::new(TLS).leaf("leaf", &leaf).set("origin", origin.address()).start().await;
        let config = portcullis_tests::certificates::authority().client(&["http/1.1"]);
        let works = async || {
            let client = Connection::tls(proxy.address("https"), "shop.example", &config).await;
            assert_eq!(client.get("shop.example", "/").await.status, 200);
        };
        let other = portcullis_tests::certificates::leaf(&["shop.example"]);
        let mut failures = 0;
        for (what, content) in [
            ("empty", String::new()),
            ("half", leaf.cert[..leaf.cert.len() / 2].to_owned()),
            ("not PEM", "not a certificate".to_owned()),
            ("not matching", other.cert.clone()),
        ] {
            proxy.write("leaf.pem", content);
            failures += 1;
            let error = refused(&proxy, failures).await;
            assert!(error.contains("leaf.pem"), "{what}: {error}");
            if what == "not matching" {
                assert!(error.contains("leaf.key"), "both files are named: {error}");
            }
            works().await;
        }
        std::fs::remove_file(proxy.folder().join("leaf.key")).unwrap();
        let error = refused(&proxy, failures + 1).await;
        assert!(error.contains("leaf.key"), "{error}");
        works().await;
        proxy.write_leaf("leaf", &other);
        proxy.reload_seen(2).await;
        works().await;
    });
}

#[test]
fn a_start_that_cannot_be_says_what_and_where_and_ends_with_status_1() {
    scenario(async {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let cases = [
            ("= broken", vec!["portcullis.toml:"]),
            ("", vec!["listener"]),
            (
                "[[listener]]\naddress = \"127.0.0.1:@a@\"\n[[route]]\nbackend = \"gone\"",
                vec!["portcullis.toml:", "gone"],
            ),
            (&*PLAIN.replace("@http@", &port.to_string()), vec!["cannot listen on", "ss -ltnp"]),
            (TLS, vec!["leaf.pem"]),
            (&*format!("[log]\nfile = \"/nowhere/at/all.log\"\n{PLAIN}"), vec!["/nowhere/at/all.log"]),
        ];
        for (text, says) in cases {
            let refused = Plan::new(text).set("origin", "127.0.0.1:1").refused().await;
            assert_eq!(refused.status.code(), Some(1), "{}", refused.says);
            for part in says {
                assert!(refused.says.contains(part), "{part}: {}", refused.says);
            }
            assert!(!refused.says.contains("panicked") && !refused.says.contains("error: error"), "{}", refused.says);
        }
    });
}

#[test]
fn a_start_on_one_port_in_use_takes_none() {
    scenario(async {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!("{PLAIN}\n[[listener]]\nname = \"busy\"\naddress = \"{}\"\n", held.local_addr().unwrap());
        let refused = Plan::new(text).set("origin", "127.0.0.1:1").refused().await;
        assert_eq!(refused.status.code(), Some(1));
        let free = refused.ports["http"];
        assert!(TcpListener::bind(("127.0.0.1", free)).is_ok(), "the other port is free");
    });
}

#[test]
fn two_listeners_on_one_address_name_both_lines() {
    scenario(async {
        let text = format!("{PLAIN}\n[[listener]]\nname = \"all\"\naddress = \"0.0.0.0:@http@\"\n");
        let refused = Plan::new(text).set("origin", "127.0.0.1:1").refused().await;
        let places = refused.says.matches("portcullis.toml:").count();
        assert!(places >= 2 && refused.says.contains("the first one is here"), "{}", refused.says);
    });
}

#[test]
fn a_name_that_does_not_resolve_is_503_for_that_backend_alone() {
    scenario(async {
        let (origin, nowhere) = (Origin::start().await, Port::reserve());
        let text = format!(
            "{PLAIN}\n[[route]]\nhost = \"lost.example\"\nbackend = \"lost\"\n\
             [backend.lost]\nendpoints = [\"http://app.private.internal:80\"]\n\
             [dns]\ntime = \"500ms\"\n[[dns.zone]]\nsuffix = \"private.internal\"\nnameservers = [\"@nowhere@\"]\n"
        );
        let proxy = Plan::new(text).set("origin", origin.address()).set("nowhere", nowhere.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let answer = client.exchange("GET /lost HTTP/1.1\r\nhost: lost.example\r\n\r\n").await;
        assert_eq!(answer.status, 503);
        let line = proxy.log_of("/lost").await;
        assert!(line["detail"].as_str().unwrap().contains("app.private.internal"), "{line}");
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    });
}
