//! The web application firewall, `builtin:waf`, in the way of exchanges. What its rules match is tested beside it, in `plugins/`; rule sets,
//! routes of their own and reloads are in [`waf_crs`](crate::waf_crs).
//!
//! - an attack is refused, with a page that shows the request's id, which `explain` takes; in detect mode it passes and is written down
//! - bodies are judged, and held no longer than the rules want them
//! - the audit log is a file of its own

use portcullis_tests::{
    client::http::{Answer, Connection, get, request, request_with_body},
    origin::{Origin, stock},
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario},
};
use serde_json::{Value, json};

use crate::ground::{PLAIN, full_log};

const HOST: &str = "a.example";

const ATTACK: &str = "/?file=../../../../etc/passwd";

/// The firewall with this table, in front of everything.
fn text(config: &str) -> String {
    PLAIN.replace("backend = \"app\"\n", "backend = \"app\"\nplugins = [\"waf\"]\n")
        + &format!(
            "[plugin.waf]\nmodule = \"builtin:waf\"\nlimits = {{ time = \"1s\" }}\n[plugin.waf.config]\n{config}\n"
        )
}

async fn start(origin: &Origin, config: &str) -> Proxy {
    Plan::new(text(config)).set("origin", origin.address()).start().await
}

async fn ask(proxy: &Proxy, id: &str, target: &str) -> Answer {
    let mut wanted = request("GET", HOST, target);
    wanted.headers_mut().insert("x-request-id", id.parse().unwrap());
    Connection::h1(proxy.address("http")).await.fetch(wanted).await
}

async fn explained(proxy: &Proxy, id: &str) -> Value {
    let explained = proxy.command(&["explain", id, "--json"]).await;
    serde_json::from_str(&explained.stdout).unwrap_or_else(|error| panic!("{error}: {explained:?}"))
}

#[test]
fn an_attack_is_refused_with_an_id_that_explain_takes() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = start(&origin, "").await;
        assert_eq!(get(proxy.address("http"), HOST, "/shop?q=shoes").await.status, 200);
        let refused = ask(&proxy, "attack-1", ATTACK).await;
        assert_eq!((refused.status, refused.header("content-type")), (403, "text/html; charset=utf-8"));
        assert!(refused.text().contains("attack-1"), "{}", refused.text());
        assert_eq!(origin.count(), 1, "the backend has not seen it");
        let record = explained(&proxy, "attack-1").await;
        let waf = &record["plugins"][0];
        assert_eq!((&waf["verdict"], &record["decided_by"]), (&json!("respond"), &json!("waf")));
        assert_eq!(waf["note"]["decision"], "blocked");
        assert!(waf["note"]["rules"][0]["id"].is_u64() && waf["note"]["score"].as_i64() >= Some(5), "{waf}");
        assert_eq!(proxy.status().await["plugin_figures"]["plugin_waf_blocked"], 1);
    });
}

#[test]
fn detecting_lets_it_pass_and_writes_it_down() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = start(&origin, "mode = \"detect\"").await;
        assert_eq!(ask(&proxy, "attack-2", ATTACK).await.status, 200);
        let line = &full_log(&proxy, 1).await[0];
        assert_eq!(line["plugins"][0]["note"]["decision"], "detected", "{line}");
    });
}

#[test]
fn bodies_are_judged_in_every_version_and_a_page_may_be_the_operators() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = start(&origin, "page = \"no: {id}\"\nstatus = 418").await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            let post = |body: &'static str| {
                let mut wanted =
                    request_with_body("POST", HOST, "/form", stock::full(bytes::Bytes::from_static(body.as_bytes())));
                let form = "application/x-www-form-urlencoded".parse().unwrap();
                wanted.headers_mut().insert("content-type", form);
                wanted
            };
            let passed = client.fetch(post("name=O%27Neil&note=select+a+size")).await;
            assert_eq!((passed.status, passed.json()["length"].as_u64()), (200, Some(32)));
            let refused = client.fetch(post("q=1%27%20UNION%20SELECT%20password%20FROM%20users--%20-")).await;
            assert_eq!((refused.status, refused.text().starts_with("no: ")), (418, true));
        }
    });
}

#[test]
fn the_audit_log_has_a_line_for_what_was_refused() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = start(&origin, "audit_log = \"audit.log\"").await;
        ask(&proxy, "passes", "/shop?q=shoes").await;
        ask(&proxy, "attack-3", ATTACK).await;
        let path = proxy.folder().join("audit.log");
        let line = eventually("the line", async || {
            let text = std::fs::read_to_string(&path).ok()?;
            text.lines().next().map(str::to_owned)
        })
        .await;
        let line: Value = serde_json::from_str(&line).unwrap();
        let transaction = &line["transaction"];
        assert_eq!(transaction["unique_id"], "attack-3", "{line}");
        assert_eq!(transaction["response"]["http_code"], 403, "{line}");
    });
}
