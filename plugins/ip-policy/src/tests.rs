//! The plugin as the proxy sees it.

use portcullis_sdk::{RequestHead, Verdict, log::Level, testing};

use super::IpPolicy;

fn verdict(config: &str, client: &str) -> Verdict {
    let plugin = testing::Plugin::<IpPolicy>::configure(config).unwrap();
    testing::set_client(client);
    let head = RequestHead::get_request("/door").field("x-forwarded-for", "10.0.0.1");
    plugin.exchange().request_head(&head)
}

fn error(config: &str) -> String {
    testing::Plugin::<IpPolicy>::configure(config).err().expect("it is refused")
}

#[test]
fn the_denied_get_403_and_the_others_pass() {
    let config = r#"{"allow": ["10.0.0.0/8"]}"#;
    assert_eq!(verdict(config, "10.0.0.1"), Verdict::Continue);
    let Verdict::Respond(response) = verdict(config, "192.0.2.1") else { panic!("it passed") };
    assert_eq!((response.status, response.body.len()), (403, 0));
    assert_eq!(response.get("cache-control"), Some("no-store"));
}

#[test]
fn the_answer_can_be_chosen() {
    let config = r#"{"deny": ["::/0"], "status": 451, "body": "{}", "content_type": "application/json"}"#;
    let Verdict::Respond(response) = verdict(config, "2001:db8::1") else { panic!("it passed") };
    assert_eq!((response.status, response.body.as_slice()), (451, &b"{}"[..]));
    assert_eq!(response.get("content-type"), Some("application/json"));
    assert_eq!(verdict(config, "192.0.2.1"), Verdict::Continue);
    assert_eq!(verdict(r#"{"deny": ["192.0.2.1"], "close": true}"#, "192.0.2.1"), Verdict::Close);
}

#[test]
fn a_dry_run_logs_and_lets_pass() {
    assert_eq!(verdict(r#"{"deny": ["192.0.2.0/24"], "dry_run": true}"#, "192.0.2.1"), Verdict::Continue);
    let line = "dry run: 192.0.2.1 would be denied: GET example.com/door".to_owned();
    assert_eq!(testing::lines(), [(Level::Info, line)]);
}

#[test]
fn mistakes_name_their_key() {
    for (config, part) in [
        ("{}", "`allow` and `deny` are both empty"),
        (r#"{"allow": ["10.0.0.1/8"]}"#, "allow[0]: \"10.0.0.1/8\" has bits after its prefix: write \"10.0.0.0/8\""),
        (r#"{"deny": ["10.0.0.1"], "default": "drop"}"#, "default: unknown variant `drop`"),
        (r#"{"deny": ["10.0.0.1"], "status": 200}"#, "`status` is 200"),
        (r#"{"deny": ["10.0.0.1"], "content_type": "a\nb"}"#, "`content_type`"),
        (r#"{"deny": ["10.0.0.1"], "alow": []}"#, "unknown field `alow`"),
    ] {
        let error = error(config);
        assert!(error.contains(part), "{config}: {error}");
    }
}
