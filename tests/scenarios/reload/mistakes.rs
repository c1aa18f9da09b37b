use portcullis_tests::{
    certificates::{authority, leaf},
    client::http::{Connection, get},
    client::load::Load,
    origin::Origin,
    port::Port,
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario},
};
use tokio::net::TcpListener;

use crate::ground::{PLAIN, TLS, plain};

/// Waits for the failed attempt, and checks that the first configuration serves on.
async fn kept(proxy: &Proxy, failures: u64, says: &str) {
    let status = eventually("the attempt has failed", async || {
        let status = proxy.status().await;
        (status["reload"]["failures"].as_u64() >= Some(failures)).then_some(status)
    })
    .await;
    assert_eq!(status["generation"], 1, "{status}");
    let error = status["reload"]["error"].as_str().unwrap();
    assert!(error.contains(says), "{says:?} is not in\n{error}");
    assert!(status["state"].as_str().unwrap().contains("older configuration"), "{status}");
    proxy.says("generation 1 serves on").await;
}

#[test]
fn a_mistake_changes_nothing_and_is_reported_with_its_place() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(client.get("x", "/").await.status, 200);
        let mistakes = [
            ("this is not TOML", "portcullis.toml:3:"),
            ("", "listener"),
            (&PLAIN.replace("backend = \"app\"", "backend = \"ap\""), "app"),
            (&PLAIN.replace("[[listener]]", "[[listner]]"), "listener"),
            (&PLAIN.replace("endpoints = [\"http://@origin@\"]", "endpoints = [\"http://"), "portcullis.toml:"),
            (&format!("{PLAIN}[[route]]\nbackend = \"app\"\n"), "portcullis.toml:"),
            (&format!("{PLAIN}[limits]\nheader_time = 5\n"), "5"),
        ];
        for (number, (text, says)) in mistakes.iter().enumerate() {
            proxy.edit(text);
            kept(&proxy, number as u64 + 1, says).await;
            assert_eq!(client.get("x", "/").await.status, 200, "{text}");
            assert_eq!(get(proxy.address("http"), "x", "/").await.status, 200, "{text}");
        }
        assert_eq!(origin.connections(), origin.open(), "no connection was lost");
        // Right again, and a change.
        proxy.apply(&PLAIN.replace("[[route]]\n", "[[route]]\nname = \"well\"\n")).await;
        let status = proxy.status().await;
        assert_eq!((&status["generation"], &status["state"]), (&2.into(), &"running".into()));
        assert!(status["reload"]["error"].is_null());
    });
}

#[test]
fn a_missing_certificate_and_one_that_does_not_match_keep_the_old_one() {
    scenario(async {
        let origin = Origin::start().await;
        let plan = Plan::new(TLS).leaf("leaf", &leaf(&["x.example"])).set("origin", origin.address());
        let proxy = plan.file("other.key", leaf(&["x.example"]).key).start().await;
        proxy.edit(&TLS.replace("leaf.pem", "missing.pem"));
        kept(&proxy, 1, "missing.pem").await;
        proxy.edit(&TLS.replace("leaf.key", "other.key"));
        kept(&proxy, 2, "other.key").await;
        std::fs::remove_file(proxy.folder().join("leaf.pem")).unwrap();
        proxy.edit(TLS);
        kept(&proxy, 3, "leaf.pem").await;
        let client = Connection::tls(proxy.address("https"), "x.example", &authority().client(&["h2"])).await;
        assert_eq!(client.get("x.example", "/").await.status, 200);
    });
}

#[test]
fn a_port_in_use_keeps_everything_as_it_was() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        // A free port, one in use, and another change: none of the three happens.
        let text = PLAIN.replace("[[route]]\n", "[[route]]\nrequest_headers = { set = { x-new = \"1\" } }\n");
        let text = format!(
            "{text}\n[[listener]]\nname = \"free\"\naddress = \"127.0.0.1:@free@\"\n\
             [[listener]]\nname = \"taken\"\naddress = \"127.0.0.1:{port}\"\n"
        );
        proxy.edit(&text);
        kept(&proxy, 1, &port.to_string()).await;
        assert!(tokio::net::TcpStream::connect(proxy.address("free")).await.is_err());
        assert!(get(proxy.address("http"), "x", "/").await.seen("x-new").is_empty());
        drop(taken);
        // Nobody tells the proxy that the port is free.
        assert_eq!(proxy.command(&["reload"]).await.code, Some(0));
        assert_eq!(get(proxy.address("free"), "x", "/").await.seen("x-new"), ["1"]);
        assert_eq!(proxy.generation().await, 2);
    });
}

#[test]
fn a_file_written_piece_by_piece_is_taken_when_it_is_whole() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let load = Load::plain(proxy.address("http"), "x", "/", 2);
        let text = proxy.config_text(&PLAIN.replace("[[route]]\n", "[[route]]\nname = \"whole\"\n"));
        let ends = [text.find("address").unwrap(), text.find("backend =").unwrap() + 12, text.len() - 9];
        for (failures, end) in (1..).zip(ends) {
            proxy.write("portcullis.toml", &text[..end]);
            kept(&proxy, failures, "portcullis.toml").await;
        }
        proxy.write("portcullis.toml", &text);
        proxy.reload_seen(2).await;
        load.stop_unharmed().await;
    });
}

#[test]
fn a_file_that_is_gone_changes_nothing_until_it_is_back() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        std::fs::remove_file(proxy.folder().join("portcullis.toml")).unwrap();
        kept(&proxy, 1, "portcullis.toml").await;
        assert_eq!(get(proxy.address("http"), "x", "/").await.status, 200);
        proxy.edit(&PLAIN.replace("[[route]]\n", "[[route]]\nname = \"back\"\n"));
        proxy.reload_seen(2).await;
    });
}

#[test]
fn the_command_reload_prints_the_mistake_and_fails() {
    scenario(async {
        let port = Port::reserve();
        let proxy = Plan::new(PLAIN).set("origin", port.address()).start().await;
        proxy.edit(&PLAIN.replace("backend = \"app\"", "backend = \"ap\""));
        let finished = proxy.command(&["reload"]).await;
        assert_eq!(finished.code, Some(1));
        let says = format!("{}{}", finished.stdout, finished.stderr);
        for part in ["portcullis.toml:", "`ap`", "^", "did you mean"] {
            assert!(says.contains(part), "{part} is not in\n{says}");
        }
    });
}
