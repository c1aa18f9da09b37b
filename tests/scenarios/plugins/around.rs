//! What plugins reach beside the exchange: files they are configured by, the journal they write, what they add to the record, and
//! bodies that they take back.

use portcullis_tests::{
    client::http::{Connection, get, request, request_with_body},
    origin::{Origin, stock},
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario, soon},
};

use http_body_util::BodyExt;

use super::{configuration, guest};
use crate::ground::full_log;

const HOST: &str = "a.example";

/// The guest `reader` with the rules in the configuration's folder `r`, which it holds all bodies for.
fn plan(origin: &Origin) -> Plan {
    Plan::new(configuration(&table("rules = [\"r/*.rule\"]"), r#"["reader"]"#))
        .set("origin", origin.address())
        .laid_out("portcullis.toml", |folder, text| {
            std::fs::create_dir(folder.join("r")).unwrap();
            std::fs::write(folder.join("r/a.rule"), "one").unwrap();
            std::fs::write(folder.join("portcullis.toml"), text).unwrap();
        })
}

fn table(config: &str) -> String {
    format!("[plugin.reader]\nmodule = \"{}\"\n[plugin.reader.config]\n{config}\n", guest("reader"))
}

async fn rules(proxy: &Proxy) -> String {
    get(proxy.address("http"), HOST, "/").await.seen("x-rules").concat()
}

#[test]
fn a_rule_file_that_changes_configures_the_plugin_anew_and_a_broken_one_does_not() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin).start().await;
        assert_eq!(rules(&proxy).await, "one");
        let generation = proxy.generation().await;
        proxy.write("r/a.rule", "two");
        proxy.reload_seen(generation + 1).await;
        assert_eq!(rules(&proxy).await, "two");
        proxy.write("r/b.rule", "broken");
        let error = eventually("the mistake", async || {
            let status = proxy.status().await;
            status["reload"]["error"].as_str().filter(|error| error.contains("b.rule")).map(str::to_owned)
        })
        .await;
        assert!(error.contains("plugin reader") && error.contains("`broken` is no rule"), "{error}");
        assert_eq!((rules(&proxy).await.as_str(), proxy.generation().await), ("two", generation + 1));
        // Nothing but the file that could not be taken changes.
        proxy.write("r/b.rule", "three");
        proxy.reload_seen(generation + 2).await;
        assert_eq!(rules(&proxy).await, "two+three");
        assert!(proxy.status().await["reload"]["error"].is_null());
    });
}

#[test]
fn a_start_reads_files_once_and_finds_nothing_changed() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin).start().await;
        // A reload that is asked for afterwards is the first there is.
        let answer = proxy.command(&["reload"]).await;
        assert!(answer.stdout.contains("1"), "{answer:?}");
        assert_eq!(proxy.generation().await, 1);
        assert!(!proxy.error_log().contains("a file changed"), "{}", proxy.error_log());
    });
}

#[test]
fn a_journal_is_written_follows_rotation_and_is_whole_at_the_end() {
    scenario(async {
        let origin = Origin::start().await;
        let text = configuration(&table("lines = \"lines.log\""), r#"["reader"]"#);
        let mut proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let path = proxy.folder().join("lines.log");
        let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
        get(proxy.address("http"), HOST, "/both").await;
        eventually("the first lines", async || read(&path).contains("GET /both\nbodies 0\n").then_some(())).await;
        std::fs::rename(&path, path.with_extension("old")).unwrap();
        eventually("the file is opened again", async || path.exists().then_some(())).await;
        get(proxy.address("http"), HOST, "/last").await;
        proxy.signal(rustix::process::Signal::TERM);
        assert!(proxy.ended().await.success());
        assert!(read(&path).contains("GET /last\nbodies 11\n"), "{}", read(&path));
    });
}

#[test]
fn a_journal_that_cannot_be_opened_is_an_error_of_the_configuration() {
    scenario(async {
        let origin = Origin::start().await;
        let text = configuration(&table("lines = \"none/lines.log\""), r#"["reader"]"#);
        let refused = Plan::new(text).set("origin", origin.address()).refused().await;
        assert!(refused.says.contains("plugin reader") && refused.says.contains("none/lines.log"), "{}", refused.says);
    });
}

#[test]
fn a_note_is_in_the_access_log_and_in_explain() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin).start().await;
        let mut wanted = request("GET", HOST, "/both");
        wanted.headers_mut().insert("x-request-id", "noted".parse().unwrap());
        Connection::h1(proxy.address("http")).await.fetch(wanted).await;
        let line = &full_log(&proxy, 1).await[0];
        let note = &line["plugins"][0]["note"];
        assert_eq!(*note, serde_json::json!({ "bodies": 0, "rules": "one" }));
        let explained = proxy.command(&["explain", "noted", "--json"]).await;
        let explained: serde_json::Value = serde_json::from_str(&explained.stdout).unwrap();
        assert_eq!(explained["plugins"][0]["note"], *note);
        let shown = proxy.command(&["explain", "noted"]).await;
        assert!(shown.stdout.contains("rules") && shown.stdout.contains("one"), "{}", shown.stdout);
    });
}

#[test]
fn a_body_that_is_taken_back_passes_as_if_nobody_had_asked_for_it() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin).start().await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            let body = || stock::full(bytes::Bytes::from_static(b"a body"));
            let held = client.fetch(request_with_body("POST", HOST, "/x", body())).await;
            assert_eq!((held.seen("x-held"), held.header("x-held")), (vec!["request".into()], "response"));
            let passed = client.fetch(request_with_body("POST", HOST, "/request", body())).await;
            assert_eq!((passed.seen("x-held"), passed.json()["length"].as_u64()), (vec![], Some(6)));
            assert_eq!(passed.seen("content-length"), ["6"]);
            let answer = client.fetch(request_with_body("POST", HOST, "/response", body())).await;
            assert_eq!((answer.seen("x-held"), answer.header("x-held")), (vec!["request".into()], ""));
            assert_ne!(answer.header("content-length"), "");
            assert_eq!(client.get(HOST, "/head").await.header("x-held"), "");
        }
    });
}

#[test]
fn an_event_stream_flows_at_once_when_its_body_is_taken_back() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin).start().await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            // The second event is a minute away.
            let response = client.send(request("GET", HOST, "/events/sse?n=2&ms=60000")).await.unwrap();
            let first = soon("the first event", response.into_body().frame()).await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap(), "data: 0\n\n");
        }
    });
}
