//! Removals and changes of rules.

use super::*;

#[test]
fn rules_are_removed_wherever_the_directive_stands() {
    let left = |directive: &str| {
        let before = rules(load(&format!("{directive}\n{THREE}")));
        let after = rules(load(&format!("{THREE}{directive}\n")));
        let ids = |rules: Vec<Rule>| rules.iter().map(|rule| rule.id).collect::<Vec<_>>();
        let (before, after) = (ids(before), ids(after));
        assert_eq!(before, after, "{directive}");
        before
    };
    assert_eq!(left("SecRuleRemoveById 2"), [1, 3]);
    assert_eq!(left("SecRuleRemoveById 1 \"3-9\""), [2]);
    assert_eq!(left("SecRuleRemoveById 1,2"), [3]);
    assert_eq!(left("SecRuleRemoveByTag x"), [2]);
    assert_eq!(left("SecRuleRemoveByMsg \"three\""), [1, 2]);
    // A rule that is taken away need not have an operator that there is.
    assert!(rules(load("SecRule ARGS \"@inspectFile x\" id:9\nSecRuleRemoveById 9")).is_empty());
    for nothing in
        ["SecRuleRemoveById 7-9", "SecRuleRemoveByTag X", "SecRuleRemoveByMsg thr", "SecRuleUpdateTargetById 8 !ARGS"]
    {
        assert!(matches!(&notes(&format!("{THREE}{nothing}"))[..], [(NoteKind::NothingChanged, _)]), "{nothing}");
    }
}

#[test]
fn targets_are_updated() {
    let with = |directive: &str| rules(load(&format!("{directive}\n{THREE}")));
    let name = |target: &crate::model::Target| {
        let selector = match &target.selector {
            Selector::Name(name) => format!(":{name}"),
            Selector::Regex { source, .. } => format!(":/{source}/"),
            _ => String::new(),
        };
        format!("{}{}{selector}", if target.excluded { "!" } else { "" }, target.variable.name())
    };
    let targets = |rules: &[Rule], rule: usize, link: usize| {
        rules[rule].links[link].targets.iter().map(name).collect::<Vec<_>>().join("|")
    };
    let by_id = with("SecRuleUpdateTargetById 1-2 \"!ARGS:q,REQUEST_URI|!ARGS:/z/\"");
    assert_eq!(targets(&by_id, 0, 0), "ARGS|!ARGS:q|REQUEST_URI|!ARGS:/z/");
    assert_eq!(targets(&by_id, 1, 0), "ARGS|!ARGS:q|REQUEST_URI|!ARGS:/z/");
    assert_eq!((&*targets(&by_id, 1, 1), &*targets(&by_id, 2, 0)), ("FILES", "ARGS"));
    assert_eq!(targets(&with("SecRuleUpdateTargetById 2:1 !FILES:f"), 1, 1), "FILES|!FILES:f");
    let by_tag = with("SecRuleUpdateTargetByTag x !ARGS:'/a b/'");
    assert_eq!((&*targets(&by_tag, 0, 0), &*targets(&by_tag, 1, 0)), ("ARGS|!ARGS:/a b/", "ARGS"));
    assert_eq!(targets(&with("SecRuleUpdateTargetByMsg one !ARGS"), 0, 0), "ARGS|!ARGS");
    let useless = notes(&format!("{THREE}SecRuleUpdateTargetById 1 !FILES:x"));
    assert!(useless[0].1.contains("does not look at FILES"), "{useless:?}");
}

#[test]
fn actions_are_updated() {
    let with = |directive: &str| rules(load(&format!("{directive}\n{THREE}"))).remove(0);
    assert_eq!(with("SecRuleUpdateActionById 1 allow").disruptive, Disruptive::Allow(AllowScope::Transaction));
    let passed = with("SecRuleUpdateActionById 1 \"pass,status:401,t:trim,tag:'new',msg:'new'\"");
    assert_eq!(
        (passed.disruptive, passed.status, passed.message),
        (Disruptive::Pass, Some(401), Some(template("new")))
    );
    assert_eq!(passed.tags.len(), 2);
    for (list, says) in [("id:5", "the id"), ("phase:2", "the phase"), ("chain", "the chain")] {
        let text = mistake(&format!("{THREE}SecRuleUpdateActionById 1 \"{list}\"")).text;
        assert!(text.contains(says), "{text}");
    }
}
