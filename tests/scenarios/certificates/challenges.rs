use portcullis_tests::{
    client::http::{Connection, get},
    scenario::scenario,
    tool::Tool,
};

use super::{ONE, certified, client, ground, ground_at, shown};

#[test]
fn a_token_is_answered_where_everything_is_redirected() {
    scenario(async {
        let (plan, pebble) = ground(ONE, |choice| choice.tls = None).await;
        let proxy = plan.set("acme", "challenge = \"http-01\"").start().await;
        shown(&proxy, &pebble, "a.example.com").await;
        let status = proxy.status().await;
        assert_eq!((&status["acme"]["issued"], &status["acme"]["failed"]), (&1.into(), &0.into()), "{status}");
        // The handshake with ourselves that says so is in the log.
        assert!(proxy.error_log().contains("was issued and is served"), "{}", proxy.error_log());
        // A token that is not ours, or no more, is an ordinary path.
        let answer = get(proxy.address("http"), "a.example.com", "/.well-known/acme-challenge/abc").await;
        assert_eq!(answer.status, 308);
    });
}

#[test]
fn a_token_is_answered_before_plugins_and_backends_see_the_request() {
    scenario(async {
        let text = ONE.replace("redirect = \"https\"", "respond = { status = 500 }");
        let (plan, pebble) = ground(&text, |choice| choice.tls = None).await;
        let proxy = plan.set("acme", "challenge = \"http-01\"").start().await;
        shown(&proxy, &pebble, "a.example.com").await;
        let asked = proxy.log_line(|line| {
            line["target"].as_str().is_some_and(|target| target.starts_with("/.well-known/acme-challenge/"))
        });
        let line = asked.await;
        assert_eq!((&line["status"], &line["route"]), (&200.into(), &serde_json::Value::Null), "{line}");
    });
}

#[test]
fn a_handshake_proves_a_host_and_shows_nothing_else() {
    scenario(async {
        let (plan, pebble) = ground(ONE, |choice| choice.http = None).await;
        let proxy = plan.set("acme", "challenge = \"tls-alpn-01\"").start().await;
        shown(&proxy, &pebble, "a.example.com").await;
        // Now that nothing is being proved, the protocol of the challenge is one that nobody speaks here.
        let finished = Tool::new("openssl")
            .args(["s_client", "-connect", &proxy.address("https").to_string()])
            .args(["-servername", "a.example.com", "-alpn", "acme-tls/1"])
            .run()
            .await;
        assert!(finished.stderr.contains("no application protocol"), "{finished:?}");
    });
}

/// The authority comes to a listener that passes every connection on.
const PASSED: &str = r#"
[[listener]]
name = "front"
address = "127.0.0.1:@front@"
tls = {}

[[route]]
listener = "front"
sni = "*.example.com"
passthrough = "behind"

[backend.behind]
endpoints = "tcp://127.0.0.1:@nobody@"
"#;

#[test]
fn a_handshake_that_proves_a_host_is_not_passed_through() {
    scenario(async {
        let text = format!("{ONE}{PASSED}");
        let (plan, pebble) = ground_at(&text, "front", |choice| choice.http = None).await;
        let proxy = plan.set("acme", "challenge = \"tls-alpn-01\"").start().await;
        shown(&proxy, &pebble, "a.example.com").await;
    });
}

#[test]
fn without_a_preference_both_challenges_are_there() {
    scenario(async {
        let (plan, pebble) = ground(ONE, |_| ()).await;
        let proxy = plan.start().await;
        shown(&proxy, &pebble, "a.example.com").await;
    });
}

#[test]
fn where_one_challenge_does_not_get_through_the_next_is_tried() {
    scenario(async {
        let (plan, pebble) = ground(ONE, |choice| choice.tls = Some(1)).await;
        let proxy = plan.start().await;
        shown(&proxy, &pebble, "a.example.com").await;
        assert!(proxy.error_log().contains("trying the next one"), "{}", proxy.error_log());
    });
}

#[test]
fn an_address_has_a_certificate_for_clients_that_name_no_host() {
    scenario(async {
        let text = ONE.replace("host = \"a.example.com\"", "host = \"127.0.0.1\"");
        let (plan, pebble) = ground(&text, |_| ()).await;
        let proxy = plan.start().await;
        certified(&proxy, "127.0.0.1", "valid").await;
        let connection = Connection::tls(proxy.address("https"), "127.0.0.1", &client(&pebble).await).await;
        assert_eq!(connection.get("127.0.0.1", "/").await.status, 204);
        assert!(proxy.error_log().contains("was issued and is served"), "{}", proxy.error_log());
    });
}

#[test]
fn each_kind_of_key_has_its_certificate() {
    scenario(async {
        let (plan, pebble) = ground(ONE, |_| ()).await;
        let proxy = plan.set("acme", "key = [\"ecdsa\", \"rsa\"]").start().await;
        shown(&proxy, &pebble, "a.example.com").await;
        portcullis_tests::scenario::eventually_within(super::WITHIN, "both are valid", async || {
            let status = proxy.status().await;
            (status["acme"]["missing"] == 0).then_some(())
        })
        .await;
        let address = proxy.address("https").to_string();
        for (schemes, kind) in [("RSA+SHA256:RSA-PSS+SHA256", "RSA"), ("ECDSA+SHA256", "ECDSA")] {
            let finished = Tool::new("openssl")
                .args(["s_client", "-connect", &address, "-servername", "a.example.com", "-tls1_2"])
                .args(["-sigalgs", schemes])
                .run()
                .await;
            assert!(finished.stdout.contains(&format!("Peer signature type: {kind}")), "{finished:?}");
        }
    });
}
