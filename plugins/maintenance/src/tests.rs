use portcullis_sdk::{
    Edits, RequestHead, Response, Verdict, Wants,
    testing::{self, Plugin},
};

use crate::Maintenance;

const SECRET: &str = "0123456789abcdef";

fn ask(config: &str, head: &RequestHead) -> Verdict {
    Plugin::<Maintenance>::configure(config).unwrap().exchange().request_head(head)
}

fn answer(config: &str, head: &RequestHead) -> Response {
    match ask(config, head) {
        Verdict::Respond(response) => response,
        other => panic!("{other:?}"),
    }
}

fn refused(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Respond(response) if response.status == 503)
}

#[test]
fn everybody_gets_the_page() {
    let config = r#"{"retry_after": "90s", "title": "Back <soon>", "message": "A & B"}"#;
    let response = answer(config, &RequestHead::get_request("/any?thing"));
    assert_eq!((response.status, response.get("retry-after")), (503, Some("90")));
    assert_eq!(response.get("cache-control"), Some("no-store"));
    assert_eq!(response.get("content-type"), Some("text/html; charset=utf-8"));
    let body = String::from_utf8(response.body).unwrap();
    assert!(body.contains("<h1>Back &lt;soon&gt;</h1>") && body.contains("<p>A &amp; B</p>"), "{body}");
}

#[test]
fn programs_get_json() {
    let head = RequestHead::get_request("/").field("accept", "application/json");
    let response = answer(r#"{"message": "a \"b\""}"#, &head);
    assert_eq!(response.get("content-type"), Some("application/json"));
    assert_eq!(response.body, br#"{"error":"maintenance","message":"a \"b\""}"#);
    assert_eq!(response.get("retry-after"), None);
}

#[test]
fn the_operators_own_pages_are_sent_as_they_are() {
    let config = r#"{"status": 500, "html": "<b>x</b>", "json": "[1]"}"#;
    assert_eq!(answer(config, &RequestHead::get_request("/")).body, b"<b>x</b>");
    let response = answer(config, &RequestHead::get_request("/").field("accept", "application/json"));
    assert_eq!((response.status, response.body), (500, b"[1]".to_vec()));
}

#[test]
fn allowed_networks_pass() {
    let config = r#"{"allow": {"networks": ["10.0.0.0/8", "2001:db8::/32"]}}"#;
    for (client, passes) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("2001:db8::7", true),
        ("192.0.2.1", false),
        ("2001:db9::1", false),
    ] {
        testing::set_client(client);
        let verdict = ask(config, &RequestHead::get_request("/"));
        assert_eq!(verdict == Verdict::Continue, passes, "{client}");
        assert_eq!(refused(&verdict), !passes, "{client}");
    }
}

#[test]
fn allowed_paths_pass_and_tricks_with_them_do_not() {
    let config = r#"{"allow": {"paths": ["/healthz", "/static/"]}}"#;
    for (target, passes) in [
        ("/healthz", true),
        ("/healthz?full", true),
        ("/static/", true),
        ("/static/a/b.css", true),
        ("/static/a%20b.css", true),
        ("/healthz/x", false),
        ("/static", false),
        ("/staticx", false),
        ("/", false),
        ("/static/../admin", false),
        ("/static/%2e%2E/admin", false),
        ("/static/..%2fadmin", false),
        ("/static/..\\admin", false),
        ("/static/..;/admin", false),
        ("/static//admin", false),
        ("/static/./a", false),
    ] {
        assert_eq!(!refused(&ask(config, &RequestHead::get_request(target))), passes, "{target}");
    }
}

#[test]
fn the_secret_in_a_header_passes_and_goes_no_further() {
    let config = format!(r#"{{"allow": {{"header": {{"name": "X-Bypass", "value": "{SECRET}"}}}}}}"#);
    let head = |value: &str| RequestHead::get_request("/").field("x-bypass", value);
    assert_eq!(ask(&config, &head(SECRET)), Edits::new().remove("X-Bypass").into());
    for wrong in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
        assert!(refused(&ask(&config, &head(wrong))), "{wrong}");
    }
    assert!(refused(&ask(&config, &head(SECRET).field("x-bypass", SECRET))));
    assert!(refused(&ask(&config, &RequestHead::get_request("/"))));
}

#[test]
fn the_secret_in_a_cookie_passes() {
    let config = format!(r#"{{"allow": {{"cookie": {{"name": "bypass", "value": "{SECRET}"}}}}}}"#);
    let head = |cookies: String| RequestHead::get_request("/").field("cookie", cookies);
    assert_eq!(ask(&config, &head(format!("a=b; bypass={SECRET}"))), Verdict::Continue);
    assert!(refused(&ask(&config, &head(format!("bypasS={SECRET}")))));
    assert!(refused(&ask(&config, &head("bypass=".to_owned()))));
}

#[test]
fn switched_off_it_wants_nothing() {
    let plugin = Plugin::<Maintenance>::configure(r#"{"enabled": false}"#).unwrap();
    assert_eq!(plugin.wants(), Wants::new());
}

#[test]
fn mistakes_name_the_key() {
    for (config, expected) in [
        (r#"{"enable": false}"#, "enable: unknown field `enable`"),
        (r#"{"status": 101}"#, "status: 101 is none that an answer can have"),
        (r#"{"retry_after": 60}"#, "retry_after: invalid type: integer `60`"),
        (r#"{"json": "{"}"#, "json: it is no JSON"),
        (r#"{"allow": {"networks": ["10.0.0.1/8"]}}"#, "allow.networks[0]: \"10.0.0.1/8\" has bits after its prefix"),
        (r#"{"allow": {"paths": ["static/*"]}}"#, "allow.paths: \"static/*\" is no path"),
        (r#"{"allow": {"header": {"name": "x-a", "value": "short"}}}"#, "allow.header.value: it is a password"),
        (
            r#"{"allow": {"cookie": {"name": "a b", "value": "0123456789abcdef"}}}"#,
            "allow.cookie.name: \"a b\" is no name",
        ),
    ] {
        let found = Plugin::<Maintenance>::configure(config).err().unwrap();
        assert!(found.starts_with(expected), "{config}: {found}");
    }
}
