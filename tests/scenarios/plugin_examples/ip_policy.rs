use portcullis_tests::{client::raw::Raw, origin::Origin, scenario::scenario};

use super::plan;

const OFFICE: &str = r#"
grants = { log = true }
[plugin.ip-policy.config]
allow = ["203.0.113.0/24", "2001:db8::/32"]
deny = ["203.0.113.128/25"]
"#;

const CLIENTS: [(&str, u16); 5] = [
    ("TCP4 203.0.113.9 198.51.100.1", 200),
    ("TCP4 203.0.113.200 198.51.100.1", 403),
    ("TCP4 192.0.2.1 198.51.100.1", 403),
    ("TCP6 2001:db8::9 2001:db8::1", 200),
    ("TCP6 ::ffff:203.0.113.9 ::ffff:198.51.100.1", 200),
];

#[test]
fn the_client_that_a_trusted_peer_names_is_let_in_or_not() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan("ip-policy", "proxy_protocol = [\"127.0.0.0/8\"]", OFFICE)
            .set("origin", origin.address())
            .start()
            .await;
        let mut passed = 0;
        for (client, status) in CLIENTS {
            let mut raw = Raw::connect(proxy.address("http")).await;
            // A field that the client wrote by itself says nothing.
            let forged = if status == 200 { "192.0.2.1" } else { "203.0.113.9" };
            let request = format!("GET / HTTP/1.1\r\nhost: a.example\r\nx-forwarded-for: {forged}\r\n\r\n");
            raw.send(format!("PROXY {client} 4711 80\r\n{request}")).await;
            assert_eq!(raw.response().await.status, status, "{client}");
            passed += usize::from(status == 200);
        }
        assert_eq!(origin.count(), passed, "who is denied does not reach the backend");
    });
}

#[test]
fn a_trusted_forwarder_names_the_client() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy =
            plan("ip-policy", "trusted = [\"127.0.0.0/8\"]", OFFICE).set("origin", origin.address()).start().await;
        for (forwarded, status) in [("203.0.113.9", 200), ("203.0.113.200", 403), ("203.0.113.9, 192.0.2.1", 403)] {
            let mut raw = Raw::connect(proxy.address("http")).await;
            let request = format!("GET / HTTP/1.1\r\nhost: a.example\r\nx-forwarded-for: {forwarded}\r\n\r\n");
            assert_eq!(raw.exchange(request).await.status, status, "{forwarded}");
        }
    });
}

#[test]
fn a_dry_run_lets_pass_and_logs() {
    scenario(async {
        let origin = Origin::start().await;
        let table = "grants = { log = true }\nconfig = { deny = [\"127.0.0.0/8\"], dry_run = true }";
        let proxy = plan("ip-policy", "", table).set("origin", origin.address()).start().await;
        let mut raw = Raw::connect(proxy.address("http")).await;
        assert_eq!(raw.exchange("GET /door HTTP/1.1\r\nhost: a.example\r\n\r\n").await.status, 200);
        proxy.says("127.0.0.1 would be denied: GET a.example/door").await;
    });
}

#[test]
fn the_connection_can_be_closed_instead() {
    scenario(async {
        let origin = Origin::start().await;
        let table = "grants = { log = true }\nconfig = { deny = [\"127.0.0.0/8\"], close = true }";
        let proxy = plan("ip-policy", "", table).set("origin", origin.address()).start().await;
        let mut raw = Raw::connect(proxy.address("http")).await;
        raw.send("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
        assert!(raw.is_closed().await);
        assert_eq!(origin.count(), 0);
    });
}
