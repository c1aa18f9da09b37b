use portcullis_tests::{repository::root, scenario::scenario};
use serde_json::{Value, json};

use super::Desk;

/// A rule set that a reader can see through.
const RULES: &str = "\
SecRule ARGS \"@contains attack\" \"id:1,phase:2,block,pass,log,t:none,t:lowercase,\\\n    \
msg:'An attack',logdata:'%{MATCHED_VAR}',setvar:tx.anomaly_score=+5\"
SecRule ARGS \"@contains odd\" \"id:2,phase:2,pass,log,t:none,msg:'Odd',setvar:tx.anomaly_score=+2\"
SecRule TX:anomaly_score \"@ge 5\" \"id:3,phase:2,deny,status:403,log,msg:'Score %{tx.anomaly_score}'\"
";

const ATTACK: &str = "GET /search?q=An+ATTACK&page=2 HTTP/1.1\nHost: shop.example.com\n\n";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("own.conf", RULES);
    desk.write("attack.http", ATTACK);
    desk
}

/// A configuration whose plugin has these rules.
fn config(rules: &str, of_route: &str) -> String {
    format!(
        "[[listener]]\naddress = \"127.0.0.1:8080\"\n\n[[route]]\nname = \"shop\"\nrespond = {{ status = 200 }}\n\
         plugins = \"waf\"\n{of_route}\n[plugin.waf]\nmodule = \"builtin:waf\"\n\n[plugin.waf.config]\nrules = {rules}\n"
    )
}

#[test]
fn check_counts_rules_and_lists_what_is_without_effect() {
    scenario(async {
        let desk = desk();
        let finished = desk.run(&["waf", "check", "own.conf"]).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.stdout.contains("from 1 file"), "{finished:?}");
        assert!(!finished.stdout.contains("without effect"), "{finished:?}");

        desk.write("more/a.conf", "SecTmpDir /tmp\nSecRuleRemoveById 77\n");
        let (status, value) = desk.json(&["waf", "check", "--json", "own.conf", "more/*.conf"]).await;
        assert_eq!((status, &value["ok"]), (Some(0), &json!(true)), "{value}");
        let notes = value["notes"].as_array().unwrap();
        for (line, word) in [("more/a.conf:1", "SecTmpDir"), ("more/a.conf:2", "77")] {
            let is = |note: &&Value| note.as_str().unwrap().contains(line) && note.as_str().unwrap().contains(word);
            assert!(notes.iter().any(|note| is(&note)), "{line}: {value}");
        }
    });
}

#[test]
fn check_names_file_line_and_word_of_every_mistake() {
    scenario(async {
        let desk = desk();
        desk.write("bad.conf", "SecRuleEngin On\n\nSecRule ARGS \"@contain x\" \"id:9,phase:2,pass\"\n");
        let finished = desk.run(&["waf", "check", "own.conf", "bad.conf"]).await;
        assert_eq!(finished.code, Some(1), "{finished:?}");
        for text in ["bad.conf:1", "SecRuleEngine", "bad.conf:3", "contain", "2 mistakes"] {
            assert!(finished.stdout.contains(text), "{text}: {finished:?}");
        }
        let finished = desk.run(&["waf", "check", "gone.conf"]).await;
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stdout.contains("gone.conf"), "{finished:?}");
    });
}

#[test]
fn explain_shows_rule_value_score_and_an_exclusion_that_works() {
    scenario(async {
        let desk = desk();
        let explain = ["waf", "explain", "attack.http", "--rules", "own.conf"];
        let finished = desk.run(&explain).await;
        assert_eq!(finished.code, Some(1), "{finished:?}");
        for text in ["refused with 403 by rule 3: Score 5", "rule 1  +5  An attack", "own.conf:1", "ARGS:q = an attack"]
        {
            assert!(finished.stdout.contains(text), "{text}: {finished:?}");
        }

        let (_, value) = desk.json(&[&explain[..], &["--json"]].concat()).await;
        assert_eq!(value["decision"]["rule"], 3, "{value}");
        let rule = value["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == 1).unwrap();
        assert_eq!(rule["matched"], json!([{ "variable": "ARGS:q", "value": "an attack" }]), "{value}");

        // As SecLang, in front of the rules.
        desk.write("except.conf", rule["exclusions"][0]["seclang"].as_str().unwrap());
        let finished = desk.run(&["waf", "explain", "attack.http", "--rules", "except.conf", "own.conf"]).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        // As TOML, on a route.
        desk.write("portcullis.toml", config("[\"own.conf\"]", rule["exclusions"][0]["toml"].as_str().unwrap()));
        let finished = desk.run(&["waf", "explain", "attack.http", "--route", "shop"]).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let finished = desk.run(&["waf", "explain", "attack.http"]).await;
        assert_eq!(finished.code, Some(1), "{finished:?}");
        // It is the narrowest: another path, another argument are still looked at.
        for other in [ATTACK.replace("/search", "/other"), ATTACK.replace("q=", "r=")] {
            desk.write("other.http", other);
            let finished = desk.run(&["waf", "explain", "other.http", "--route", "shop"]).await;
            assert_eq!(finished.code, Some(1), "{finished:?}");
        }
    });
}

#[test]
fn rules_of_a_configuration_are_those_of_its_plugin() {
    scenario(async {
        let desk = desk();
        let inline =
            "[\"own.conf\", { inline = 'SecRule ARGS:page \"@eq 2\" \"id:4,phase:1,deny,status:404,msg:two\"' }]";
        desk.write("portcullis.toml", config(inline, ""));
        let (status, value) = desk.json(&["waf", "explain", "--json", "attack.http"]).await;
        assert_eq!((status, &value["decision"]["status"]), (Some(1), &json!(404)), "{value}");
        let finished = desk.run(&["waf", "check"]).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");

        desk.write("portcullis.toml", config("[\"builtin:baseline\"]", ""));
        desk.write("sql.http", "GET /p?id=1%27%20or%20%271%27=%271 HTTP/1.1\nHost: a\n\n");
        let finished = desk.run(&["waf", "explain", "sql.http"]).await;
        assert!(finished.code == Some(1) && finished.stdout.contains("SQL injection"), "{finished:?}");

        desk.write(
            "none.toml",
            "[[listener]]\naddress = \"127.0.0.1:8080\"\n\n[[route]]\nrespond = { status = 200 }\n",
        );
        let finished = desk.run(&["waf", "check", "--config", "none.toml"]).await;
        assert!(finished.code == Some(1) && finished.stderr.contains("builtin:waf"), "{finished:?}");
    });
}

/// A line of an audit log.
fn record(client: &str, uri: &str) -> String {
    let record = json!({ "transaction": {
        "client_ip": client,
        "request": { "method": "GET", "http_version": 1.1, "uri": uri, "headers": { "Host": "shop.example.com" } },
        "messages": []
    } });
    format!("{record}\n")
}

#[test]
fn tune_proposes_what_ordinary_clients_trip_over_and_says_what_it_would_let_through() {
    scenario(async {
        let desk = desk();
        let mut log = String::from("no record\n");
        for client in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            log += &record(client, "/search?q=heart+attack");
            log += &record(client, "/search?q=shoes");
        }
        // Once is no habit, and this client looks for a way in.
        log += &record("192.0.2.1", "/once?x=attack");
        for n in 0..20 {
            log += &record("203.0.113.9", &format!("/p{n}?z=attack"));
        }
        desk.write("audit.jsonl", log);
        let tune = ["waf", "tune", "audit.jsonl", "--json", "--rules", "own.conf"];
        let (status, value) = desk.json(&tune).await;
        assert_eq!(status, Some(0), "{value}");
        assert_eq!(value["left_out_clients"], json!(["203.0.113.9"]), "{value}");
        assert!(value["remarks"][0].as_str().unwrap().starts_with("1 line"), "{value}");
        let proposals = value["proposals"].as_array().unwrap();
        assert_eq!(proposals.len(), 1, "{value}");
        let proposal = &proposals[0];
        assert_eq!((&proposal["target"], &proposal["path"]), (&json!("ARGS:q"), &json!("/search")), "{value}");
        assert_eq!(proposal["replayed"], json!({ "refused": 3, "passing": 3 }), "{value}");
        // None of the attacks has the word in it: these rules refuse none of them, and nothing is let through.
        assert_eq!(proposal["attacks"], json!({ "refused": 0, "passing": [] }), "{value}");

        // Rules that refuse attacks would let some through, and they are named.
        desk.write(
            "sql.conf",
            "SecRule ARGS \"@rx (?i)union|attack\" \"id:8,phase:2,deny,status:403,log,msg:'Union'\"\n",
        );
        let (_, value) = desk.json(&["waf", "tune", "audit.jsonl", "--json", "--rules", "sql.conf"]).await;
        let attacks = &value["proposals"][0]["attacks"];
        let passing = attacks["passing"].as_array().unwrap();
        assert!(passing.contains(&json!("sql/union")), "{value}");
        assert!(attacks["refused"].as_u64().unwrap() >= passing.len() as u64, "{value}");
    });
}

#[test]
fn tune_proposes_nothing_where_nothing_is_a_habit() {
    scenario(async {
        let desk = desk();
        desk.write("audit.jsonl", record("192.0.2.1", "/search?q=attack").repeat(5));
        let finished = desk.run(&["waf", "tune", "audit.jsonl", "--rules", "own.conf"]).await;
        assert!(finished.code == Some(0) && finished.stdout.contains("Nothing looks like"), "{finished:?}");
        // One client's habit is proposed where one client is enough.
        let finished = desk.run(&["waf", "tune", "audit.jsonl", "--clients", "1", "--rules", "own.conf"]).await;
        assert!(finished.stdout.contains("proposal 1: ARGS:q on /search"), "{finished:?}");
    });
}

#[test]
fn cost_shows_where_the_time_goes() {
    scenario(async {
        let desk = desk();
        // Hashing a body beside comparing a word.
        let slow = "SecRule REQUEST_BODY \"!@streq x\" \"id:5,phase:2,pass,nolog,t:none,t:sha1,t:hexEncode,t:md5\"\n";
        desk.write("slow.conf", slow);
        let body = "a".repeat(20_000);
        desk.write(
            "big.http",
            format!("POST / HTTP/1.1\nHost: a\nContent-Type: text/plain\nContent-Length: 20000\n\n{body}"),
        );
        let (status, value) = desk
            .json(&["waf", "cost", "big.http", "--rounds", "3", "--json", "--rules", "own.conf", "slow.conf"])
            .await;
        assert_eq!(status, Some(0), "{value}");
        assert!(value["us_per_request"].as_f64().unwrap() > 0.0, "{value}");
        let rules = value["rules"].as_array().unwrap();
        let total: f64 = rules.iter().map(|rule| rule["percent"].as_f64().unwrap()).sum();
        assert!((99.0..101.0).contains(&total), "{value}");
        let slowest = rules.iter().find(|rule| rule["rule"] != 0).unwrap();
        assert_eq!(slowest["rule"], 5, "{value}");
        let finished = desk.run(&["waf", "cost", "big.http", "--rounds", "1", "--rules", "own.conf"]).await;
        assert!(finished.code == Some(0) && finished.stdout.contains("us a request"), "{finished:?}");
    });
}

#[test]
fn the_baseline_refuses_the_attacks_that_come_with_it() {
    scenario(async {
        let desk = Desk::new();
        let attack = root().join("tests/conformance/attacks/sql/union.http").canonicalize().unwrap();
        let benign = root().join("tests/conformance/benign/browsers/home-chrome.http").canonicalize().unwrap();
        for (file, code) in [(attack, 1), (benign, 0)] {
            let finished = desk.run(&["waf", "explain", file.to_str().unwrap(), "--rules", "builtin:baseline"]).await;
            assert_eq!(finished.code, Some(code), "{finished:?}");
        }
    });
}
