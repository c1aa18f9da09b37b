use portcullis_tests::{
    client::http::{Connection, get, request},
    origin::Origin,
    scenario::{eventually, scenario},
};
use serde_json::json;

use super::{GRANTS, good, guest, plan};
use crate::ground::full_log;

const HOST: &str = "a.example";

#[test]
fn the_record_says_what_each_plugin_did_and_cost() {
    scenario(async {
        let origin = Origin::start().await;
        let tables = good("tag", "do = 'tag', name = 'a'") + &good("look", "do = 'looker'");
        let proxy = plan(&origin, &tables, r#"["tag", "look"]"#).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        let mut wanted = request("GET", HOST, "/");
        wanted.headers_mut().insert("x-request-id", "told".parse().unwrap());
        client.fetch(wanted).await;
        let line = &full_log(&proxy, 1).await[0];
        let plugins = line["plugins"].as_array().unwrap();
        assert_eq!((&plugins[0]["name"], &plugins[0]["verdict"]), (&json!("tag"), &json!("edit")));
        assert!(plugins[0]["request_head_us"].is_u64() && plugins[0]["response_head_us"].is_u64(), "{line}");
        assert!(plugins[0].get("request_body_us").is_none(), "a phase that is not wanted never comes: {line}");
        assert_eq!((&plugins[1]["name"], &plugins[1]["verdict"]), (&json!("look"), &json!("continue")));
        assert!(plugins[1]["request_body_us"].is_u64() && plugins[1]["response_body_us"].is_u64(), "{line}");
        let explained = proxy.command(&["explain", "told", "--json"]).await;
        let explained: serde_json::Value = serde_json::from_str(&explained.stdout).unwrap();
        assert_eq!(explained["plugins"], line["plugins"]);
    });
}

#[test]
fn explaining_a_request_shows_the_chain_it_would_meet() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &good("hold", "do = 'holder', limit = 2048"), r#"["hold"]"#).start().await;
        let url = format!("http://{HOST}:{}/", proxy.address("http").port());
        let explained = proxy.command(&["explain", "--json", &url]).await;
        let explained: serde_json::Value = serde_json::from_str(&explained.stdout).unwrap();
        assert_eq!(explained["plugins"][0]["name"], "hold");
        let phases = explained["plugins"][0]["phases"].as_array().unwrap();
        assert_eq!(phases, &[json!("request_body (hold up to 2KiB)"), json!("response_body (hold up to 2KiB)")]);
    });
}

#[test]
fn every_phase_is_told_in_order_and_log_comes_last_with_what_became_of_it() {
    scenario(async {
        let origin = Origin::start().await;
        let table = format!(
            "[plugin.rec]\nmodule = \"{}\"\ngrants = {{ log = true }}\nconfig = {{ name = 'rec', bodies = 'stream' }}\n",
            guest("recorder")
        );
        let proxy = plan(&origin, &table, r#"["rec"]"#).start().await;
        get(proxy.address("http"), HOST, "/x").await;
        let places = eventually("the log phase", async || {
            let said = proxy.error_log();
            let find = |what: &str| said.find(&format!("rec: {what}"));
            let all = ["request_head", "request_body", "response_head", "response_body", "log"].map(find);
            all.iter().all(Option::is_some).then_some(all)
        })
        .await;
        assert!(places.is_sorted(), "{places:?}: {}", proxy.error_log());
    });
}

#[test]
fn status_sums_what_a_plugin_has_cost() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &good("noop", "do = 'noop'"), r#"["noop"]"#).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        for _ in 0..3 {
            client.get(HOST, "/").await;
        }
        let plugin = eventually("the third log phase", async || {
            let plugin = proxy.status().await["plugins"][0].take();
            (plugin["cost"]["log"]["calls"] == 3).then_some(plugin)
        })
        .await;
        assert_eq!(
            (&plugin["exchanges"], &plugin["cost"]["request_head"]["calls"]),
            (&json!(3), &json!(3)),
            "{plugin}"
        );
        assert!(plugin["cost"].get("request_body").is_none(), "{plugin}");
    });
}

#[test]
fn a_plugin_asks_the_backends_that_it_may() {
    scenario(async {
        let (origin, side) = (Origin::start().await, Origin::named("side").await);
        let table = format!(
            "[plugin.asks]\nmodule = \"{}\"\n{}\nconfig = {{ do = 'requests', phase = 'request_head', backend = 'side', count = 2, timeout_ms = 5000 }}\n",
            guest("hostile"),
            GRANTS.replace("http = []", "http = ['side']"),
        ) + "[backend.side]\nendpoints = [\"http://@side@\"]\n";
        let proxy = plan(&origin, &table, r#"["asks"]"#).set("side", side.address()).start().await;
        assert_eq!(get(proxy.address("http"), HOST, "/x").await.status, 200);
        let asked = side.requests();
        assert_eq!(asked.len(), 2);
        assert_eq!((asked[1].method.as_str(), asked[1].target.as_str()), ("GET", "/"));
        assert_eq!(asked[1].host, side.address().to_string(), "by its own name");
        assert_eq!(side.connections(), 1, "through the pool");
        assert_eq!(origin.count(), 1);
    });
}

#[test]
fn a_suspended_plugin_makes_the_proxy_unready_until_it_is_back() {
    scenario(async {
        let origin = Origin::start().await;
        let table = format!(
            "[plugin.bad]\nmodule = \"{}\"\n{GRANTS}\nconfig = {{ do = 'trap', phase = 'request_head' }}\n",
            guest("hostile")
        );
        let proxy = plan(&origin, &table, r#"["bad"]"#).start().await;
        assert_eq!(proxy.status().await["ready"], true);
        let client = Connection::h1(proxy.address("http")).await;
        let status = eventually("it is suspended", async || {
            assert_eq!(client.get(HOST, "/").await.status, 503);
            let status = proxy.status().await;
            (status["ready"] == false).then_some(status)
        })
        .await;
        let plugin = &status["plugins"][0];
        assert_eq!((&plugin["name"], &plugin["routes"][0]), (&json!("bad"), &status["plugins"][0]["routes"][0]));
        assert!(plugin["suspended_ms"].is_u64() && plugin["failures"]["trap"].as_u64() > Some(0), "{plugin}");
        let why = status["not_ready_because"][0].as_str().unwrap();
        assert!(why.contains("plugin bad"), "{why}");
    });
}
