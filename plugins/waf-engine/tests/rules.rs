//! What rules do, each by a few lines of SecLang and a request.

use std::{cell::RefCell, collections::HashMap, net::IpAddr};

use waf_engine::{
    model::Mode,
    seclang::Loader,
    transaction::{BodyEnd, Decision, Engine, Intervention, RequestHead, ResponseHead, Start, Transaction},
    world::{Ends, Files, World},
};

const NONE: [u64; 0] = [];

struct NoFiles;

impl Files for NoFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        Err(format!("there is no {path}"))
    }

    fn glob(&self, _pattern: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

/// A memory without a clock: what has a time ends when the test says so.
#[derive(Default)]
struct Memory {
    now: RefCell<u64>,
    values: RefCell<HashMap<String, (Vec<u8>, u64)>>,
}

impl Memory {
    fn pass(&self, seconds: u64) {
        *self.now.borrow_mut() += seconds * 1_000_000_000;
        let now = self.now();
        self.values.borrow_mut().retain(|_, (_, until)| *until > now);
    }
}

impl World for Memory {
    fn now(&self) -> u64 {
        *self.now.borrow()
    }

    fn random(&self) -> u64 {
        4
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.values.borrow().get(key).map(|(value, _)| value.clone())
    }

    fn set(&self, key: &str, value: &[u8], ttl_ms: u64) -> bool {
        self.values.borrow_mut().insert(key.to_owned(), (value.to_vec(), self.now() + ttl_ms * 1_000_000));
        true
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: u64) -> Option<i64> {
        let until = self.now() + ttl_ms * 1_000_000;
        let mut values = self.values.borrow_mut();
        let (value, _) = values.entry(key.to_owned()).or_insert_with(|| (b"0".to_vec(), until));
        let sum = std::str::from_utf8(value).ok()?.parse::<i64>().ok()? + delta;
        *value = sum.to_string().into_bytes();
        Some(sum)
    }

    fn delete(&self, key: &str) {
        self.values.borrow_mut().remove(key);
    }
}

/// A request that is judged by rules, quick and plain.
struct Case {
    rules: String,
    method: &'static str,
    target: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    response: Vec<(String, String)>,
    response_body: Vec<u8>,
    route: String,
    mode: Option<Mode>,
}

struct Outcome {
    /// Ids of the rules that matched, in order.
    ids: Vec<u64>,
    /// Their messages.
    messages: Vec<String>,
    intervention: Option<Intervention>,
    scores: Vec<i64>,
}

fn rules(text: &str) -> Case {
    Case {
        rules: format!("SecRuleEngine On\n{text}"),
        method: "GET",
        target: "/".to_owned(),
        fields: vec![("Host".to_owned(), "example.org".to_owned())],
        body: Vec::new(),
        response: vec![("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned())],
        response_body: Vec::new(),
        route: String::new(),
        mode: None,
    }
}

impl Case {
    fn get(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn post(mut self, media: &str, body: &str) -> Self {
        self.method = "POST";
        body.as_bytes().clone_into(&mut self.body);
        let length = body.len().to_string();
        self.field("Content-Type", media).field("Content-Length", &length)
    }

    fn answer(mut self, body: &str) -> Self {
        body.as_bytes().clone_into(&mut self.response_body);
        self
    }

    fn load(&self, make: fn(waf_engine::model::RuleSet) -> Engine) -> Engine {
        let mut loader = Loader::new(&NoFiles);
        loader.text("test.conf", self.rules.as_bytes());
        match loader.finish() {
            Ok(loaded) => make(loaded.rules),
            Err(problems) => {
                panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
            }
        }
    }

    fn run(&self) -> Outcome {
        let quick = self.judge(&self.load(Engine::new), &Memory::default());
        let plain = self.judge(&self.load(Engine::plain), &Memory::default());
        assert_eq!((&quick.ids, &quick.messages), (&plain.ids, &plain.messages), "quick and plain differ");
        assert_eq!(quick.intervention, plain.intervention, "quick and plain differ");
        quick
    }

    fn judge(&self, engine: &Engine, memory: &Memory) -> Outcome {
        let start = Start {
            ends: Ends {
                client: IpAddr::from([192, 0, 2, 7]),
                client_port: 4711,
                server: IpAddr::from([192, 0, 2, 1]),
                server_port: 443,
            },
            id: "abc",
            mode: self.mode,
            route: &self.route,
        };
        let fields: Vec<_> = self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let response: Vec<_> = self.response.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let mut transaction = Transaction::begin(engine, &start);
        let head = RequestHead {
            method: self.method.as_bytes(),
            target: self.target.as_bytes(),
            protocol: b"HTTP/1.1",
            fields: &fields,
        };
        let mut decision = transaction.request_head(engine, memory, &head);
        if decision == Decision::Pass {
            let body = if transaction.wants_request_body(engine) { &self.body[..] } else { b"" };
            decision = transaction.request_body(engine, memory, body, BodyEnd::Complete);
        }
        if decision == Decision::Pass {
            let head = ResponseHead { status: 200, protocol: b"HTTP/1.1", fields: &response };
            decision = transaction.response_head(engine, memory, &head);
        }
        if decision == Decision::Pass {
            let body = if transaction.wants_response_body(engine) { &self.response_body[..] } else { b"" };
            decision = transaction.response_body(engine, memory, body, BodyEnd::Complete);
        }
        let intervention = match decision {
            Decision::Pass => None,
            Decision::Intervene(intervention) => Some(intervention),
        };
        transaction.logging(engine, memory, intervention.as_ref().map_or(200, |intervention| intervention.status));
        let matches = transaction.matches();
        Outcome {
            ids: matches.iter().map(|found| found.rule).collect(),
            messages: matches.iter().map(|found| String::from_utf8_lossy(&found.message).into_owned()).collect(),
            intervention,
            scores: matches.iter().map(|found| found.score).collect(),
        }
    }

    fn ids(&self) -> Vec<u64> {
        self.run().ids
    }

    fn status(&self) -> u16 {
        self.run().intervention.map_or(200, |intervention| intervention.status)
    }
}

#[test]
fn a_rule_that_denies_ends_the_request() {
    let case = rules(
        "SecRule ARGS \"@rx ^b\" \"id:1,phase:1,deny,status:418,msg:'no %{MATCHED_VAR}'\"
         SecAction \"id:2,phase:1,pass\"
         SecAction \"id:3,phase:5,pass\"",
    );
    let outcome = case.get("/?a=bcd").run();
    assert_eq!(outcome.ids, [1, 3]);
    assert_eq!(outcome.messages[0], "no bcd");
    let intervention = outcome.intervention.unwrap();
    assert_eq!((intervention.status, intervention.rule, intervention.message.as_str()), (418, 1, "no bcd"));
}

#[test]
fn only_detecting_denies_nothing() {
    let mut case = rules("SecRule ARGS \"@streq b\" \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:1,allow\"\nSecAction \"id:3,phase:1,pass\"")
        .get("/?a=b");
    case.mode = Some(Mode::DetectionOnly);
    let outcome = case.run();
    assert_eq!((outcome.ids, outcome.intervention), (vec![1, 2, 3], None));
    case.mode = Some(Mode::Off);
    assert_eq!(case.run().ids, NONE);
}

#[test]
fn all_links_of_a_chain_must_match() {
    let chain = "SecRule ARGS:a \"@rx ^(.)(x)?(.)\" \"id:1,phase:2,pass,capture,msg:'%{TX.1}|%{TX.2}|%{TX.3} %{MATCHED_VAR_NAME}',chain\"
        SecRule ARGS:b \"@eq 2\" \"chain,setvar:tx.b=+%{MATCHED_VAR}\"
        SecRule TX:b \"@eq 2\" \"\"";
    let outcome = rules(chain).get("/?a=yz&b=2").run();
    assert_eq!((outcome.ids, outcome.messages), (vec![1], vec!["y||z TX:b".to_owned()]));
    assert_eq!(rules(chain).get("/?a=yz&b=3").ids(), NONE);
    assert_eq!(rules(chain).get("/?b=2").ids(), NONE);
}

#[test]
fn setvar_runs_for_each_value_that_matches() {
    let case = rules(
        "SecRule ARGS|!ARGS:skip|!ARGS:/^no/ \"@contains x\" \"id:1,phase:2,pass,setvar:tx.anomaly_score=+5,setvar:'tx.xss_score=+5',setvar:tx.name_%{MATCHED_VAR_NAME}=%{MATCHED_VAR}\"
         SecRule TX:ANOMALY_SCORE \"@eq 10\" \"id:2,phase:2,pass,setvar:!tx.anomaly_score\"
         SecRule &TX:anomaly_score \"@eq 0\" \"id:3,phase:2,pass\"
         SecRule TX:name_ARGS:two \"@streq x2\" \"id:4,phase:2,pass\"
         SecRule &TX:/^name_/ \"@eq 2\" \"id:5,phase:2,pass\"",
    );
    let outcome = case.get("/?one=x1&two=x2&skip=x&None=x&three=y").run();
    assert_eq!(outcome.ids, [1, 2, 3, 4, 5]);
    assert_eq!(outcome.scores[0], 10);
}

#[test]
fn negation_and_counts() {
    let text = "SecRule REQUEST_HEADERS:User-Agent \"!@rx ^good\" \"id:1,phase:1,pass\"
        SecRule &REQUEST_HEADERS:User-Agent \"@eq 0\" \"id:2,phase:1,pass\"
        SecRule &ARGS:/^a/ \"@gt 1\" \"id:3,phase:1,pass\"";
    assert_eq!(rules(text).get("/?a1=&A2=&b=").ids(), [2, 3]);
    assert_eq!(rules(text).field("user-agent", "bad").ids(), [1]);
    assert_eq!(rules(text).field("user-agent", "good").ids(), NONE);
}

#[test]
fn skips_and_markers() {
    let text = "SecRule ARGS:a \"@streq 1\" \"id:1,phase:1,pass,skipAfter:END\"
        SecAction \"id:2,phase:1,pass\"
        SecAction \"id:3,phase:2,pass\"
        SecMarker END
        SecAction \"id:4,phase:1,pass,skip:1\"
        SecAction \"id:5,phase:1,pass,chain\"
        SecRule ARGS \"@unconditionalMatch\" \"\"
        SecAction \"id:6,phase:1,pass,skipAfter:NOWHERE\"
        SecAction \"id:7,phase:1,pass\"";
    assert_eq!(rules(text).get("/?a=1").ids(), [1, 4, 6, 3]);
    assert_eq!(rules(text).get("/?a=2").ids(), [2, 4, 6, 3]);
}

#[test]
fn ctl_removes_rules_and_targets_for_the_rest_of_the_transaction() {
    let text = "SecRule ARGS:how \"@streq id\" \"id:1,phase:1,pass,nolog,ctl:ruleRemoveById=100-101\"
        SecRule ARGS:how \"@streq tag\" \"id:2,phase:1,pass,nolog,ctl:ruleRemoveByTag=attack\"
        SecRule ARGS:how \"@streq target\" \"id:3,phase:1,pass,nolog,ctl:ruleRemoveTargetById=100;ARGS:x\"
        SecRule ARGS:how \"@streq regex\" \"id:4,phase:1,pass,nolog,ctl:ruleRemoveTargetByTag=attack;ARGS:/^x/\"
        SecRule ARGS:how \"@streq all\" \"id:5,phase:1,pass,nolog,ctl:ruleRemoveTargetByTag=attack;ARGS\"
        SecRule ARGS \"@streq evil\" \"id:100,phase:2,pass,tag:'attack'\"
        SecRule ARGS|REQUEST_URI_RAW \"@contains evil\" \"id:101,phase:2,pass,tag:'other'\"
        SecRule ARGS \"@streq evil\" \"id:102,phase:2,pass,tag:'%{REQUEST_METHOD}',tag:attack\"";
    let ids = |how: &str| {
        let ids = rules(text).get(&format!("/?how={how}&x=evil")).ids();
        ids.into_iter().filter(|id| *id >= 100).collect::<Vec<_>>()
    };
    assert_eq!(ids("none"), [100, 101, 102]);
    assert_eq!(ids("id"), [102]);
    assert_eq!(ids("tag"), [101]);
    assert_eq!(ids("target"), [101, 102]);
    assert_eq!(ids("regex"), [101]);
    assert_eq!(ids("all"), [101]);
}

#[test]
fn ctl_switches_the_engine() {
    let text = "SecRule ARGS:off \"@unconditionalMatch\" \"id:1,phase:1,pass,ctl:ruleEngine=Off\"
        SecRule ARGS:detect \"@unconditionalMatch\" \"id:2,phase:1,pass,ctl:ruleEngine=DetectionOnly\"
        SecAction \"id:3,phase:2,deny\"";
    assert_eq!(rules(text).get("/?off=").run().ids, [1]);
    let detect = rules(text).get("/?detect=").run();
    assert_eq!((detect.ids, detect.intervention), (vec![2, 3], None));
    assert_eq!(rules(text).status(), 403);
}

#[test]
fn allow_has_three_scopes() {
    let text = |scope: &str| {
        format!(
            "SecAction \"id:1,phase:1,{scope}\"
             SecAction \"id:2,phase:1,pass\"
             SecAction \"id:3,phase:2,pass\"
             SecAction \"id:4,phase:3,pass\"
             SecAction \"id:5,phase:5,pass\""
        )
    };
    assert_eq!(rules(&text("allow")).ids(), [1, 5]);
    assert_eq!(rules(&text("allow:request")).ids(), [1, 4, 5]);
    assert_eq!(rules(&text("allow:phase")).ids(), [1, 3, 4, 5]);
}

#[test]
fn redirect_and_drop() {
    let redirect = rules("SecAction \"id:1,phase:1,redirect:'https://%{request_headers.host}/x'\"").run();
    let intervention = redirect.intervention.unwrap();
    assert_eq!((intervention.status, intervention.redirect.as_deref()), (302, Some(&b"https://example.org/x"[..])));
    for (written, status) in [(301, 301), (308, 308), (404, 302)] {
        let text = format!("SecAction \"id:1,phase:1,status:{written},redirect:/x\"");
        assert_eq!(rules(&text).run().intervention.unwrap().status, status);
    }
    assert!(rules("SecAction \"id:1,phase:1,drop\"").run().intervention.unwrap().drop);
}

#[test]
fn multi_match_asks_between_transformations() {
    let text = "SecRule ARGS \"@rx ^(A%41|AA|aa)$\" \"id:1,phase:1,pass,t:none,t:urlDecodeUni,t:lowercase,multiMatch,setvar:tx.n=+1\"
        SecRule TX:n \"@eq 3\" \"id:2,phase:1,pass\"";
    assert_eq!(rules(text).get("/?x=A%2541").ids(), [1, 2]);
}

#[test]
fn matched_vars_are_those_of_the_chain() {
    let text = "SecRule ARGS \"@rx .\" \"id:1,phase:1,pass\"
        SecRule ARGS:/^a/ \"@rx ^[0-9]$\" \"id:2,phase:1,pass,chain\"
        SecRule MATCHED_VARS \"@streq 2\" \"chain,msg:x\"
        SecRule MATCHED_VARS_NAMES \"@streq ARGS:a2\" \"chain\"
        SecRule &MATCHED_VARS \"@eq 4\" \"\"";
    assert_eq!(rules(text).get("/?a1=1&a2=2&b=3").ids(), [1, 2]);
}

#[test]
fn bodies_are_read_by_their_type() {
    let text = "SecRule REQUEST_HEADERS:Content-Type \"@beginsWith application/json\" \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"
        SecRule REQUEST_HEADERS:Content-Type \"@beginsWith text/xml\" \"id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"
        SecRule REQBODY_ERROR \"!@eq 0\" \"id:3,phase:2,deny,status:400,msg:'%{REQBODY_ERROR_MSG}'\"
        SecRule ARGS_POST:a \"@streq b\" \"id:4,phase:2,pass\"
        SecRule ARGS:json.a \"@streq b\" \"id:5,phase:2,pass\"
        SecRule XML:/* \"@streq b\" \"id:6,phase:2,pass\"
        SecRule XML://@* \"@streq c\" \"id:7,phase:2,pass\"
        SecRule REQUEST_BODY \"@contains b\" \"id:8,phase:2,pass\"
        SecRule FILES \"@streq b.txt\" \"id:9,phase:2,pass\"
        SecRule ARGS|ARGS_NAMES \"@streq b\" \"id:10,phase:2,pass,setvar:tx.n=+1\"";
    assert_eq!(rules(text).post("application/x-www-form-urlencoded", "a=b").ids(), [4, 8, 10]);
    assert_eq!(rules(text).post("application/json", "{\"a\":\"b\"}").ids(), [1, 5, 8, 10]);
    assert_eq!(rules(text).post("text/xml", "<a x='c'>b</a>").ids(), [2, 6, 7]);
    assert_eq!(rules(text).post("text/plain", "a=b").ids(), [8]);
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"b.txt\"\r\n\r\nx\r\n--x--\r\n";
    assert_eq!(rules(text).post("multipart/form-data; boundary=x", multipart).ids(), [4, 8, 9, 10]);
    assert_eq!(rules(text).post("application/json", "{\"a\":\"b").status(), 400);
}

#[test]
fn without_access_the_body_is_not_looked_at() {
    let text = "SecRequestBodyAccess Off\nSecRule ARGS|REQUEST_BODY \"@contains b\" \"id:1,phase:2,pass\"";
    assert_eq!(rules(text).post("application/x-www-form-urlencoded", "a=b").ids(), NONE);
    let on = format!("{text}\nSecAction \"id:2,phase:1,pass,nolog,ctl:requestBodyAccess=On\"");
    assert_eq!(rules(&on).post("application/x-www-form-urlencoded", "a=b").ids(), [2, 1]);
}

#[test]
fn a_body_over_the_limit() {
    let unset = "SecRequestBodyLimit 5\nSecRule ARGS \"@contains b\" \"id:1,phase:2,pass\"\nSecRule INBOUND_DATA_ERROR \"@eq 1\" \"id:2,phase:2,pass\"";
    let reject = format!("SecRequestBodyLimitAction Reject\n{unset}");
    let outcome = rules(&reject).post("application/x-www-form-urlencoded", "a=b&c=d").run();
    assert_eq!((outcome.ids, outcome.intervention.unwrap().status), (NONE.to_vec(), 403));
    let partial = format!(
        "SecRequestBodyLimitAction ProcessPartial\n{unset}\nSecRule ARGS:c \"@unconditionalMatch\" \"id:3,phase:2,pass\""
    );
    assert_eq!(rules(&partial).post("application/x-www-form-urlencoded", "a=b&c=d").ids(), [1, 2, 3]);
    assert_eq!(rules(&partial).post("application/x-www-form-urlencoded", "a=b&d=").ids(), [1, 2]);
    // As in the reference: without an action, all is looked at.
    assert_eq!(rules(unset).post("application/x-www-form-urlencoded", "a=&d=b").ids(), [1, 2]);
}

#[test]
fn responses_are_looked_at_by_their_type() {
    let text = "SecResponseBodyAccess On\nSecRule RESPONSE_BODY \"@contains secret\" \"id:1,phase:4,deny\"
        SecRule RESPONSE_STATUS \"@eq 200\" \"id:2,phase:3,pass\"
        SecRule RESPONSE_HEADERS:content-type \"@beginsWith text/\" \"id:3,phase:3,pass\"
        SecRule RESPONSE_CONTENT_TYPE \"@streq text/html\" \"id:4,phase:3,pass\"";
    let outcome = rules(text).answer("a secret").run();
    assert_eq!((outcome.ids, outcome.intervention.unwrap().status), (vec![2, 3, 4, 1], 403));
    let mut stream = rules(text).answer("a secret");
    "text/event-stream".clone_into(&mut stream.response[0].1);
    stream.rules.push_str("\nSecResponseBodyMimeType text/event-stream");
    assert_eq!(stream.ids(), [2, 3]);
}

#[test]
fn collections_outlast_the_transaction() {
    let case = rules(
        "SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}\"
         SecAction \"id:2,phase:2,pass,nolog,setvar:ip.count=+1,setvar:ip.%{REQUEST_METHOD}=x,expirevar:ip.get=60\"
         SecRule IP:COUNT \"@ge 2\" \"id:3,phase:2,pass,msg:'%{ip.count}'\"
         SecRule IP:/^G/ \"@streq x\" \"id:4,phase:2,pass\"
         SecRule &IP \"@eq 2\" \"id:5,phase:2,pass\"",
    );
    let engine = case.load(Engine::new);
    let memory = Memory::default();
    assert_eq!(case.judge(&engine, &memory).ids, [1, 2, 4, 5]);
    let second = case.judge(&engine, &memory);
    assert_eq!((second.ids, second.messages[2].as_str()), (vec![1, 2, 3, 4, 5], "2"));
    // The number lasts for SecCollectionTimeout from when it was made, what expires for a minute.
    memory.pass(61);
    let quiet = rules(
        "SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}\"
         SecRule &IP:get \"@eq 0\" \"id:2,phase:2,pass\"
         SecRule IP:count \"@eq 2\" \"id:3,phase:2,pass\"
         SecAction \"id:4,phase:2,pass,setvar:ip.count=-1,setvar:!ip.count\"
         SecRule &IP:count \"@eq 0\" \"id:5,phase:2,pass\"",
    );
    assert_eq!(quiet.judge(&quiet.load(Engine::new), &memory).ids, [1, 2, 3, 4, 5]);
}

#[test]
fn sessions_have_a_key_from_the_request() {
    let case = rules(
        "SecRule REQUEST_COOKIES:sid \"@rx .\" \"id:1,phase:1,pass,nolog,setsid:%{MATCHED_VAR}\"
         SecAction \"id:2,phase:2,pass,setvar:session.n=+1,msg:'%{SESSIONID} %{session.n}'\"",
    );
    let engine = case.load(Engine::new);
    let memory = Memory::default();
    let a = rules("").field("Cookie", "sid=a");
    let b = rules("").field("Cookie", "sid=b");
    let message = |case: &Case| case.judge(&engine, &memory).messages.pop().unwrap();
    assert_eq!([message(&a), message(&b), message(&a)], ["a 1", "b 1", "a 2"]);
}

#[test]
fn variables_of_the_request() {
    let variables = [
        ("REQUEST_LINE", "POST /a/b%20c.php?x=1&y=2 HTTP/1.1"),
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_URI_RAW", "/a/b%20c.php?x=1&y=2"),
        ("REQUEST_FILENAME", "/a/b c.php"),
        ("REQUEST_BASENAME", "b c.php"),
        ("QUERY_STRING", "x=1&y=2"),
        ("ARGS_COMBINED_SIZE", "6"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("REMOTE_PORT", "4711"),
        ("SERVER_ADDR", "192.0.2.1"),
        ("SERVER_PORT", "443"),
        ("SERVER_NAME", "example.org"),
        ("REMOTE_USER", "Aladdin"),
        ("AUTH_TYPE", "Basic"),
        ("UNIQUE_ID", "abc"),
        ("REQBODY_PROCESSOR", "URLENCODED"),
        ("REQUEST_BODY_LENGTH", "3"),
        ("HIGHEST_SEVERITY", "255"),
        ("TIME_EPOCH", "0"),
        ("REQUEST_COOKIES:k", "v=w"),
        ("REQUEST_HEADERS:host", "example.org"),
        ("RULE:id", "17"),
    ];
    for (variable, value) in variables {
        let text = format!("SecRule {variable} \"@streq {value}\" \"id:17,phase:2,pass,msg:'%{{{variable}}}'\"");
        let outcome = rules(&text)
            .get("/a/b%20c.php?x=1&y=2")
            .field("Cookie", "k=v=w; l=m")
            .field("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
            .post("application/x-www-form-urlencoded", "z=3");
        let outcome = outcome.run();
        assert_eq!(outcome.ids, [17], "{variable}");
        assert_eq!(outcome.messages, [value], "{variable}");
    }
}

#[test]
fn severity_is_the_highest_so_far() {
    let text = "SecAction \"id:1,phase:1,pass,severity:WARNING\"
        SecAction \"id:2,phase:1,pass,severity:2\"
        SecAction \"id:3,phase:1,pass,severity:NOTICE\"
        SecRule HIGHEST_SEVERITY \"@eq 2\" \"id:4,phase:1,pass\"";
    assert_eq!(rules(text).ids(), [1, 2, 3, 4]);
}

#[test]
fn the_route_is_known_to_rules() {
    let text = "SecRule TX:portcullis_route \"@streq api\" \"id:1,phase:1,pass\"";
    let mut case = rules(text);
    "api".clone_into(&mut case.route);
    assert_eq!(case.ids(), [1]);
    assert_eq!(rules(text).ids(), NONE);
}

#[test]
fn what_rules_make_of_values_over_and_over_stays_small() {
    let mut text = String::from("SecAction \"id:1,phase:1,pass,nolog,setvar:tx.a=0123456789\"\n");
    for id in 2..60 {
        text.push_str(&format!("SecAction \"id:{id},phase:1,pass,nolog,setvar:tx.a=%{{tx.a}}%{{tx.a}}\"\n"));
    }
    text.push_str("SecRule TX:a \"@rx .\" \"id:99,phase:1,pass,t:length,msg:'%{MATCHED_VAR}'\"");
    let outcome = rules(&text).run();
    assert_eq!(outcome.messages.last().unwrap(), "65536");
}

#[test]
fn a_restarted_transaction_remembers_nothing() {
    let case = rules(
        "SecRule ARGS:a \"@rx (b)\" \"id:1,phase:1,pass,capture,setvar:tx.seen=1,ctl:ruleRemoveById=3\"
         SecRule TX:seen \"@eq 1\" \"id:2,phase:1,pass\"
         SecAction \"id:3,phase:1,pass\"
         SecRule TX:1 \"@rx .\" \"id:4,phase:1,pass\"",
    );
    let engine = case.load(Engine::new);
    let memory = Memory::default();
    let ends = Ends {
        client: IpAddr::from([127, 0, 0, 1]),
        client_port: 1,
        server: IpAddr::from([127, 0, 0, 1]),
        server_port: 2,
    };
    let start = Start { ends, id: "x", mode: None, route: "" };
    let mut transaction = Transaction::begin(&engine, &start);
    let mut ids = |target: &str| {
        transaction.restart(&engine, &start);
        let head = RequestHead { method: b"GET", target: target.as_bytes(), protocol: b"HTTP/1.1", fields: &[] };
        transaction.request_head(&engine, &memory, &head);
        transaction.matches().iter().map(|found| found.rule).collect::<Vec<_>>()
    };
    assert_eq!(ids("/?a=b"), [1, 2, 4]);
    assert_eq!(ids("/?a=c"), [3]);
    assert_eq!(ids("/?a=b"), [1, 2, 4]);

    // Also where the rules are others, and more.
    let more: String = (1..200).map(|id| format!("SecAction \"id:{id},phase:1,pass\"\n")).collect();
    let other = rules(&more).load(Engine::new);
    transaction.restart(&other, &start);
    let head = RequestHead { method: b"GET", target: b"/", protocol: b"HTTP/1.1", fields: &[] };
    transaction.request_head(&other, &memory, &head);
    assert_eq!(transaction.matches().len(), 199);
}
