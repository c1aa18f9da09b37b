//! The plugin as the proxy sees it.

use portcullis_sdk::{BodyEnd, RequestHead, Response, ResponseHead, Summary, Verdict, testing};
use serde_json::{Value, json};

use super::Waf;

const RULES: &str = r#"
SecRule ARGS "@contains attack" "id:100,phase:2,deny,status:406,log,auditlog,msg:'An attack',tag:'test/attack',setvar:tx.anomaly_score=+5"
SecRule REQUEST_HEADERS:X-Head "@streq bad" "id:101,phase:1,deny,log,msg:'A bad head'"
SecRule REQUEST_HEADERS:X-Drop "@streq 1" "id:102,phase:1,drop,log"
SecRule ARGS:go "@streq away" "id:103,phase:2,redirect:https://example.com/away,log"
SecRule RESPONSE_STATUS "@streq 599" "id:104,phase:3,deny,log,msg:'A broken backend'"
SecRule REQUEST_BODY "@contains secret" "id:105,phase:2,deny,log,msg:'In the body'"
"#;

fn configured(config: &Value) -> testing::Plugin<Waf> {
    testing::Plugin::configure(&config.to_string()).unwrap_or_else(|error| panic!("{error}"))
}

fn with(more: Value) -> testing::Plugin<Waf> {
    let mut config = json!({ "rules": [{ "inline": RULES }] });
    for (key, value) in more.as_object().expect("an object") {
        config[key] = value.clone();
    }
    configured(&config)
}

fn get(plugin: &testing::Plugin<Waf>, target: &str) -> Verdict {
    plugin.exchange().request_head(&RequestHead::get_request(target))
}

fn refused(verdict: Verdict) -> Response {
    match verdict {
        Verdict::Respond(response) => response,
        other => panic!("it is not refused: {other:?}"),
    }
}

fn note() -> Value {
    serde_json::from_str(&testing::note().expect("there is a note")).unwrap()
}

fn form(length: usize) -> RequestHead {
    RequestHead::new("POST", "/")
        .field("content-type", "application/x-www-form-urlencoded")
        .field("content-length", length.to_string())
}

#[test]
fn an_attack_is_refused_with_the_requests_id_and_written_down() {
    let plugin = with(json!({}));
    assert_eq!(get(&plugin, "/?q=harmless"), Verdict::Continue);
    assert_eq!(testing::note(), None);
    let response = refused(get(&plugin, "/?q=an+attack"));
    assert_eq!(response.status, 406);
    assert!(String::from_utf8_lossy(&response.body).contains("00000000-0000-4000-8000-000000000000"));
    let note = note();
    assert_eq!((&note["decision"], &note["score"]), (&json!("blocked"), &json!(5)));
    assert_eq!(note["rules"], json!([{ "id": 100, "msg": "An attack", "variable": "ARGS:q" }]));
    let counters = ["judged", "blocked", "rules_matched"].map(testing::counter);
    assert_eq!(counters, [2, 1, 1]);
}

#[test]
fn a_request_without_a_body_is_judged_in_one_call() {
    let plugin = with(json!({}));
    let mut exchange = plugin.exchange();
    assert_eq!(exchange.request_head(&RequestHead::get_request("/?q=fine")), Verdict::Continue);
    // The body was taken back: whatever comes now is not shown.
    assert_eq!(exchange.request_body(b"a=attack", Some(&BodyEnd::Complete(vec![]))), Verdict::Continue);
    let mut exchange = plugin.exchange();
    assert_eq!(exchange.request_head(&form(8)), Verdict::Continue);
    refused(exchange.request_body(b"a=attack", Some(&BodyEnd::Complete(vec![]))));
}

#[test]
fn json_is_read_where_no_rule_says_how() {
    let plugin = with(json!({}));
    let mut exchange = plugin.exchange();
    exchange.request_head(
        &RequestHead::new("POST", "/").field("content-type", "application/json").field("content-length", "99"),
    );
    let body = br#"{"a": {"b": ["an attack"]}}"#;
    refused(exchange.request_body(body, Some(&BodyEnd::Complete(vec![]))));
    assert!(note()["rules"][0]["variable"].as_str().unwrap().starts_with("ARGS:json.a.b"), "{}", note());
}

#[test]
fn rules_drop_and_redirect() {
    let plugin = with(json!({}));
    let head = RequestHead::get_request("/").field("x-drop", "1");
    assert_eq!(plugin.exchange().request_head(&head), Verdict::Close);
    let response = refused(get(&plugin, "/?go=away"));
    assert_eq!((response.status, response.get("location")), (302, Some("https://example.com/away")));
}

#[test]
fn a_response_is_judged_too_and_a_refusal_is_not() {
    let plugin = with(json!({}));
    let mut exchange = plugin.exchange();
    exchange.request_head(&RequestHead::get_request("/"));
    assert_eq!(refused(exchange.response_head(&ResponseHead::new(599))).status, 403);
    let mut exchange = plugin.exchange();
    refused(exchange.request_head(&RequestHead::get_request("/?q=attack")));
    assert_eq!(exchange.response_head(&ResponseHead::new(599)), Verdict::Continue);
}

#[test]
fn modes_are_the_tables_the_routes_or_the_rules_own() {
    let attack = "/?q=attack";
    let detect = with(json!({ "mode": "detect" }));
    assert_eq!(get(&detect, attack), Verdict::Continue);
    assert_eq!(note()["decision"], "detected");
    let routes = json!({ "routes": { "test": { "mode": "detect" }, "other": { "mode": "off" } } });
    let by_route = with(routes);
    assert_eq!(get(&by_route, attack), Verdict::Continue);
    testing::edit_facts(|facts| facts.route = "other".into());
    assert_eq!(get(&by_route, attack), Verdict::Continue);
    assert_eq!(testing::note(), None);
    testing::edit_facts(|facts| facts.route = "third".into());
    refused(get(&by_route, attack));
    let own = |text: &str, mode: &str| {
        configured(&json!({ "rules": [{ "inline": RULES }, { "inline": text }], "mode": mode }))
    };
    // ModSecurity judges nothing unless it is told to.
    assert_eq!(get(&own("", "rules"), attack), Verdict::Continue);
    refused(get(&own("SecRuleEngine On", "rules"), attack));
    assert_eq!(
        get(&with(json!({ "rules": [{ "inline": format!("{RULES}\nSecRuleEngine DetectionOnly") }] })), attack),
        Verdict::Continue
    );
    refused(get(&own("SecRuleEngine DetectionOnly", "block"), attack));
}

#[test]
fn where_nothing_is_judged_nothing_is_wanted() {
    let off = with(json!({ "mode": "off" }));
    assert_eq!(off.wants(), portcullis_sdk::Wants::new());
    assert_ne!(with(json!({ "mode": "off", "routes": { "a": { "mode": "block" } } })).wants(), off.wants());
}

#[test]
fn a_sample_is_what_it_says() {
    let plugin = with(json!({ "sample": 25, "routes": { "none": { "sample": 0 } } }));
    let judged = (0..2000).filter(|_| get(&plugin, "/?q=attack") != Verdict::Continue).count();
    assert!((400..600).contains(&judged), "{judged}");
    testing::edit_facts(|facts| facts.route = "none".into());
    assert!((0..100).all(|_| get(&plugin, "/?q=attack") == Verdict::Continue));
}

#[test]
fn exceptions_hold_on_their_route_and_path_and_for_their_target() {
    let plugin = with(json!({ "routes": {
        "test": { "except": [{ "rules": ["90-100"], "target": "ARGS:q", "path": "/search" }] },
        "other": { "except": [{ "tags": ["test/attack"] }] },
    } }));
    assert_eq!(get(&plugin, "/search?q=attack"), Verdict::Continue);
    refused(get(&plugin, "/search?x=attack"));
    refused(get(&plugin, "/?q=attack"));
    testing::edit_facts(|facts| facts.route = "other".into());
    assert_eq!(get(&plugin, "/?q=attack"), Verdict::Continue);
    testing::edit_facts(|facts| facts.route = "third".into());
    refused(get(&plugin, "/search?q=attack"));
}

#[test]
fn rules_come_from_files_in_order() {
    testing::set_file("/r/2.conf", "SecRule ARGS:a \"@streq 1\" \"id:2,phase:1,deny,status:402\"\n");
    testing::set_file("/r/1.conf", "SecRule ARGS:a \"@streq 1\" \"id:1,phase:1,deny,status:401\"\n");
    let plugin = configured(&json!({ "rules": ["/r/*.conf"] }));
    assert_eq!(refused(get(&plugin, "/?a=1")).status, 401);
}

#[test]
fn mistakes_are_refused_and_named() {
    let refused = |config: Value| testing::Plugin::<Waf>::configure(&config.to_string()).err().expect("it is refused");
    testing::set_file("/r/bad.conf", "\nSecRule ARGS \"@rxx a\" \"id:1\"\n");
    for (config, says) in [
        (json!({ "rules": ["/r/bad.conf"] }), "/r/bad.conf:2"),
        (json!({ "rules": ["/r/none.conf"] }), "/r/none.conf"),
        (json!({ "rules": ["builtin:other"] }), "builtin:baseline"),
        (json!({ "sample": 101 }), "sample: 101"),
        (json!({ "status": 200 }), "status: 200"),
        (json!({ "routes": { "a": { "except": [{ "rules": ["x"] }] } } }), "routes.a.except[0].rules: \"x\""),
        (json!({ "ruls": [] }), "ruls"),
        (json!({ "mode": "blok" }), "mode"),
    ] {
        let said = refused(config.clone());
        assert!(said.contains(says), "{config}: {said}");
    }
}

#[test]
fn a_body_over_the_limit_is_refused_or_let_through_as_the_rules_say() {
    for (action, is_refused) in [("Reject", true), ("ProcessPartial", false)] {
        let text = format!("SecRequestBodyLimit 100\nSecRequestBodyLimitAction {action}\n{RULES}");
        let plugin = with(json!({ "rules": [{ "inline": text }] }));
        let mut exchange = plugin.exchange();
        exchange.request_head(&form(200));
        let body = [&b"a="[..], &[b'x'; 198]].concat();
        let outcome = exchange.request_pieces(&[&body], &BodyEnd::Complete(vec![]));
        assert_eq!(matches!(outcome.verdict, Some(Verdict::Respond(_))), is_refused, "{action}");
    }
}

#[test]
fn the_audit_log_is_written_at_the_end() {
    let plugin = with(json!({ "audit_log": "/var/log/audit.log" }));
    let mut exchange = plugin.exchange();
    refused(exchange.request_head(&RequestHead::get_request("/?q=attack")));
    exchange.log(&Summary {
        status: 406,
        received: 0,
        sent: 10,
        duration_ns: 1,
        backend: None,
        endpoint: None,
        error: None,
        decided_by: Some("waf".into()),
    });
    let lines = testing::journal();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert!(line.to_string().contains("An attack"), "{line}");
}

#[test]
fn memory_is_used_again_and_nothing_crosses() {
    let plugin = with(json!({}));
    for _ in 0..3 {
        refused(get(&plugin, "/?q=attack"));
        assert_eq!(get(&plugin, "/?q=fine"), Verdict::Continue);
        assert_eq!(testing::note(), None);
    }
}

#[test]
fn the_baseline_is_there_without_a_word() {
    let plugin = configured(&json!({}));
    assert_eq!(get(&plugin, "/shop?q=red+shoes"), Verdict::Continue);
    assert_eq!(refused(get(&plugin, "/?file=../../../../etc/passwd")).status, 403);
    assert_eq!(refused(get(&plugin, "/?q=1%27%20UNION%20SELECT%20password%20FROM%20users--")).status, 403);
}
