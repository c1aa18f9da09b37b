use std::os::unix::fs::PermissionsExt as _;

use portcullis_tests::{
    certificates::authority,
    client::tls,
    scenario::{eventually_within, scenario},
};

use super::{ONE, WITHIN, failed, ground, shown};

#[test]
fn a_folder_that_cannot_be_used_is_an_error_of_the_start() {
    scenario(async {
        let (plan, _pebble) = ground(ONE, |_| ()).await;
        let refused = plan.file("state", "in the way").refused().await;
        assert!(!refused.status.success());
        assert!(refused.says.contains("[acme] state") && refused.says.contains("/state"), "{}", refused.says);
    });
    scenario(async {
        let (plan, _pebble) = ground(ONE, |_| ()).await;
        let plan = plan.file("state/x", "");
        std::fs::set_permissions(plan.folder().join("state"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let refused = plan.refused().await;
        assert!(refused.says.contains("chmod 700"), "{}", refused.says);
    });
}

#[test]
fn an_authority_that_is_away_at_the_start_keeps_nobody_from_serving() {
    scenario(async {
        let (plan, mut pebble) = ground(ONE, |_| ()).await;
        pebble.stop();
        let proxy = plan.start().await;
        let listed = failed(&proxy, "a.example.com").await;
        assert_eq!(listed["error_kind"], "authority", "{listed}");
        let status = proxy.status().await;
        assert_eq!(status["ready"], true);
        assert_eq!(status["acme"]["failed_by_kind"]["authority"], 1, "{status}");
        // A client is told that there is none; the log says why.
        assert!(tls(proxy.address("https"), "a.example.com", &authority().client(&[])).await.is_err());
        let line = proxy.log_line(|line| line["kind"] == "refused").await;
        assert!(line["detail"].as_str().unwrap().contains("no certificate for `a.example.com` yet"), "{line}");
        let found = proxy.command_on_config(&["check", "--online"]).await;
        assert_eq!(found.code, Some(1), "{found:?}");
        assert!(format!("{found:?}").contains("[acme] directory"), "{found:?}");
        assert!(format!("{found:?}").contains("certificate of a.example.com"), "{found:?}");
        pebble.start_again().await;
        let done = proxy.command(&["certs", "renew", "a.example.com"]).await;
        assert_eq!(done.code, Some(0), "{done:?}");
        shown(&proxy, &pebble, "a.example.com").await;
    });
}

#[test]
fn a_failed_renewal_leaves_the_certificate_in_service() {
    scenario(async {
        let (plan, mut pebble) = ground(ONE, |_| ()).await;
        let proxy = plan.start().await;
        let first = shown(&proxy, &pebble, "a.example.com").await;
        let root = super::client(&pebble).await;
        pebble.stop();
        let done = proxy.command(&["certs", "renew", "a.example.com"]).await;
        assert_eq!(done.code, Some(1), "{done:?}");
        let listed = failed(&proxy, "a.example.com").await;
        assert_eq!(listed["state"], "valid", "{listed}");
        let client =
            portcullis_tests::client::http::Connection::tls(proxy.address("https"), "a.example.com", &root).await;
        assert_eq!(client.tls.clone().unwrap().leaf, first);
    });
}

#[test]
fn a_host_that_fails_holds_up_no_other() {
    scenario(async {
        let text = ONE.replace("\"a.example.com\"", "[\"a.example.com\", \"blocked.example.com\"]");
        let (plan, pebble) = ground(&text, |choice| choice.blocked = vec!["blocked.example.com".into()]).await;
        let proxy = plan.start().await;
        shown(&proxy, &pebble, "a.example.com").await;
        let listed = failed(&proxy, "blocked.example.com").await;
        assert_eq!(listed["error_kind"], "refused", "{listed}");
        assert!(listed["next"].is_string());
        // Once per back-off, not per handshake.
        for _ in 0..5 {
            assert!(tls(proxy.address("https"), "blocked.example.com", &authority().client(&[])).await.is_err());
        }
        assert_eq!(super::listed(&proxy, "blocked.example.com").await.unwrap()["failures"], 1);
    });
}

#[test]
fn what_the_authority_cannot_reach_is_said() {
    scenario(async {
        let (plan, _pebble) = ground(ONE, |choice| {
            choice.http = Some(1);
            choice.tls = Some(1);
        })
        .await;
        let proxy = plan.set("acme", "challenge = \"http-01\"").start().await;
        let listed = failed(&proxy, "a.example.com").await;
        assert_eq!(listed["error_kind"], "unreachable", "{listed}");
        eventually_within(WITHIN, "the log says so", async || {
            proxy.error_log().contains("no certificate was issued").then_some(())
        })
        .await;
    });
}
