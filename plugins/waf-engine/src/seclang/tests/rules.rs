//! Rules, chains and defaults.

use super::*;

#[test]
fn a_rule_with_everything() {
    let rule = rule(concat!(
        "SecRule ARGS|!ARGS:x \"!@rx a\\\"b\" \\\n",
        "    \"id:'942100',phase:response,deny,status:401,log,noauditlog,capture,multiMatch,\\\n",
        "    t:none,t:lowercase,t:'urlDecodeUni',msg:'it\\'s, %{TX.0}',logdata:'d',severity:'CRITICAL',\\\n",
        "    tag:'a/b',tag:c d,ver:'v/1',rev:2,maturity:9,accuracy:'8',skipAfter:END\" # why\nSecMarker END\n",
    ));
    assert_eq!(
        (rule.id, rule.phase, &rule.disruptive, rule.status),
        (942100, Phase::ResponseBody, &Disruptive::Deny, Some(401))
    );
    assert_eq!((rule.log, rule.audit_log), (true, false));
    assert_eq!(rule.message, Some(template("it's, %{TX.0}")));
    assert_eq!((rule.severity, rule.maturity, rule.accuracy), (Some(2), Some(9), Some(8)));
    assert_eq!(rule.tags, [template("a/b"), template("c d")]);
    assert_eq!((rule.version.as_deref(), rule.revision.as_deref()), (Some("v/1"), Some("2")));
    assert_eq!(rule.skip, Some(Skip::After("END".into())));
    let link = &rule.links[0];
    assert_eq!(link.location, Location { file: "t".into(), line: 1 });
    assert!(link.capture && link.multi_match);
    assert_eq!(link.log_data, Some(template("d")));
    assert_eq!(link.transformations.iter().map(|step| step.name()).collect::<Vec<_>>(), ["lowercase", "urlDecodeUni"]);
    let condition = link.condition.as_ref().unwrap();
    assert_eq!((condition.negated, &*condition.name, &*condition.argument), (true, "rx", "a\"b"));
}

#[test]
fn operators_have_short_forms() {
    for (written, negated, name, argument) in [
        ("\"abc\"", false, "rx", "abc"),
        ("\"! @eq 0\"", true, "eq", "0"),
        ("\"!abc\"", true, "rx", "abc"),
        ("'@streq  a b '", false, "streq", "a b "),
        ("@detectSQLi", false, "detectSQLi", ""),
        ("\" a\"", false, "rx", " a"),
        ("\"@pm a \\\" b\\n\"", false, "pm", "a \" b\\n"),
    ] {
        let rule = rule(&format!("SecRule ARGS {written} id:1"));
        let condition = rule.links[0].condition.as_ref().unwrap();
        assert_eq!((condition.negated, &*condition.name, &*condition.argument), (negated, name, argument), "{written}");
    }
}

#[test]
fn disruptive_actions_and_the_default() {
    let of = |default: &str, list: &str| {
        let rule = rule(&format!("{default}\nSecAction \"id:1,phase:1,{list}\""));
        (rule.disruptive, rule.status)
    };
    let deny = "SecDefaultAction \"phase:1,deny,status:404,log\"";
    // Tried out on libmodsecurity 3.0.9.
    assert_eq!(of(deny, "log"), (Disruptive::Pass, Some(404)));
    assert_eq!(of(deny, "block"), (Disruptive::Deny, Some(404)));
    assert_eq!(of(deny, "block,status:405"), (Disruptive::Deny, Some(405)));
    assert_eq!(of(deny, "block,pass"), (Disruptive::Pass, Some(404)));
    assert_eq!(of(deny, "pass,block"), (Disruptive::Pass, Some(404)));
    assert_eq!(of("", "block"), (Disruptive::Pass, None));
    assert_eq!(of("", "deny"), (Disruptive::Deny, Some(403)));
    assert_eq!(of("", "drop,status:500"), (Disruptive::Drop, Some(500)));
    assert_eq!(of("", "allow"), (Disruptive::Allow(AllowScope::Transaction), None));
    assert_eq!(of("", "allow:request"), (Disruptive::Allow(AllowScope::Request), None));
    assert_eq!(of("", "redirect:'http://x/%{tx.a}'"), (Disruptive::Redirect(template("http://x/%{tx.a}")), None));
    // The default of another phase is none.
    assert_eq!(of("SecDefaultAction \"phase:2,deny\"", "block"), (Disruptive::Pass, None));
}

#[test]
fn transformations_and_tags_of_the_default_come_first() {
    // It makes no difference that the default stands behind the rules.
    let rules = rules(load(concat!(
        "SecRule ARGS a \"id:1,phase:1,t:trim,chain\"\n",
        "SecRule ARGS b \"t:none\"\n",
        "SecRule ARGS b \"id:2,phase:1,t:lowercase,t:none,t:trim,nolog\"\n",
        "SecRule ARGS b \"id:3,phase:2\"\n",
        "SecDefaultAction \"phase:1,pass,t:lowercase,tag:'d',noauditlog,setvar:tx.n=+1\"\n",
    )));
    let steps = |rule: usize, link: usize| {
        let link = &rules[rule].links[link];
        link.transformations.iter().map(|step| step.name()).collect::<Vec<_>>().join(",")
    };
    assert_eq!((&*steps(0, 0), &*steps(0, 1), &*steps(1, 0), &*steps(2, 0)), ("lowercase,trim", "", "trim", ""));
    assert_eq!(rules[0].tags, [template("d")]);
    assert_eq!((rules[0].log, rules[0].audit_log), (true, false));
    assert_eq!((rules[1].log, rules[1].audit_log), (false, false));
    assert_eq!((rules[2].log, rules[2].audit_log), (true, true));
    assert_eq!((rules[0].links[0].actions.len(), rules[0].links[1].actions.len()), (0, 1));
}

#[test]
fn chains() {
    let rule = rule(concat!(
        "SecRule ARGS a \"id:1,phase:1,deny,chain,msg:'head'\"\n",
        "SecRequestBodyAccess On\n",
        "SecRule ARGS b \"id:7,phase:2,chain,status:437,msg:'link',skipAfter:X\"\n",
        "SecAction \"setvar:tx.a=1\"\nSecMarker X",
    ));
    assert_eq!((rule.links.len(), rule.status, rule.phase), (3, Some(437), Phase::RequestHead));
    assert_eq!((rule.message, rule.skip), (Some(template("head")), Some(Skip::After("X".into()))));
    for (text, says) in [
        ("SecRule ARGS a \"id:1,chain\"\nSecRule ARGS b \"deny\"", "only in the first rule"),
        ("SecRule ARGS a \"id:1,chain\"\nSecMarker x", "SecMarker comes instead"),
        ("SecRule ARGS a \"phase:1\"", "no id"),
        ("SecRule ARGS a", "no id"),
        ("SecRule ARGS a id:1\nSecRule ARGS a id:1", "t:1 has it"),
    ] {
        assert!(mistake(text).text.contains(says), "{text}: {}", mistake(text).text);
    }
    // A mistake in a chain is one mistake.
    let problems =
        result("SecRule ARGZ a \"id:1,chain\"\nSecRule ARGS b \"chain\"\nSecRule ARGS c\nSecRule ARGS d").unwrap_err();
    assert_eq!(
        problems.iter().map(|problem| problem.location.line).collect::<Vec<_>>(),
        [1, 4],
        "{}",
        lines(&problems)
    );
}

#[test]
fn an_unfinished_chain_never_matches() {
    let loaded = load("SecRule ARGS a \"id:1,deny,chain\"");
    assert!(loaded.notes.iter().any(|note| note.kind == NoteKind::Suspicious && note.text.contains("never matches")));
    let rule = rules(loaded).remove(0);
    assert_eq!(rule.links.len(), 2);
    assert!(rule.links[1].condition.is_some() && rule.links[1].targets.is_empty());
}

#[test]
fn mistakes_come_all_at_once_with_their_places() {
    let problems = result(concat!(
        "SecRuel ARGS a id:1\n",
        "SecRule ARGS|ARGZ \"@rx a\" \\\n",
        "    \"id:2,\\\n",
        "    t:lowrcase,\\\n",
        "    msg:'%{nosuch}'\"\n",
        "SecRule ARGS \"@rxx a\" id:3\n",
    ))
    .unwrap_err();
    let short: Vec<_> = problems
        .iter()
        .map(|problem| (problem.location.line, problem.column, &*problem.word, problem.nearest))
        .collect();
    assert_eq!(
        short,
        [
            (1, Some(1), "SecRuel", Some("SecRule")),
            (2, Some(14), "ARGZ", Some("ARGS")),
            (4, Some(7), "lowrcase", Some("lowercase")),
            (5, Some(10), "%{nosuch}", None),
            (6, None, "@rxx", Some("rx")),
        ]
    );
    assert!(problems[0].to_string().starts_with("t:1:1: there is no directive SecRuel (did you mean SecRule?)"));
    let many = result(&"Foo\n".repeat(5000)).unwrap_err();
    assert_eq!(many.len(), 101);
    assert!(many[100].text.contains("4900 more"));
}
