use proptest::prelude::*;

use crate::{
    body::{Limits, Parsed},
    model::BodyProcessor,
};

const LIMITS: Limits = Limits { arguments: 1000, separator: b'&', no_files: 131_072, json_depth: 100, files: None };

fn parse_with(body: &[u8], limits: &Limits) -> Parsed {
    let mut parsed = Parsed::default();
    parsed.read(body, BodyProcessor::Json, b"application/json", limits);
    parsed
}

/// The arguments as `name=value`, and the error.
fn all(body: &str) -> (Vec<String>, Option<String>) {
    let parsed = parse_with(body.as_bytes(), &LIMITS);
    let text =
        |slice: crate::body::Slice| String::from_utf8_lossy(slice.of(body.as_bytes(), &parsed.made)).into_owned();
    let arguments = parsed.arguments.iter().map(|pair| format!("{}={}", text(pair.name), text(pair.value)));
    (arguments.collect(), parsed.error.clone())
}

#[test]
fn names_tell_the_way_to_a_value() {
    for (body, expected) in [
        (r#"{"foo":"bar","mod":"sec"}"#, &["json.foo=bar", "json.mod=sec"][..]),
        (
            r#" { "a" : { "b" : [ 1 , -2.5e+3 ] , "c":{}}, "d":[] } "#,
            &["json.a.b.array_0=1", "json.a.b.array_1=-2.5e+3"],
        ),
        (
            r#"[{"a":true},[false,[null]],"x"]"#,
            &["json.array_0.a=true", "json.array_1.array_0=false", "json.array_1.array_1.array_0=", "json.array_2=x"],
        ),
        (r#"{"a":[{},{"b":0},[],1],"c":2}"#, &["json.a.array_1.b=0", "json.a.array_3=1", "json.c=2"]),
        (r#"{"a":1,"a":2}"#, &["json.a=1", "json.a=2"]),
        (r#"{"":"x","b":{"":{"c":1}}}"#, &["json.empty-key=x", "json.b.empty-key.c=1"]),
        (r#""text""#, &["json=text"]),
        ("12", &["json=12"]),
        ("{}", &[]),
        ("", &[]),
    ] {
        assert_eq!(all(body), (expected.iter().map(|text| (*text).to_owned()).collect(), None), "{body}");
    }
}

#[test]
fn strings_are_decoded() {
    for (body, expected) in [
        (r#"["a\"\\\/\b\f\n\r\tz"]"#, "a\"\\/\u{8}\u{c}\n\r\tz"),
        (r#"["\u003cscript\u003E é"]"#, "<script> é"),
        (r#"["\ud83d\ude00\u0000"]"#, "😀\0"),
        (r#"["\ud83d"]"#, "?"),
        (r#"["\ud83d\u0041\ude00"]"#, "?A?"),
        (r#"["\ud83d\n"]"#, "?\n"),
    ] {
        assert_eq!(all(body), (vec![format!("json.array_0={expected}")], None), "{body}");
    }
    assert_eq!(all(r#"{"\u0061\"":1}"#), (vec!["json.a\"=1".to_owned()], None));
}

#[test]
fn what_is_no_json_is_told_with_its_place() {
    for (body, error) in [
        ("a", "invalid char in json text (at byte 0)"),
        ("{", "premature EOF"),
        ("[1", "premature EOF"),
        ("[1,", "premature EOF"),
        ("[1,]", "invalid char in json text (at byte 3)"),
        ("[,1]", "invalid char in json text"),
        ("[1 2]", "expect ',' or ']' (at byte 3)"),
        ("[1}", "expect ',' or ']'"),
        ("{\"a\":1]", "expect ',' or '}'"),
        ("{\"a\":1,}", "invalid object key"),
        ("{a:1}", "invalid object key"),
        ("{\"a\" 1}", "colon"),
        ("{\"a\":}", "invalid char in json text"),
        ("1 2", "trailing garbage (at byte 2)"),
        ("{}}", "trailing garbage"),
        ("01", "trailing garbage"),
        ("-", "malformed number"),
        ("1.", "malformed number"),
        (".5", "invalid char"),
        ("1e", "malformed number"),
        ("NaN", "invalid char"),
        ("nul", "invalid string"),
        ("'a'", "invalid char"),
        ("\"a", "premature EOF"),
        ("\"a\n\"", "invalid character inside string (at byte 2)"),
        ("\"\\x\"", "which it may not"),
        ("\"\\u12g4\"", "non-hex"),
        ("\"\\u12", "non-hex"),
        ("\"\\", "which it may not"),
        ("\u{feff}{}", "invalid char"),
        ("// x\n{}", "invalid char"),
    ] {
        let found = all(body).1.unwrap_or_default();
        assert!(found.starts_with("JSON parsing error: ") && found.contains(error), "{body}: {found}");
    }
    let invalid = parse_with(b"[\"a\xff\"]", &LIMITS).error.unwrap();
    assert!(invalid.contains("UTF8") && invalid.contains("byte 3"), "{invalid}");
}

#[test]
fn what_came_before_an_error_is_there_for_rules_to_see() {
    assert_eq!(all(r#"{"a":"attack", b"#).0, ["json.a=attack"]);
}

#[test]
fn limits_hold() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(all(&nested(100)).1, None);
    assert!(all(&nested(101)).1.is_some_and(|error| error.contains("depth")));
    let two = parse_with(b"[1,2,3,nonsense", &Limits { arguments: 2, ..LIMITS });
    assert!(two.arguments_dropped && two.arguments.len() == 2 && two.error.is_some());
    let body = br#"{"param1":{"param2":"value2","param3":"value3"}}"#;
    let over = parse_with(body, &Limits { no_files: 20, ..LIMITS });
    assert!(over.over_limit && over.error.is_some_and(|error| error.contains("excluding files")));
    let within = parse_with(body, &Limits { no_files: 48, ..LIMITS });
    assert!(!within.over_limit && within.error.is_none());
}

#[test]
fn bombs_are_bounded() {
    let size = 1 << 20;
    let limits = Limits { arguments: usize::MAX, json_depth: u32::MAX, no_files: u64::MAX, ..LIMITS };
    let half = size / 2;
    for body in [
        "[".repeat(size),
        "{\"a\":".repeat(size / 5),
        format!("{}{}", "[".repeat(half), "]".repeat(half)),
        // A long name for each of many values.
        format!("{{\"{}\":[{}1]}}", "a".repeat(half), "1,".repeat(half / 2)),
        format!("{}{}1{}", "[".repeat(half), "1,".repeat(half / 4), "]".repeat(half)),
        format!("\"{}\"", "\\u0041".repeat(size / 6)),
        format!("\"{}", "\\\"".repeat(half)),
        format!("[{}]", "\"\",".repeat(size / 3)),
        "\"".repeat(size),
        format!("[{}]", " ".repeat(size)),
        "1".repeat(size),
    ] {
        let start = std::time::Instant::now();
        let parsed = parse_with(body.as_bytes(), &limits);
        assert!(parsed.made.len() <= super::GROWTH * body.len() + super::GROWTH_FREE + body.len());
        // Without optimisation; what is quadratic takes minutes.
        assert!(start.elapsed().as_secs() < 10, "{}…", &body[..10]);
    }
}

/// What a tree of serde_json gives, by the rules of names.
fn expected(value: &serde_json::Value, name: &str, to: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| expected(item, &format!("{name}.array_{at}"), to));
        }
        serde_json::Value::Object(items) => items.iter().for_each(|(key, item)| {
            expected(item, &format!("{name}.{}", if key.is_empty() { "empty-key" } else { key }), to);
        }),
        serde_json::Value::String(text) => to.push(format!("{name}={text}")),
        serde_json::Value::Null => to.push(format!("{name}=")),
        other => to.push(format!("{name}={other}")),
    }
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::btree_map(".{0,4}", inner, 0..4)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_tree_says_the_same(value in any_value(), pretty in any::<bool>()) {
        let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let mut names = Vec::new();
        expected(&value, "json", &mut names);
        prop_assert_eq!(all(&body.unwrap()), (names, None));
    }

    #[test]
    fn serde_refuses_the_same(body in "[\\[\\]{}:,\"\\\\ \n0-9a-fntrulse.eE+-]{0,12}") {
        let serde = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
        prop_assert_eq!(all(&body).1.is_none(), serde || body.is_empty(), "{}", body);
    }

    #[test]
    fn any_bytes_are_read(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        parse_with(&body, &LIMITS);
    }
}
