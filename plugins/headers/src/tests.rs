use portcullis_sdk::{Field, FieldEdit, RequestHead, ResponseHead, Verdict, testing::Plugin};

use crate::Headers;

/// A head's fields after the edits, as the proxy makes them.
fn apply(fields: &[Field], verdict: Verdict) -> Vec<(String, String)> {
    let mut fields: Vec<_> =
        fields.iter().map(|field| (field.name.clone(), field.text().unwrap().to_owned())).collect();
    match verdict {
        Verdict::Continue => {}
        Verdict::Edit(edits) => {
            for edit in edits.fields {
                let (name, value) = match edit {
                    FieldEdit::Remove(name) => (name.to_ascii_lowercase(), None),
                    FieldEdit::Set(field) => (field.name.to_ascii_lowercase(), field.text().map(str::to_owned)),
                    FieldEdit::Append(field) => {
                        fields.push((field.name.to_ascii_lowercase(), field.text().unwrap().to_owned()));
                        continue;
                    }
                };
                fields.retain(|(other, _)| *other != name);
                fields.extend(value.map(|value| (name, value)));
            }
        }
        other => panic!("{other:?}"),
    }
    fields.sort();
    fields
}

fn response(config: &str, https: bool, head: &ResponseHead) -> Vec<(String, String)> {
    let plugin = Plugin::<Headers>::configure(config).unwrap();
    let mut exchange = plugin.exchange();
    exchange.request_head(&RequestHead { https, ..RequestHead::get_request("/") });
    apply(&head.fields, exchange.response_head(head))
}

fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn error(config: &str) -> String {
    Plugin::<Headers>::configure(config).err().unwrap()
}

#[test]
fn removes_sets_and_appends_in_that_order() {
    let config = r#"{"response": {"remove": ["x-a", "x-internal-*"], "set": {"X-B": "new"}, "default": {"x-c": "mine", "x-d": "mine"},
        "append": {"vary": ["origin", "cookie"], "x-a": "again"}}}"#;
    let head = ResponseHead::new(200)
        .field("x-a", "1")
        .field("x-a", "2")
        .field("x-internal-node", "7")
        .field("x-b", "old")
        .field("x-c", "theirs")
        .field("vary", "accept");
    let fields = response(config, true, &head);
    let expected = [
        ("vary", "accept"),
        ("vary", "cookie"),
        ("vary", "origin"),
        ("x-a", "again"),
        ("x-b", "new"),
        ("x-c", "theirs"),
        ("x-d", "mine"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn request_fields_are_changed_too_and_framing_is_left_alone() {
    let plugin =
        Plugin::<Headers>::configure(r#"{"request": {"remove": ["t*", "cookie"], "set": {"x-via": "door"}}}"#).unwrap();
    let head = RequestHead::get_request("/").field("te", "trailers").field("traceparent", "1").field("cookie", "a=b");
    let fields = apply(&head.fields, plugin.exchange().request_head(&head));
    assert_eq!((value(&fields, "te"), value(&fields, "x-via")), (Some("trailers"), Some("door")));
    assert_eq!((value(&fields, "traceparent"), value(&fields, "cookie")), (None, None));
}

#[test]
fn strict_preset_sets_all_and_hides_the_software() {
    let head =
        ResponseHead::new(200).field("server", "old/1.0").field("x-powered-by", "x").field("x-frame-options", "ALLOW");
    let fields = response(r#"{"preset": "strict"}"#, true, &head);
    for (name, expected) in [
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(value(&fields, name), Some(expected), "{name}");
    }
    assert!(value(&fields, "content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    assert_eq!((value(&fields, "server"), value(&fields, "x-powered-by")), (None, None));
}

#[test]
fn plain_http_gets_no_hsts() {
    let fields = response(r#"{"preset": "basic"}"#, false, &ResponseHead::new(200));
    assert_eq!(value(&fields, "strict-transport-security"), None);
    assert_eq!(value(&fields, "x-content-type-options"), Some("nosniff"));
}

#[test]
fn keys_replace_what_the_preset_says_and_false_leaves_it_out() {
    let config = r#"{"preset": "strict", "csp": "default-src *", "frame_options": false, "hsts": "max-age=60"}"#;
    let fields = response(config, true, &ResponseHead::new(200).field("x-frame-options", "theirs"));
    assert_eq!(value(&fields, "content-security-policy"), Some("default-src *"));
    assert_eq!(value(&fields, "x-frame-options"), Some("theirs"));
    assert_eq!(value(&fields, "strict-transport-security"), Some("max-age=60"));
}

#[test]
fn kept_fields_stay_as_the_backend_sent_them() {
    let config = r#"{"preset": "strict", "keep": ["Content-Security-Policy", "referrer-policy", "server", "strict-transport-security"]}"#;
    let head = ResponseHead::new(200)
        .field("content-security-policy", "default-src 'none'")
        .field("server", "theirs")
        .field("strict-transport-security", "max-age=1");
    let fields = response(config, true, &head);
    assert_eq!(value(&fields, "content-security-policy"), Some("default-src 'none'"));
    assert_eq!(value(&fields, "referrer-policy"), Some("no-referrer"));
    assert_eq!(value(&fields, "server"), Some("theirs"));
    assert_eq!(value(&fields, "strict-transport-security"), Some("max-age=1"));
}

#[test]
fn the_tables_have_the_last_word() {
    let config = r#"{"preset": "strict", "response": {"set": {"strict-transport-security": "max-age=5"}, "remove": ["referrer-policy"]}}"#;
    let fields = response(config, true, &ResponseHead::new(200));
    assert_eq!(value(&fields, "strict-transport-security"), Some("max-age=5"));
    assert_eq!(value(&fields, "referrer-policy"), None);
}

#[test]
fn an_empty_table_wants_nothing() {
    let plugin = Plugin::<Headers>::configure("{}").unwrap();
    assert_eq!(plugin.wants(), portcullis_sdk::Wants::new());
}

#[test]
fn mistakes_name_the_key() {
    for (config, expected) in [
        (r#"{"presets": "strict"}"#, "presets: unknown field `presets`, expected one of `preset`"),
        (r#"{"preset": "hard"}"#, "preset: unknown variant `hard`, expected one of `none`, `basic`, `strict`"),
        (r#"{"csp": true}"#, "csp: invalid value: boolean `true`, expected the field's value as text, or false"),
        (
            r#"{"frame_options": "ALLOWALL"}"#,
            "frame_options: browsers do not know \"ALLOWALL\": write one of DENY, SAMEORIGIN",
        ),
        (r#"{"hsts": "includeSubDomains"}"#, "hsts: \"includeSubDomains\" has no max-age"),
        (r#"{"referrer_policy": "none"}"#, "referrer_policy: browsers do not know \"none\""),
        (
            r#"{"response": {"set": {"content-length": "1"}}}"#,
            "response.set: the field content-length frames the message",
        ),
        (
            r#"{"response": {"append": {"a": 1}}}"#,
            "response.append.a: invalid type: integer `1`, expected a text or a list",
        ),
        (r#"{"request": {"remove": ["a b"]}}"#, "request.remove: \"a b\" is no name of a field"),
        (r#"{"request": {"remove": ["*"]}}"#, "request.remove: \"\" is no name of a field"),
        (r#"{"request": {"set": {"a": "b\r\nc: d"}}}"#, "request.set: the value of the field a has the byte 0x0d"),
    ] {
        let found = error(config);
        assert!(found.starts_with(expected), "{config}: {found}");
    }
}
