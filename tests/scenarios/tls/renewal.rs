use portcullis_tests::{
    certificates::{authority, leaf},
    client::{http::Connection, websocket::WebSocket},
    origin::Origin,
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario},
};

use crate::ground::{TLS, tls};

const NAME: &str = "shop.example";

async fn shown(proxy: &Proxy) -> Vec<u8> {
    // A configuration of its own: nothing is resumed.
    let client = Connection::tls(proxy.address("https"), NAME, &authority().client(&["http/1.1"])).await;
    assert_eq!(client.get(NAME, "/").await.status, 200);
    client.tls.clone().unwrap().leaf
}

#[test]
fn renewed_files_are_shown_without_touching_the_configuration() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &[NAME]).await;
        let old = shown(&proxy).await;
        let open = Connection::tls(proxy.address("https"), NAME, &authority().client(&["h2"])).await;
        assert_eq!(open.get(NAME, "/").await.status, 200);
        let renewed = leaf(&[NAME]);
        proxy.write_leaf("leaf", &renewed);
        eventually("the new certificate is shown", async || (shown(&proxy).await == renewed.der()).then_some(())).await;
        assert_ne!(old, renewed.der());
        // What was open goes on.
        assert_eq!(open.get(NAME, "/").await.status, 200);
        let line = proxy.says("certificates").await;
        assert!(line.contains("leaf") && line.contains("changed"), "{line}");
    });
}

#[test]
fn a_pair_half_written_leaves_the_old_certificate_until_it_is_whole() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &[NAME]).await;
        let old = shown(&proxy).await;
        let renewed = leaf(&[NAME]);
        // The key first, as some clients write them; the certificate later.
        proxy.write("leaf.key", &renewed.key);
        let says = proxy.says("leaf.key").await;
        assert!(says.contains("leaf.pem"), "both files are named: {says}");
        assert_eq!(shown(&proxy).await, old);
        proxy.write("leaf.pem", &renewed.cert);
        eventually("the new certificate is shown", async || (shown(&proxy).await == renewed.der()).then_some(())).await;
    });
}

#[test]
fn a_pair_that_does_not_match_fails_the_start_and_names_both_files() {
    scenario(async {
        let (one, two) = (leaf(&[NAME]), leaf(&[NAME]));
        let refused = Plan::new(TLS)
            .set("origin", "127.0.0.1:1")
            .file("leaf.pem", one.cert)
            .file("leaf.key", two.key)
            .refused()
            .await;
        assert_eq!(refused.status.code(), Some(1));
        assert!(refused.says.contains("leaf.pem") && refused.says.contains("leaf.key"), "{}", refused.says);
    });
}

#[test]
fn a_missing_certificate_fails_the_start_and_names_the_file() {
    scenario(async {
        let refused = Plan::new(TLS).set("origin", "127.0.0.1:1").file("leaf.key", leaf(&[NAME]).key).refused().await;
        assert_eq!(refused.status.code(), Some(1));
        assert!(refused.says.contains("leaf.pem"), "{}", refused.says);
    });
}

#[test]
fn a_session_is_resumed_across_a_reload() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &[NAME]).await;
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let config = authority().client_with(&["http/1.1"], &[version]);
            let first = Connection::tls(proxy.address("https"), NAME, &config).await;
            assert!(!first.tls.as_ref().unwrap().is_resumed);
            // Tickets come with the first bytes.
            assert_eq!(first.get(NAME, "/").await.status, 200);
            let again = Connection::tls(proxy.address("https"), NAME, &config).await;
            assert!(again.tls.as_ref().unwrap().is_resumed, "without a reload, {version:?}");
            assert_eq!(again.get(NAME, "/").await.status, 200);

            let text = TLS.replace("[[route]]", "[[route]]\nname = \"@name@\"");
            let mark = format!("route-{version:?}").replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            proxy.apply(&text.replace("@name@", &mark)).await;
            let after = Connection::tls(proxy.address("https"), NAME, &config).await;
            assert!(after.tls.as_ref().unwrap().is_resumed, "after a reload, {version:?}");
            assert_eq!(after.get(NAME, &format!("/{mark}")).await.status, 200);
            assert_eq!(proxy.log_of(&format!("/{mark}")).await["resumed"], true);
        }
    });
}

#[test]
fn a_websocket_over_tls_stays_open_while_its_certificate_is_renewed() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &[NAME]).await;
        let config = authority().client(&["http/1.1"]);
        let mut socket = WebSocket::open_tls(proxy.address("https"), NAME, "/websocket", &config).await.unwrap();
        assert_eq!(socket.echo("before").await.unwrap(), "before");
        proxy.write_leaf("leaf", &leaf(&[NAME]));
        proxy.reload_seen(2).await;
        assert_eq!(socket.echo("after").await.unwrap(), "after");
    });
}
