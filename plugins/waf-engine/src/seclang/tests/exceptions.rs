//! Exceptions of routes.

use super::*;

#[test]
fn exceptions_of_routes_become_rules_before_all_others() {
    let exceptions = [
        Exception {
            rules: vec![IdRange { first: 1, last: 1 }],
            target: Some("ARGS:q".into()),
            path: Some("/search".into()),
            ..Exception::default()
        },
        Exception { tags: vec!["x".into()], path: Some("/api/v 1/*".into()), ..Exception::default() },
        Exception {
            rules: vec![IdRange { first: 2, last: 3 }],
            target: Some("ARGS:/a|b, c/".into()),
            ..Exception::default()
        },
    ];
    let text = exception::seclang("shop \"1\"", &exceptions, 10).unwrap();
    assert_eq!(text.matches("SecRule TX:portcullis_route \"@rx ^shop\\x20\\x221\\x22$\"").count(), 3, "{text}");
    assert!(text.contains("SecRule REQUEST_FILENAME \"@streq /search\""), "{text}");
    assert!(text.contains("\"@rx ^/api/v\\x201/\""), "{text}");
    let memory = Memory::default();
    let mut loader = Loader::new(&memory);
    loader.text("t", THREE.as_bytes()).exceptions("shop \"1\"", &exceptions).exceptions("other", &exceptions);
    let loaded = loader.finish().unwrap_or_else(|problems| panic!("{}", lines(&problems)));
    assert_eq!(loaded.notes, []);
    let rules = rules(loaded);
    assert_eq!(
        rules.iter().map(|rule| rule.id).collect::<Vec<_>>(),
        [4_290_000_000, 4_290_000_001, 4_290_000_002, 4_290_000_003, 4_290_000_004, 4_290_000_005, 1, 2, 3]
    );
    assert_eq!(rules[..3].iter().map(|rule| rule.links.len()).collect::<Vec<_>>(), [2, 3, 1]);
    assert_eq!(rules[0].phase, Phase::RequestHead);
    let Action::Ctl(Ctl::RuleRemoveTargetById { target, .. }) = &rules[2].links[0].actions[0] else { panic!("no ctl") };
    assert!(matches!(&target.selector, Selector::Regex { source, .. } if &**source == "a|b, c"));
}

#[test]
fn exceptions_that_cannot_be_written_are_refused() {
    let one = |exception: Exception| {
        let memory = Memory::default();
        let mut loader = Loader::new(&memory);
        loader.exceptions("r", &[exception]);
        loader.finish().unwrap_err().remove(0).to_string()
    };
    let rules = vec![IdRange { first: 1, last: 1 }];
    assert!(one(Exception::default()).contains("neither rules nor tags"));
    assert!(
        one(Exception { rules: rules.clone(), path: Some("x".into()), ..Exception::default() })
            .contains("does not begin with /")
    );
    assert!(
        one(Exception { rules: rules.clone(), path: Some("/a*b*".into()), ..Exception::default() })
            .contains("in the middle")
    );
    assert!(one(Exception { tags: vec!["a'b".into()], ..Exception::default() }).contains("no tag"));
    assert!(
        one(Exception { rules, target: Some("ARGZ:a".into()), ..Exception::default() }).contains("no variable ARGZ")
    );
}
