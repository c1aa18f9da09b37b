//! The language, by small texts.

use std::collections::BTreeMap;

use super::*;
use crate::model::{
    Action, AllowScope, BodyProcessor, Change, Ctl, Disruptive, Entry, IdRange, LimitAction, Mode, Phase, Rule,
    Sanitise, Selector, Skip, Template, Variable,
};

/// Files in memory; patterns have one `*` at the most.
#[derive(Default)]
struct Memory(BTreeMap<&'static str, Vec<u8>>);

impl Files for Memory {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).cloned().ok_or_else(|| "there is no such file".into())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let (before, after) = pattern.split_once('*').ok_or("no pattern")?;
        let fits = |path: &&str| path.starts_with(before) && path.ends_with(after);
        Ok(self.0.keys().copied().filter(fits).map(Into::into).collect())
    }
}

fn files<const N: usize>(files: [(&'static str, &str); N]) -> Memory {
    Memory(files.into_iter().map(|(path, text)| (path, text.as_bytes().to_vec())).collect())
}

fn result(text: &str) -> Result<Loaded, Vec<Problem>> {
    let memory = Memory::default();
    let mut loader = Loader::new(&memory);
    loader.text("t", text.as_bytes());
    loader.finish()
}

fn load(text: &str) -> Loaded {
    result(text).unwrap_or_else(|problems| panic!("{text}\n{}", lines(&problems)))
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn rules(loaded: Loaded) -> Vec<Rule> {
    let rule = |entry| match entry {
        Entry::Rule(rule) => Some(rule),
        Entry::Marker(_) => None,
    };
    loaded.rules.entries.into_iter().filter_map(rule).collect()
}

/// The only rule.
fn rule(text: &str) -> Rule {
    let mut rules = rules(load(text));
    assert_eq!(rules.len(), 1, "{text}");
    rules.remove(0)
}

/// The actions of a rule that has these.
fn actions(list: &str) -> Vec<Action> {
    rule(&format!("SecAction \"id:1,{list}\"")).links.remove(0).actions
}

/// The first mistake of a text.
fn mistake(text: &str) -> Problem {
    match result(text) {
        Ok(_) => panic!("loaded: {text}"),
        Err(mut problems) => problems.remove(0),
    }
}

fn notes(text: &str) -> Vec<(NoteKind, String)> {
    load(text).notes.into_iter().map(|note| (note.kind, note.to_string())).collect()
}

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

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
fn setvar_in_all_its_spellings() {
    let set = |collection, name: &str, change| Action::SetVar { collection, name: template(name), change };
    let assign = |value: &str| Change::Assign(template(value));
    for (written, action) in [
        ("setvar:tx.a=1", set(Variable::Tx, "a", assign("1"))),
        ("setvar:'tx.a=b, c'", set(Variable::Tx, "a", assign("b, c"))),
        ("setvar:tx.a='b,c'", set(Variable::Tx, "a", assign("b,c"))),
        ("setvar:TX:a", set(Variable::Tx, "a", assign("1"))),
        ("setvar:!tx.a", set(Variable::Tx, "a", Change::Unset)),
        ("setvar:'!ip.a'", set(Variable::Ip, "a", Change::Unset)),
        ("setvar:tx.a=+%{tx.b}", set(Variable::Tx, "a", Change::Add(template("%{tx.b}")))),
        ("setvar:tx.a=-5", set(Variable::Tx, "a", Change::Subtract(template("5")))),
        (
            "setvar:'tx.%{rule.id}-X-%{MATCHED_VAR_NAME}=%{tx.0}'",
            set(Variable::Tx, "%{rule.id}-X-%{MATCHED_VAR_NAME}", assign("%{tx.0}")),
        ),
        ("setvar:tx.a=b=c", set(Variable::Tx, "a", assign("b=c"))),
        ("setvar:tx.a=", set(Variable::Tx, "a", assign(""))),
    ] {
        assert_eq!(actions(written), [action], "{written}");
    }
    for (written, says) in [
        ("setvar:a=1", "names no entry"),
        ("setvar:args.a=1", "no collection"),
        ("setvar:env.a=1", "setenv"),
        ("setvar:tx.=1", "no entry"),
        ("setvar", "needs a value"),
        ("setvar:tx.a=%{nosuch}", "no variable nosuch"),
    ] {
        let text = mistake(&format!("SecAction \"id:1,{written}\"")).text;
        assert!(text.contains(says), "{written}: {text}");
    }
}

#[test]
fn other_actions_that_change_variables() {
    let (ip, x) = (Variable::Ip, template("x"));
    for (written, action) in [
        (
            "expirevar:'ip.x=%{tx.t}'",
            Action::ExpireVar { collection: ip, name: x.clone(), seconds: template("%{tx.t}") },
        ),
        (
            "deprecatevar:ip.x=60/300",
            Action::DeprecateVar { collection: ip, name: x.clone(), by: template("60"), seconds: template("300") },
        ),
        ("initcol:ip='%{REMOTE_ADDR}'", Action::InitCol { collection: ip, key: template("%{REMOTE_ADDR}") }),
        (
            "setsid:%{REQUEST_COOKIES.s}",
            Action::SetKey { collection: Variable::Session, key: template("%{REQUEST_COOKIES.s}") },
        ),
        ("setuid:u", Action::SetKey { collection: Variable::User, key: template("u") }),
        ("setrsc:r", Action::SetKey { collection: Variable::Resource, key: template("r") }),
        ("setenv:V=%{MATCHED_VAR}=1", Action::SetEnv { name: "V".into(), value: template("%{MATCHED_VAR}=1") }),
        ("sanitiseArg:password", Action::Sanitise(Sanitise::Argument("password".into()))),
        ("sanitizeMatched", Action::Sanitise(Sanitise::Matched)),
        ("sanitiseMatchedBytes:1/4", Action::Sanitise(Sanitise::MatchedBytes { first: 1, last: 4 })),
    ] {
        assert_eq!(actions(written), [action], "{written}");
    }
}

#[test]
fn ctl_in_all_its_forms() {
    let range = |first, last| IdRange { first, last };
    let target = |text: &str| {
        let mut mistakes = Vec::new();
        let mut targets = target::list(line::Span { text, at: 0 }, &mut mistakes);
        assert!(mistakes.is_empty());
        targets.remove(0)
    };
    for (written, ctl) in [
        ("ruleEngine=DetectionOnly", Ctl::RuleEngine(Mode::DetectionOnly)),
        ("requestBodyAccess=off", Ctl::RequestBodyAccess(false)),
        ("requestBodyLimit=5", Ctl::RequestBodyLimit(5)),
        ("requestBodyProcessor=json", Ctl::RequestBodyProcessor(BodyProcessor::Json)),
        ("forceRequestBodyVariable=On", Ctl::ForceRequestBodyVariable(true)),
        ("ruleRemoveById=1-5", Ctl::RuleRemoveById(vec![range(1, 5)])),
        ("ruleRemoveByTag=a-b", Ctl::RuleRemoveByTag(template("a-b"))),
        (
            "ruleRemoveTargetById=1;ARGS:ids[]",
            Ctl::RuleRemoveTargetById { rules: vec![range(1, 1)], target: target("ARGS:ids[]") },
        ),
        (
            "ruleRemoveTargetByTag=t;ARGS:'/a,b/'",
            Ctl::RuleRemoveTargetByTag { tag: "t".into(), target: target("ARGS:'/a,b/'") },
        ),
        (
            "ruleRemoveTargetByMsg=m;XML:/*",
            Ctl::RuleRemoveTargetByMsg { message: "m".into(), target: target("XML:/*") },
        ),
    ] {
        assert_eq!(actions(&format!("ctl:{written}")), [Action::Ctl(ctl)], "{written}");
    }
    let many = Ctl::RuleRemoveById(vec![range(1, 1), range(5, 5), range(7, 9)]);
    assert_eq!(actions("ctl:'ruleRemoveById=1 5,7-9'"), [Action::Ctl(many)]);
    let [Action::Ctl(Ctl::AuditLogParts { add: Some(true), parts })] = actions("ctl:auditLogParts=+E")[..] else {
        panic!("no parts")
    };
    assert_eq!(parts.0, 1 << 4);
    for (written, says) in [
        ("ruleRemoveById=1 5", ""),
        ("ruleRemoveById=a", "neither the id"),
        ("ruleRemoveById=9-5", "neither the id"),
        ("ruleRemoveTargetById=1", "names no variable"),
        ("ruleRemoveTargetById=1;!ARGS", "without !"),
        ("ruleRemoveTargetByTag=;ARGS", "names no rule"),
        ("ruleEngin=On", "no ctl:ruleEngin"),
        ("ruleEngine=Of", "neither On"),
        ("hashEngine=On", "not supported"),
        ("auditLogParts=+", "letter"),
        ("ruleEngine", "has no value"),
    ] {
        if says.is_empty() {
            continue;
        }
        let text = mistake(&format!("SecAction \"id:1,ctl:{written}\"")).text;
        assert!(text.contains(says), "{written}: {text}");
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

#[test]
fn actions_that_a_proxy_does_not_do_say_why() {
    for (action, says) in [
        ("exec:/x", "plugin"),
        ("proxy:http://x", "route"),
        ("pause:5", "rate-limit"),
        ("append:x", "rewrite-body"),
        ("prepend:x", "rewrite-body"),
        ("deny:5", "takes no value"),
        ("status:700", "200 to 599"),
        ("phase:6", "no phase 6"),
        ("severity:HIGH", "no severity"),
        ("skip:abc", "not a number"),
        ("allow:all", "no scope"),
        ("id:0", "not the id"),
        ("id:99999999999999999999999", "not the id"),
        ("xmlns:soap'http://x'", "has no ="),
        ("xmlns:soap='x'", "no namespace"),
        ("msg:'a'b", "comma"),
        ("msg:'a", "no closing '"),
        ("denny", "no action denny"),
    ] {
        let problem = mistake(&format!("SecRule ARGS a \"id:1,{action}\""));
        assert!(problem.text.contains(says), "{action}: {}", problem.text);
    }
    assert_eq!(mistake("SecRule ARGS a \"id:1,denny\"").nearest, Some("deny"));
}

#[test]
fn defaults_are_checked() {
    for (text, says) in [
        ("SecDefaultAction \"phase:1,log,block,status:404\"", "pass, deny"),
        ("SecDefaultAction \"phase:2,t:none,pass\"", "t:none does not suit"),
        ("SecDefaultAction \"phase:2,id:1,pass\"", "id does not suit"),
        ("SecDefaultAction \"phase:2,pass\"\nSecDefaultAction \"phase:2,pass\"", "already, at t:1"),
        ("SecDefaultAction", "needs actions"),
    ] {
        assert!(mistake(text).text.contains(says), "{text}: {}", mistake(text).text);
    }
}

#[test]
fn directives_set_refuse_or_have_no_effect() {
    let settings = load(concat!(
        "secruleengine on\nSecRequestBodyLimit 5\nSecRequestBodyLimitAction ProcessPartial\nSecArgumentSeparator \";\"\n",
        "SecResponseBodyMimeType text/xml \"application/JSON; x\"\nSecResponseBodyMimeType a/b\nSecAuditLogParts ABE\n",
        "SecComponentSignature \"a/1\"\nSecComponentSignature b\nSecPcreMatchLimit 7\nSecWebAppId app\nSecRuleEngine Off\n",
    ))
    .rules
    .settings;
    assert_eq!((settings.mode, settings.request_body_limit, settings.argument_separator), (Mode::Off, 5, b';'));
    assert_eq!((settings.request_body_limit_action, settings.backtrack_limit), (Some(LimitAction::ProcessPartial), 7));
    assert_eq!(
        settings.response_body_mime_types,
        ["text/xml".into(), "application/json".into(), Arc::<str>::from("a/b")]
    );
    assert_eq!(settings.audit_parts.0, 0b10011 | 1 << 25);
    assert_eq!(settings.component_signatures.len(), 2);
    for (text, says) in [
        ("SecRuleScript x.lua", "Lua"),
        ("SecRemoteRules k https://x", "not fetched"),
        ("SecGeoLookupDb /x", "geoLookup"),
        ("SecHttpBlKey x", "@rbl"),
        ("SecRuleInheritance On", "[route.waf]"),
        ("SecXmlExternalEntity On", "save Off"),
        ("SecStreamOutBodyInspection On", "save Off"),
        ("SecContentInjection On", "save Off"),
        ("SecConnReadStateLimit 50", "save Off"),
        ("SecCookieFormat 1", "only SecCookieFormat 0"),
        ("SecRuleEngine Onn", "neither On"),
        ("SecRequestBodyLimit 1k", "without a unit"),
        ("SecRequestBodyLimit -1", "not a number"),
        ("SecRequestBodyAccess On Off", "too much"),
        ("SecRequestBodyAccess", "needs a value"),
        ("SecAuditLogParts AXZ", "no part X"),
        ("<IfModule security2_module>", "[route.waf]"),
        ("LoadModule x y", "httpd"),
        ("modsecurity on;", "nginx"),
        ("SecMarker a b", "too much"),
        ("SecRule ARGS \"@rx a", "no closing \""),
        ("SecRule ARGS \"a\"b id:1", "right after"),
        ("SecRule ARGS", "variables, an operator"),
        ("SecRule ARGS \"\" id:1", "operator is empty"),
        ("SecRule ARGS a id:1 b", "too much"),
        ("SecAction", "has actions"),
    ] {
        assert!(mistake(text).text.contains(says), "{text}: {}", mistake(text).text);
    }
    for text in
        ["SecTmpDir /tmp", "SecServerSignature x", "SecConnEngine On", "SecXmlExternalEntity Off", "SecDebugLogLevel 3"]
    {
        assert!(matches!(&notes(text)[..], [(NoteKind::Inert, _)]), "{text}");
    }
}

const THREE: &str = concat!(
    "SecRule ARGS a \"id:1,phase:1,deny,tag:'x',msg:'one'\"\n",
    "SecRule ARGS a \"id:2,phase:1,tag:'xy',block,chain\"\nSecRule FILES a\n",
    "SecRule ARGS a \"id:3,phase:1,tag:'x',msg:'three'\"\n",
);

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

#[test]
fn files_include_others_relative_to_themselves() {
    let memory = files([
        ("/a/main.conf", "Include sub/*.conf\nIncludeOptional missing.conf\nIncludeOptional no/*.conf\nSecMarker end"),
        ("/a/sub/1.conf", "Include \"../x.inc\"\nSecMarker 1"),
        ("/a/sub/2.conf", "SecMarker 2"),
        ("/a/sub/../x.inc", "SecMarker x"),
    ]);
    let mut loader = Loader::new(&memory);
    loader.file("/a/m*.conf").text("more", b"SecMarker last");
    let markers: Vec<String> = loader
        .finish()
        .unwrap()
        .rules
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::Marker(name) => name.to_string(),
            Entry::Rule(rule) => panic!("{rule:?}"),
        })
        .collect();
    assert_eq!(markers, ["x", "1", "2", "end", "last"]);
}

#[test]
fn includes_are_bounded() {
    let refused = |memory: &Memory| {
        let mut loader = Loader::new(memory);
        loader.file("/a");
        loader.finish().unwrap_err().remove(0).text
    };
    assert!(refused(&files([("/a", "Include b"), ("/b", "Include a")])).contains("/a -> /b -> /a"));
    assert!(refused(&files([("/a", "Include b")])).contains("/b cannot be read: there is no such file"));
    assert!(refused(&files([("/a", "Include b*")])).contains("no file matches /b*"));
    let names: Vec<&'static str> = (0..20).map(|depth| &*String::leak(format!("/{depth}"))).collect();
    let deep: BTreeMap<_, _> = (0..20)
        .map(|depth| (names[depth], format!("Include {}", depth + 1).into_bytes()))
        .chain([("/a", b"Include 0".to_vec())])
        .collect();
    assert!(refused(&Memory(deep)).contains("16 deep"));
    // Each file includes the next one ten times: ten to the tenth files.
    let wide: BTreeMap<_, _> = (0..10)
        .map(|depth| (names[depth], format!("Include {}\n", depth + 1).repeat(10).into_bytes()))
        .chain([("/a", b"Include 0".to_vec()), ("/10", b"#".to_vec())])
        .collect();
    assert!(refused(&Memory(wide)).contains("10000 files"));
    let large = Memory([("/a", b"#\n".repeat(9 << 20))].into());
    assert!(refused(&large).contains("16 MiB"));
}

#[test]
fn the_unicode_map_lies_beside_its_file() {
    let memory = files([
        ("/a/main.conf", "SecUnicodeMapFile unicode.mapping 20127\n"),
        ("/a/two.conf", "SecUnicodeMapFile unicode.mapping\nSecUnicodeCodePage 20127\n"),
        ("/a/bad.conf", "SecUnicodeMapFile unicode.mapping 7\n"),
        ("/a/unicode.mapping", "20127 (US-ASCII)\nff0e:2e\n"),
    ]);
    for (file, loads) in [("/a/main.conf", true), ("/a/two.conf", true), ("/a/bad.conf", false)] {
        let mut loader = Loader::new(&memory);
        loader.file(file);
        match loader.finish() {
            Ok(loaded) => assert_eq!((loaded.rules.settings.unicode_map.is_some(), true), (loads, loads)),
            Err(problems) => assert!(!loads && problems[0].text.contains("unicode.mapping"), "{}", lines(&problems)),
        }
    }
}

#[test]
fn exclusions_and_jumps_to_nowhere_are_noted() {
    let text = "SecAction \"id:1,ctl:ruleRemoveById=5-9,ctl:ruleRemoveTargetByTag=t;ARGS,skipAfter:NO\"";
    let all: Vec<String> = notes(text).into_iter().map(|(_, text)| text).collect();
    for says in ["no rule from 5 to 9", "no rule has the tag t", "no marker or rule NO"] {
        assert!(all.iter().any(|note| note.contains(says)), "{all:?}");
    }
    assert!(notes("SecRule ARGS \"@rbl x\" id:1").iter().any(|(kind, _)| *kind == NoteKind::NeverMatches));
    assert!(notes("SecRule !ARGS a id:1").iter().any(|(kind, _)| *kind == NoteKind::Suspicious));
}

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
