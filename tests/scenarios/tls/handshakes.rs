use std::{sync::Arc, time::Duration};

use portcullis_tests::{
    certificates::{authority, leaf},
    client::{http::Connection, raw::Raw},
    origin::Origin,
    proxy::{Plan, Proxy},
    scenario::{scenario, soon},
    tool::{Finished, Tool},
};
use rustls::version::{TLS12, TLS13};

use crate::ground::{TLS, tls};

const NAME: &str = "shop.example";

/// `openssl s_client`, with a request to be sent when the handshake is done.
async fn s_client(proxy: &Proxy, arguments: &[&str]) -> Finished {
    proxy.write("ca.pem", authority().pem());
    Tool::new("openssl")
        .args(["s_client", "-connect", &proxy.address("https").to_string(), "-servername", NAME])
        .args(["-CAfile".into(), proxy.folder().join("ca.pem")])
        .args(["-verify_return_error", "-ign_eof"])
        .args(arguments)
        .input(format!("GET /name HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\n\r\n"))
        .run()
        .await
}

#[test]
fn speaks_tls_1_2_and_1_3() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &[NAME]).await;
        for (version, name, logged) in [(&TLS12, "TLSv1_2", "TLSv1.2"), (&TLS13, "TLSv1_3", "TLSv1.3")] {
            let config = authority().client_with(&["http/1.1"], &[version]);
            let client = Connection::tls(proxy.address("https"), NAME, &config).await;
            assert_eq!(client.get(NAME, &format!("/{name}")).await.status, 200);
            assert_eq!(client.tls.as_ref().unwrap().version, name);
            let line = proxy.log_of(&format!("/{name}")).await;
            assert_eq!(
                (&line["tls"], &line["sni"], &line["certificate"]),
                (&logged.into(), &NAME.into(), &"leaf".into())
            );
            assert!(line["cipher"].as_str().unwrap().starts_with("TLS"), "{line}");
        }
    });
}

#[test]
fn openssl_shakes_hands_with_either_version() {
    scenario(async {
        let origin = Origin::named("behind").await;
        let proxy = tls(&origin, &[NAME]).await;
        for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
            let finished = s_client(&proxy, &[option]).await;
            assert!(finished.stdout.contains("Verify return code: 0 (ok)"), "{finished:?}");
            assert!(finished.stdout.contains(version) && finished.stdout.contains("behind"), "{finished:?}");
        }
        let finished = s_client(&proxy, &["-tls1_1"]).await;
        assert_ne!(finished.code, Some(0), "TLS 1.1 is refused: {finished:?}");
    });
}

#[test]
fn openssl_agrees_on_a_classical_group_where_it_knows_no_other() {
    scenario(async {
        let origin = Origin::named("behind").await;
        let proxy = tls(&origin, &[NAME]).await;
        let finished = s_client(&proxy, &["-groups", "X25519"]).await;
        assert!(finished.stdout.contains("Server Temp Key: X25519"), "{finished:?}");
        let finished = s_client(&proxy, &["-groups", "P-256"]).await;
        assert!(finished.stdout.contains("behind"), "{finished:?}");
    });
}

#[test]
fn the_post_quantum_group_comes_first() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &[NAME]).await;
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        use rustls::crypto::aws_lc_rs::kx_group::{X25519, X25519MLKEM768};
        for (groups, agreed) in [(vec![X25519MLKEM768, X25519], "X25519MLKEM768"), (vec![X25519], "X25519")] {
            provider.kx_groups = groups;
            let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider.clone()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(authority().roots())
                .with_no_client_auth();
            let client = Connection::tls(proxy.address("https"), NAME, &Arc::new(config)).await;
            assert_eq!(client.tls.as_ref().unwrap().key_exchange.as_deref(), Some(agreed));
        }
    });
}

#[test]
fn a_minimum_version_refuses_what_is_older() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &[NAME]).await;
        proxy.apply(&TLS.replace("tls = {}", "tls = { min_version = \"1.3\" }")).await;
        let config = authority().client_with(&[], &[&TLS12]);
        let address = proxy.address("https");
        assert!(portcullis_tests::client::tls(address, NAME, &config).await.is_err());
        let line = proxy.log_line(|line| line["kind"] == "refused").await;
        assert_eq!((&line["origin"], &line["status"]), (&"client".into(), &0.into()));
        assert!(proxy.counter("handshake_errors").await >= 1);
        let config = authority().client_with(&[], &[&TLS13]);
        assert_eq!(Connection::tls(address, NAME, &config).await.get(NAME, "/").await.status, 200);
    });
}

#[test]
fn agrees_on_the_protocol_by_alpn() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &[NAME]).await;
        let address = proxy.address("https");
        let cases: [(&[&str], Option<&str>, &str); 4] = [
            (&["h2", "http/1.1"], Some("h2"), "HTTP/2.0"),
            (&["http/1.1", "h2"], Some("h2"), "HTTP/2.0"),
            (&["http/1.1"], Some("http/1.1"), "HTTP/1.1"),
            (&[], None, "HTTP/1.1"),
        ];
        for (number, (offered, agreed, version)) in cases.into_iter().enumerate() {
            let client = Connection::tls(address, NAME, &authority().client(offered)).await;
            assert_eq!(client.tls.as_ref().unwrap().alpn.as_deref(), agreed);
            assert_eq!(client.get(NAME, &format!("/{number}")).await.status, 200);
            assert_eq!(proxy.log_of(&format!("/{number}")).await["version"], version);
        }
        let unknown = authority().client(&["spdy/3"]);
        assert!(portcullis_tests::client::tls(address, NAME, &unknown).await.is_err());

        proxy.apply(&TLS.replace("tls = {}", "tls = { h2 = false }")).await;
        let client = Connection::tls(address, NAME, &authority().client(&["h2", "http/1.1"])).await;
        assert_eq!(client.tls.as_ref().unwrap().alpn.as_deref(), Some("http/1.1"));
    });
}

#[test]
fn silent_clients_are_closed_at_the_deadline_and_never_hold_up_others() {
    scenario(async {
        let origin = Origin::start().await;
        let text = TLS.replace("tls = {}", "tls = { handshake_time = \"1s\" }");
        let proxy = Plan::new(text).leaf("leaf", &leaf(&[NAME])).set("origin", origin.address()).start().await;
        let mut silent = Vec::new();
        for _ in 0..50 {
            silent.push(Raw::connect(proxy.address("https")).await);
        }
        let work = async {
            let client = Connection::tls(proxy.address("https"), NAME, &authority().client(&[])).await;
            assert_eq!(client.get(NAME, "/").await.status, 200);
        };
        tokio::time::timeout(Duration::from_millis(900), work).await.expect("others do not wait for the silent");
        for client in &mut silent {
            drop(client.read_to_end().await);
        }
        soon("they are counted", async {
            while proxy.counter("handshake_timeouts").await < 50 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    });
}

#[test]
fn plain_http_on_a_tls_port_is_refused_and_the_log_says_what_it_was() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &[NAME]).await;
        let mut client = Raw::connect(proxy.address("https")).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        drop(client.read_to_end().await);
        let line = proxy.log_line(|line| line["kind"] == "refused").await;
        assert!(line["detail"].as_str().unwrap().to_lowercase().contains("http"), "{line}");
    });
}

#[test]
fn garbage_instead_of_a_handshake_is_refused_and_logged() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &[NAME]).await;
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20 {
            let mut client = Raw::connect(proxy.address("https")).await;
            let mut bytes: Vec<u8> = (0..random.usize(1..2000)).map(|_| random.u8(..)).collect();
            if random.bool() {
                bytes.splice(0..1, [22, 3, 1]);
            }
            client.send(bytes).await;
            client.finish().await;
            drop(client.read_to_end().await);
        }
        let client = Connection::tls(proxy.address("https"), NAME, &authority().client(&[])).await;
        assert_eq!(client.get(NAME, "/").await.status, 200);
        assert_eq!(proxy.counter("panics").await, 0);
        assert_eq!(proxy.counter("handshake_errors").await, 20);
    });
}
