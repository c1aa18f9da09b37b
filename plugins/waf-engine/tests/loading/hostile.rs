//! Rule files from strangers: no panic, no hanging, no memory without bound.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use waf_engine::{seclang::Loader, world::Files};

/// Every file is there, and says the same.
struct Same(Vec<u8>);

impl Files for Same {
    fn read(&self, _path: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.clone())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        Ok(vec![pattern.replace('*', "a"), pattern.replace('*', "b")])
    }
}

/// Loads and gives how long it took. Whether it loads makes no difference.
fn time(text: &[u8]) -> Duration {
    let start = Instant::now();
    let files = Same(text.to_vec());
    let mut loader = Loader::new(&files);
    loader.text("t", text);
    let _ = loader.finish().map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>());
    start.elapsed()
}

/// Rules with much of the language in them.
const RULES: &str = concat!(
    "# a comment \\\nSecRuleEngine On\r\n",
    "SecDefaultAction \"phase:1,log,auditlog,deny,status:404,t:lowercase\"\n",
    "SecRule ARGS|!ARGS:'/x|y/'|&REQUEST_HEADERS:Host|XML:/*|TX:%{tx.a} \"!@rx ^a\\\"[b]+$\" \\\n",
    "  \"id:1,phase:request,block,capture,t:none,t:urlDecodeUni,msg:'it\\'s %{TX.0}',logdata:'%{MATCHED_VAR}',\\\n",
    "  tag:'a/b',severity:CRITICAL,setvar:'tx.a=+%{tx.b}',ctl:ruleRemoveTargetById=2-9;ARGS:q,chain\"\n",
    "SecRule REQUEST_URI \"@pm a b c\" \"setvar:!tx.c,expirevar:ip.x=60\"\n",
    "SecMarker END\nSecAction \"id:3,phase:1,nolog,pass,initcol:ip=%{REMOTE_ADDR},skipAfter:END\"\n",
    "SecRuleRemoveById 5-7 9\nSecRuleUpdateTargetByTag a/b !ARGS:z\nSecRuleUpdateActionById 3 \"deny\"\n",
    "SecAuditLogParts ABZ\nSecResponseBodyMimeType text/html\nSecArgumentSeparator \"&\"\n",
);

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        time(&bytes);
    }

    #[test]
    fn bytes_of_the_language(text in "(SecRule|SecAction|SecMarker|Include|[A-Z_]{2,9}|[!&@|:,;=%{}/.\"' \\\\\n#*-]|id:[0-9]|t:none|chain|tx\\.|ctl:){0,200}") {
        time(text.as_bytes());
    }

    #[test]
    fn rules_with_damage(
        cuts in proptest::collection::vec((0..RULES.len(), 0usize..20, proptest::collection::vec(any::<u8>(), 0..4)), 1..8)
    ) {
        let mut text = RULES.as_bytes().to_vec();
        for (at, length, put) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, put);
        }
        time(&text);
    }
}

#[test]
fn large_files_of_one_kind_take_linear_time() {
    // 256 KiB of each. Even without optimisation that takes seconds; what is quadratic takes hours.
    let many = |unit: &str| unit.repeat((256 << 10) / unit.len());
    for text in [
        many("\\\n"),
        many("SecRule "),
        many("SecRule ARGS \"@rx a\" \"id:1,chain\"\n"),
        format!("SecRule {} x id:1", many("ARGS:/a|")),
        format!("SecRule {} x id:1", many("ARGS:/a\\/|")),
        format!("SecRule {} x id:1", many("ARGS:'")),
        format!("SecRule ARGS x \"id:1,{}\"", many("msg:'a',")),
        format!("SecRule ARGS x \"id:1,{}\"", many("a:'")),
        format!("SecRule ARGS x \"id:1,setvar:tx.{}=1\"", many("%{a")),
        format!("SecRule ARGS x \"id:1,{}\"", many(",")),
        format!("SecRule ARGS \"{}\" id:1", many("\\\"")),
        format!("SecRule ARGS x \"id:1,ctl:ruleRemoveById='{}'\"", many("1 ")),
        format!("SecRule ARGS x id:1\n{}", many("SecRuleUpdateTargetById 1 !FILES:x\n")),
        format!("SecRule ARGS x id:1\n{}", many("SecRuleUpdateActionById 1 \"t:trim\"\n")),
        many("SecRuleRemoveById 1-99999999\n"),
        many("SecResponseBodyMimeType a/b c/d\n"),
        many("Include x*\n"),
        (0..20_000)
            .map(|id| format!("SecRule ARGS x id:{id},tag:t\n"))
            .chain(["SecRuleUpdateTargetByTag t !ARGS:x\n".repeat(2000)])
            .collect(),
    ] {
        let took = time(text.as_bytes());
        let shown: String = text.chars().take(60).collect();
        assert!(took < Duration::from_secs(60), "{shown}: {took:?}");
        println!("{took:?} {}", shown.escape_debug());
    }
}

#[test]
fn many_large_patterns_are_too_many() {
    // Each takes a few MiB; one after the other would fill any memory.
    for rule in ["SecRule ARGS:/N(?:[a-q]{100}){60}/ x id:N\n", "SecRule ARGS \"@rx N(?:[a-q]{100}){60}\" id:N\n"] {
        let text: String = (1..2000).map(|id| rule.replace('N', &id.to_string())).collect();
        let files = Same(Vec::new());
        let problems = Loader::new(&files).text("t", &text).finish().unwrap_err();
        assert!(problems[0].text.contains("all patterns together"), "{}", problems[0]);
    }
}
