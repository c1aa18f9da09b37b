use serde_json::{Value, json};

use super::*;
use crate::{
    model::{Disruptive, Link, Location, Phase, Rule, RuleSet, Settings},
    transaction::{BodyEnd, Mask, Match, RequestHead, ResponseHead, Start},
    world::{Ends, World},
};

struct NoWorld;

impl World for NoWorld {
    fn now(&self) -> u64 {
        1_795_281_718_000_000_000
    }
    fn random(&self) -> u64 {
        0
    }
    fn get(&self, _: &str) -> Option<Vec<u8>> {
        None
    }
    fn set(&self, _: &str, _: &[u8], _: u64) -> bool {
        false
    }
    fn add(&self, _: &str, _: i64, _: u64) -> Option<i64> {
        None
    }
    fn delete(&self, _: &str) {}
}

fn parts(letters: &str) -> AuditParts {
    AuditParts(letters.bytes().fold(0, |set, letter| set | 1 << (letter - b'A')))
}

fn engine(letters: &str) -> Engine {
    let location = Location { file: "rules.conf".into(), line: 7 };
    let link = Link {
        location,
        targets: Vec::new(),
        condition: None,
        transformations: Vec::new(),
        multi_match: false,
        capture: false,
        actions: Vec::new(),
        log_data: None,
    };
    let rule = Rule {
        id: 920_350,
        phase: Phase::Logging,
        links: vec![link],
        disruptive: Disruptive::Pass,
        status: None,
        log: false,
        audit_log: false,
        skip: None,
        message: None,
        severity: Some(4),
        tags: Vec::new(),
        version: Some("OWASP_CRS/4.28.0".into()),
        revision: None,
        maturity: Some(9),
        accuracy: None,
    };
    let settings = Settings {
        mode: Mode::DetectionOnly,
        request_body_access: true,
        response_body_access: true,
        audit_engine: AuditEngine::On,
        audit_parts: parts(letters),
        web_app_id: "shop".into(),
        component_signatures: vec!["OWASP_CRS/4.28.0".into()],
        ..Settings::default()
    };
    Engine::new(RuleSet { settings, entries: vec![crate::model::Entry::Rule(rule)] })
}

/// A transaction without the matches that the engine found.
fn judge(engine: &Engine, target: &str, content_type: &str, body: &[u8]) -> Transaction {
    let mut transaction = judge_keeping(engine, target, content_type, body);
    transaction.matches.clear();
    transaction
}

fn judge_keeping(engine: &Engine, target: &str, content_type: &str, body: &[u8]) -> Transaction {
    let ends = Ends {
        client: "192.0.2.1".parse().unwrap(),
        client_port: 40001,
        server: "2001:db8::1".parse().unwrap(),
        server_port: 443,
    };
    let start = Start { ends, id: "abc", mode: None, route: "" };
    let mut transaction = Transaction::begin(engine, &start);
    let length = body.len().to_string();
    let fields: &[(&[u8], &[u8])] = &[
        (b"Host", b"localhost:8080"),
        (b"X-Twice", b"one"),
        (b"x-twice", b"t\xffwo"),
        (b"Authorization", b"Basic c2VjcmV0"),
        (b"Content-Type", content_type.as_bytes()),
        (b"Content-Length", length.as_bytes()),
    ];
    let head = RequestHead { method: b"POST", target: target.as_bytes(), protocol: b"HTTP/1.1", fields };
    transaction.request_head(engine, &NoWorld, &head);
    transaction.request_body(engine, &NoWorld, body, BodyEnd::Complete);
    let fields: &[(&[u8], &[u8])] = &[(b"Content-Type", b"text/plain"), (b"Set-Cookie", b"id=secret")];
    transaction.response_head(engine, &NoWorld, &ResponseHead { status: 200, protocol: b"HTTP/1.1", fields });
    transaction.response_body(engine, &NoWorld, b"answer", BodyEnd::Complete);
    transaction.logging(engine, &NoWorld, 403);
    transaction
}

fn matched() -> Match {
    Match {
        rule: 920_350,
        phase: Phase::RequestHead,
        file: "rules.conf".into(),
        line: 7,
        message: b"Host \"x\"".to_vec(),
        data: b"found s3cret, S3CRET and \xff".to_vec(),
        severity: Some(4),
        tags: vec![b"attack-protocol".to_vec()],
        variable: b"ARGS:password".to_vec(),
        value: b"S3CRET".to_vec(),
        log: true,
        audit_log: true,
        disruptive: false,
        score: 0,
    }
}

fn audited(engine: &Engine, transaction: &Transaction) -> Value {
    let line = transaction.audit(engine).unwrap();
    assert!(!line.contains(&b'\n'));
    serde_json::from_slice::<Value>(&line).unwrap()["transaction"].take()
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn the_document_is_that_of_libmodsecurity() {
    let engine = engine("ABCEFHZ");
    let mut transaction = judge(&engine, "/path?a=1", FORM, b"b=%32");
    transaction.matches.push(matched());
    assert_eq!(
        audited(&engine, &transaction),
        json!({
            "client_ip": "192.0.2.1",
            "time_stamp": "Sat Nov 21 17:21:58 2026",
            "server_id": "shop",
            "client_port": 40001,
            "host_ip": "2001:db8::1",
            "host_port": 443,
            "unique_id": "abc",
            "request": {
                "method": "POST",
                "http_version": 1.1,
                "hostname": "localhost",
                "uri": "/path?a=1",
                "body": "b=%32",
                "headers": {
                    "Host": "localhost:8080",
                    "X-Twice": ["one", "t\\xffwo"],
                    "Authorization": "Basic c2VjcmV0",
                    "Content-Type": FORM,
                    "Content-Length": "5",
                },
            },
            "response": {
                "body": "answer",
                "http_code": 403,
                "headers": { "Content-Type": "text/plain", "Set-Cookie": "id=secret" },
            },
            "producer": {
                "modsecurity": concat!("portcullis v", env!("CARGO_PKG_VERSION")),
                "connector": concat!("portcullis v", env!("CARGO_PKG_VERSION")),
                "secrules_engine": "DetectionOnly",
                "components": ["OWASP_CRS/4.28.0"],
            },
            "messages": [{
                "message": "Host \"x\"",
                "details": {
                    "match": "Unconditional match in SecAction.",
                    "reference": "",
                    "ruleId": "920350",
                    "file": "rules.conf",
                    "lineNumber": "7",
                    "data": "found s3cret, S3CRET and \\xff",
                    "severity": "4",
                    "ver": "OWASP_CRS/4.28.0",
                    "rev": "",
                    "tags": ["attack-protocol"],
                    "maturity": "9",
                    "accuracy": "0",
                },
            }],
        })
    );
}

#[test]
fn parts_choose_what_is_logged() {
    for (letters, present, absent) in [
        (
            "AZ",
            &[][..],
            &["/request/headers", "/request/body", "/response/headers", "/response/body", "/messages", "/producer"][..],
        ),
        (
            "ABHZ",
            &["/request/headers", "/messages", "/producer"],
            &["/request/body", "/response/headers", "/response/body"],
        ),
        ("ACZ", &["/request/body"], &["/request/headers", "/messages"]),
        ("AIZ", &["/request/body"], &["/request/headers"]),
        ("AEZ", &["/response/body"], &["/response/headers"]),
        ("AFZ", &["/response/headers"], &["/response/body"]),
    ] {
        let engine = engine(letters);
        let document = audited(&engine, &judge(&engine, "/", FORM, b"a=b"));
        present.iter().for_each(|part| assert!(document.pointer(part).is_some(), "{letters} {part}"));
        absent.iter().for_each(|part| assert!(document.pointer(part).is_none(), "{letters} {part}"));
    }
    let engine = engine("AIZ");
    let body = b"--0\r\nContent-Disposition: form-data; name=\"a b\"\r\n\r\n\xc3\xa4\r\n--0\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\nfile\r\n--0--\r\n";
    let document = audited(&engine, &judge(&engine, "/", "multipart/form-data; boundary=0", body));
    assert_eq!(document["request"]["body"], "a%20b=%C3%A4");
}

#[test]
fn the_audit_engine_decides_what_is_due() {
    let engine = engine("AZ");
    let mut transaction = judge(&engine, "/", FORM, b"");
    transaction.audit_engine = AuditEngine::Off;
    assert_eq!(transaction.audit(&engine), None);
    transaction.audit_engine = AuditEngine::RelevantOnly;
    assert_eq!(transaction.audit(&engine), None);
    transaction.matches.push(Match { audit_log: false, ..matched() });
    assert_eq!(transaction.audit(&engine), None);
    transaction.matches.push(matched());
    assert!(transaction.audit(&engine).is_some());
}

#[test]
fn a_relevant_status_is_due() {
    let mut engine = engine("AZ");
    let options = crate::pattern::Options { ignore_case: false, backtrack_limit: 1000 };
    let pattern = crate::pattern::Pattern::new(b"^4(?!04)", options).unwrap();
    engine.rules.settings.audit_relevant_status = Some(std::sync::Arc::new(pattern));
    engine.rules.settings.audit_engine = AuditEngine::RelevantOnly;
    let mut transaction = judge(&engine, "/", FORM, b"");
    assert!(transaction.audit(&engine).is_some());
    transaction.logging(&engine, &NoWorld, 404);
    transaction.matches.clear();
    assert_eq!(transaction.audit(&engine), None);
}

#[test]
fn rules_that_want_no_log_are_not_listed() {
    let engine = engine("AHZ");
    let mut transaction = judge(&engine, "/", FORM, b"");
    transaction.matches.push(Match { log: false, audit_log: false, ..matched() });
    transaction.matches.push(Match { log: true, audit_log: false, ..matched() });
    transaction.matches.push(Match { log: false, audit_log: true, ..matched() });
    assert_eq!(audited(&engine, &transaction)["messages"].as_array().map(Vec::len), Some(2));
}

fn masked(masks: &[(Mask, (u32, u32))], content_type: &str, body: &[u8]) -> Value {
    let engine = engine("ABCFHZ");
    let mut transaction = judge(&engine, "/?password=%733cret&b=c&PassWord=s3&password", content_type, body);
    transaction.matches.push(matched());
    transaction.masks = masks.to_vec();
    audited(&engine, &transaction)
}

#[test]
fn masked_arguments_are_shown_nowhere() {
    let mask = [(Mask::Argument(b"password".to_vec()), (0, 0))];
    let document = masked(&mask, FORM, b"p%61ssword=%733cret&b=c");
    assert_eq!(document["request"]["uri"], "/?password=********&b=c&PassWord=**&password");
    assert_eq!(document["request"]["body"], "p%61ssword=********&b=c");
    assert_eq!(document["messages"][0]["details"]["data"], "found ******, ****** and \\xff");

    let json = [(Mask::Argument(b"json.a.password".to_vec()), (0, 0))];
    let body = |body: &str| masked(&json, "application/x", body.as_bytes());
    // No processor: nothing is known of what is in there.
    assert_eq!(body("{}")["request"]["body"], "{}");

    let part = b"--0\r\nContent-Disposition: form-data; name=password\r\n\r\ns3cret\r\n--0--\r\n";
    let document = masked(&mask, "multipart/form-data; boundary=0", part);
    let shown = document["request"]["body"].as_str().unwrap();
    assert!(shown.contains("\r\n\r\n******\r\n--0--") && !shown.contains("s3cret"));
}

#[test]
fn masked_arguments_of_json_are_shown_nowhere() {
    let engine = engine("ACZ");
    let audited = |body: &str| {
        let mut transaction = judge(&engine, "/", "application/json", b"");
        transaction.processor = Some(BodyProcessor::Json);
        transaction.request_body(&engine, &NoWorld, body.as_bytes(), BodyEnd::Complete);
        transaction.masks = vec![(Mask::Argument(b"json.a.password".to_vec()), (1, 1))];
        audited(&engine, &transaction)["request"]["body"].as_str().unwrap().to_owned()
    };
    assert_eq!(audited(r#"{"a":{"password":"s3cret","b":1}}"#), r#"{"a":{"password":"s****t","b":1}}"#);
    assert_eq!(audited(r#"{"a":{"password":12}}"#), r#"{"a":{"password":**}}"#);
    // Where it is is not known: it was decoded, or comes after an error.
    assert!(audited(r#"{"a":{"password":"s\u0033cret"}}"#).bytes().all(|byte| byte == b'*'));
    assert!(audited(r#"{"a":x,{"password":"s3cret"}}"#).bytes().all(|byte| byte == b'*'));
}

#[test]
fn masked_fields_and_bodies_are_shown_nowhere() {
    let masks = [
        (Mask::RequestHeader(b"authorization".to_vec()), (5, 0)),
        (Mask::ResponseHeader(b"set-cookie".to_vec()), (0, 100)),
        (Mask::Body, (0, 0)),
    ];
    let document = masked(&masks, FORM, b"a=b");
    assert_eq!(document["request"]["headers"]["Authorization"], "Basic*********");
    assert_eq!(document["response"]["headers"]["Set-Cookie"], "*********");
    assert_eq!(document["request"]["body"], "***");
}

#[test]
fn what_is_logged_is_bounded() {
    let engine = engine("ABCHZ");
    let body = vec![0xff; 1 << 20];
    let mut transaction = judge(&engine, "/", "application/octet-stream", &body);
    transaction.matches = vec![matched(); 5000];
    let document = audited(&engine, &transaction);
    assert_eq!(document["request"]["body_omitted"], (1 << 20) - MOST_BODY);
    assert_eq!(document["messages"].as_array().map(Vec::len), Some(MOST_MESSAGES));
}

#[test]
fn moments_are_written_as_asctime_does() {
    assert_eq!(time_stamp(0), "Thu Jan  1 00:00:00 1970");
    assert_eq!(time_stamp(951_782_400_000_000_000), "Tue Feb 29 00:00:00 2000");
}

#[test]
fn a_match_tells_operator_variable_and_value() {
    struct NoFiles;
    impl crate::world::Files for NoFiles {
        fn read(&self, _: &str) -> Result<Vec<u8>, String> {
            Err("no files".to_owned())
        }
        fn glob(&self, _: &str) -> Result<Vec<String>, String> {
            Ok(Vec::new())
        }
    }
    let mut loader = crate::seclang::Loader::new(&NoFiles);
    loader.text(
        "rules.conf",
        b"SecRuleEngine On\nSecAuditEngine On\nSecAuditLogParts AHZ\n\
          SecRule ARGS:a \"@streq b\" \"id:7,phase:1,log,auditlog,pass,msg:'found %{MATCHED_VAR}',ver:'1.2',sanitiseArg:secret\"\n\
          SecRule ARGS \"@rx x+\" \"id:8,phase:1,nolog,pass\"\n\
          SecRule ARGS:secret \"@contains yyy\" \"id:9,phase:1,log,pass,logdata:'%{MATCHED_VAR}'\"",
    );
    let engine = Engine::new(loader.finish().unwrap().rules);
    let transaction = judge_keeping(&engine, "/?a=b&secret=xxyyyzz", FORM, b"");
    let document = audited(&engine, &transaction);
    let details = |at: usize| &document["messages"][at]["details"];
    assert_eq!(document["messages"].as_array().map(Vec::len), Some(2));
    assert_eq!(document["messages"][0]["message"], "found b");
    assert_eq!(details(0)["ver"], "1.2");
    assert_eq!(
        details(0)["match"],
        "Matched \"Operator `StrEq' with parameter `b' against variable `ARGS:a' (Value: `b' )"
    );
    assert_eq!(details(1)["data"], "*******");
    assert!(!document.to_string().contains("xxyyyzz"));
}
