use std::os::unix::fs::PermissionsExt as _;

use portcullis_tests::{client::http::Connection, named::Named, scenario::scenario};

use super::{ONE, certified, client, failed, ground};

/// Tells pebble's nameserver, and writes down what it was asked for.
const HOOK: &str = r#"#!/bin/sh
echo "$1 $2" >> "$CALLS"
case "$1" in
    add) exec curl -sSf -d "{\"host\":\"$2.\",\"value\":\"$3\"}" "$MANAGEMENT/set-txt" ;;
    remove) exec curl -sSf -d "{\"host\":\"$2.\"}" "$MANAGEMENT/clear-txt" ;;
esac
"#;

#[test]
fn a_program_proves_a_wildcard() {
    scenario(async {
        let text = ONE.replace("host = \"a.example.com\"", "host = \"*.example.com\"");
        let (plan, pebble) = ground(&text, |choice| {
            choice.http = None;
            choice.tls = None;
        })
        .await;
        let plan = plan.file("hook", HOOK);
        std::fs::set_permissions(plan.folder().join("hook"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let calls = plan.folder().join("calls");
        let proxy = plan
            .environment("MANAGEMENT", &pebble.management_of_names())
            .environment("CALLS", calls.to_str().unwrap())
            .set("acme", "challenge = \"dns-01\"\ndns = { program = \"hook\" }")
            .start()
            .await;
        certified(&proxy, "*.example.com", "valid").await;
        let connection = Connection::tls(proxy.address("https"), "any.example.com", &client(&pebble).await).await;
        assert_eq!(connection.get("any.example.com", "/").await.status, 204);
        let calls = std::fs::read_to_string(calls).unwrap();
        assert_eq!(calls, "add _acme-challenge.example.com\nremove _acme-challenge.example.com\n");
        assert!(proxy.error_log().contains("was issued and is served"), "{}", proxy.error_log());
    });
}

#[test]
fn a_program_that_fails_is_quoted() {
    scenario(async {
        let (plan, _pebble) = ground(ONE, |_| ()).await;
        let proxy = plan
            .set("acme", "challenge = \"dns-01\"\ndns = { program = \"/bin/sh\", arguments = [\"-c\", \"echo no such zone >&2; exit 1\"] }")
            .start()
            .await;
        let listed = failed(&proxy, "a.example.com").await;
        assert_eq!(listed["error_kind"], "dns_update", "{listed}");
        assert!(listed["error"].as_str().unwrap().contains("no such zone"), "{listed}");
    });
}

#[test]
fn a_nameserver_takes_signed_updates() {
    scenario(async {
        let named = Named::start("example.com").await;
        let text = ONE.replace("host = \"a.example.com\"", "host = [\"*.example.com\", \"deep.below.example.com\"]");
        let (plan, _pebble) = ground(&text, |choice| choice.nameserver = Some(named.address())).await;
        let key = format!("{{ name = \"{}\", secret_file = \"secret\" }}", Named::KEY);
        let dns = format!("dns = {{ rfc2136 = {{ server = \"{}\", key = {key} }} }}", named.address());
        let proxy = plan
            .file("secret", format!("{}\n", Named::SECRET))
            .set("acme", format!("challenge = \"dns-01\"\n{dns}"))
            .start()
            .await;
        certified(&proxy, "*.example.com", "valid").await;
        certified(&proxy, "deep.below.example.com", "valid").await;
        // What was added is gone again.
        let answer = portcullis_tests::tool::Tool::new("dig")
            .args(["+short", "+tcp", "-p", &named.address().port().to_string(), "@127.0.0.1", "TXT"])
            .args(["_acme-challenge.example.com"])
            .output()
            .await;
        assert_eq!(answer.trim(), "");
    });
}

#[test]
fn a_nameserver_that_refuses_is_quoted() {
    scenario(async {
        let named = Named::start("example.com").await;
        let (plan, _pebble) = ground(ONE, |choice| choice.nameserver = Some(named.address())).await;
        let dns = format!("dns = {{ rfc2136 = {{ server = \"{}\", zone = \"example.com\" }} }}", named.address());
        let proxy = plan.set("acme", format!("challenge = \"dns-01\"\n{dns}")).start().await;
        let listed = failed(&proxy, "a.example.com").await;
        assert_eq!(listed["error_kind"], "dns_update", "{listed}");
        assert!(listed["error"].as_str().unwrap().contains("refuses the update"), "{listed}");
    });
}
