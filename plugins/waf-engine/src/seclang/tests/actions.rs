//! What single actions mean.

use super::*;

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
        let mut targets = target::list(line::Span { text, at: 0 }, &Patterns::default(), &mut mistakes);
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
