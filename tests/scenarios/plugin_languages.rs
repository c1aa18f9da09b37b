//! Plugins in other languages than Rust, built as their authors build them, each through the proxy.
//!
//! - the examples in C, JavaScript and Python pass their own tests and cases, and do through the proxy what their READMEs say
//! - a configuration that they refuse is an error of the load, in their words
//! - what goes wrong in them ends one exchange, and the log says what it was
//!
//! One test for each language: a runtime of 12 or 18 MB is compiled once.

use std::{path::Path, time::Duration};

use http::Request;
use portcullis_tests::{
    binary,
    client::http::Connection,
    origin::{Origin, stock},
    plugin,
    proxy::Plan,
    repository,
    scenario::scenario_within,
    tool::Tool,
};

/// Building and compiling take a minute of a processor, and the machine may be busy.
const LONG: Duration = Duration::from_secs(600);

/// A listener, and a route to `@origin@` through the plugin `name` with this configuration. Of a guest that is not compiled as well as Rust is, more time is taken
/// than by default.
fn plan(name: &str, module: &Path, table: &str) -> Plan {
    let text = format!(
        r#"
[[listener]]
name = "http"
address = "127.0.0.1:@http@"

[[route]]
backend = "app"
plugins = ["{name}"]

[backend.app]
endpoints = ["http://@origin@"]

[plugin.{name}]
module = "{}"
limits = {{ time = "5s", wait = "20s" }}
{table}
"#,
        module.display()
    );
    Plan::new(text)
}

/// Runs the cases in the project's `tests`. The compiled code is in the cache after that, so that proxies start at once.
async fn passes_its_cases(folder: &Path) {
    let test = Tool::new("env").args([binary::portcullis()]).args(["plugin", "test", "--time", "10s", "--wait", "40s"]);
    let said = test.args(["--module".as_ref(), folder.join("plugin.wasm").as_path()]).args([folder.join("tests")]);
    said.within(LONG).output().await;
}

/// What a plugin's own mistake is for client and operator: one exchange refused, with `said` in the log, and the next one goes on.
async fn fails_once(name: &str, proxy: &portcullis_tests::proxy::Proxy, client: &Connection, said: &str) {
    let answer = client.get("a.example", "/fails").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let line = proxy.says(&format!("plugin {name} failed: request_head trapped")).await;
    assert!(line.contains(said), "{line}");
}

#[test]
fn a_plugin_in_c_runs() {
    scenario_within(LONG, async {
        let folder = repository::root().join("plugins/example-c");
        let temporary = tempfile::tempdir().unwrap();
        let program = temporary.path().join("test");
        let warnings = ["-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-o"];
        let compiling = Tool::new("cc").args(warnings).args([&program]).args(["test_config.c", "config.c"]);
        compiling.inside(&folder).output().await;
        Tool::at(&program).output().await;

        let free = "    portcullis_filter_types_request_head_free(head);\n";
        let fails = "    if (head->target.len == 6 && memcmp(head->target.ptr, \"/fails\", 6) == 0) abort();\n";
        let folder = plugin::built("plugins/example-c", &[("plugin.c", free, &format!("{fails}{free}"))]).await;
        passes_its_cases(&folder).await;

        let module = folder.join("plugin.wasm");
        let plan = |table: &str| plan("timing", &module, &format!("grants = {{ clock = true }}\n{table}"));
        let origin = Origin::start().await;
        let table = "config = { name = \"edge\", description = \"all of it\" }";
        let proxy = plan(table).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        let answer = client.get("a.example", "/slow?ms=20").await;
        assert_eq!(answer.status, 200);
        let timing = answer.header("server-timing");
        let (time, rest) = timing.strip_prefix("edge;dur=").unwrap().split_once(';').unwrap();
        assert_eq!(rest, "desc=\"all of it\"");
        assert!(time.parse::<f64>().unwrap() >= 20.0, "{timing}");
        fails_once("timing", &proxy, &client, "it gave up").await;
        assert_eq!(client.get("a.example", "/").await.status, 200);

        let refused = plan("config = { name = \"two words\" }").set("origin", origin.address()).refused().await;
        assert!(refused.says.contains("`name` is a word of at most 64"), "{}", refused.says);
        let refused = plan("config = { nam = \"x\" }").set("origin", origin.address()).refused().await;
        assert!(refused.says.contains("unknown key `nam`"), "{}", refused.says);
    });
}

#[test]
fn a_plugin_in_javascript_runs() {
    scenario_within(LONG, async {
        let folder = repository::root().join("plugins/example-js");
        Tool::new("node").args(["--test"]).inside(&folder).output().await;

        let begins = "  requestHead() {\n";
        let fails =
            "  requestHead(head) {\n    if (head.target === \"/fails\") throw new Error(\"a mistake of ours\");\n";
        let folder = plugin::built("plugins/example-js", &[("plugin.js", begins, fails)]).await;
        passes_its_cases(&folder).await;

        let module = folder.join("plugin.wasm");
        let plan = |table: &str| plan("redact", &module, &format!("grants = {{ metrics = true }}\n{table}"));
        let account = r#"{"id": 12345678901234567890, "card": {"number": "4111"}, "name": "card"}"#;
        let origin = Origin::plan("accounts")
            .answering(move |request: Request<_>, _| {
                let kind = if request.uri().path() == "/page" { "text/html" } else { "application/json" };
                let body = if request.uri().path() == "/broken" { "{\"card\": 1" } else { account };
                let mut response = stock::text(body);
                response.headers_mut().insert("content-type", kind.parse().expect("it is a value"));
                async move { response }
            })
            .start()
            .await;
        let proxy = plan("config = { keys = [\"card\"] }").set("origin", origin.address()).start().await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            let answer = client.get("a.example", "/account").await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.text(), account.replace("{\"number\": \"4111\"}", "\"[redacted]\""));
            assert_eq!(origin.last().unwrap().headers["accept-encoding"], "identity");
            assert_eq!(client.get("a.example", "/page").await.text(), account);
            let answer = client.get("a.example", "/broken").await;
            assert_eq!(answer.status, 502);
            assert!(!answer.text().contains("{\"card\""), "{}", answer.text());
        }
        let client = Connection::h1(proxy.address("http")).await;
        fails_once("redact", &proxy, &client, "a mistake of ours").await;
        assert_eq!(client.get("a.example", "/page").await.status, 200);

        let refused = plan("").set("origin", origin.address()).refused().await;
        assert!(refused.says.contains("`keys` is missing"), "{}", refused.says);
    });
}

#[test]
fn a_plugin_in_python_runs() {
    scenario_within(LONG, async {
        let folder = repository::root().join("plugins/example-python");
        Tool::new("python3").args(["-B", "-m", "unittest"]).inside(&folder).output().await;

        let begins = "    def request_head(self, head: RequestHead) -> Verdict:\n";
        let fails = "        if head.target == \"/fails\":\n            raise ValueError(\"a mistake of ours\")\n";
        let folder =
            plugin::built("plugins/example-python", &[("filter.py", begins, &format!("{begins}{fails}"))]).await;
        passes_its_cases(&folder).await;

        let module = folder.join("plugin.wasm");
        let plan = |table: &str| plan("signed", &module, &format!("grants = {{ clock = true }}\n{table}"));
        let origin = Origin::start().await;
        let secret = "correct horse battery staple";
        let proxy =
            plan(&format!("config = {{ secret = \"{secret}\" }}")).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;

        // Signed as an application would, by other means.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let sign = async |target: &str| {
            let line = ["dgst", "-sha256", "-r", "-hmac", secret];
            let said = Tool::new("openssl").args(line).input(target).output().await;
            format!("{target}&signature={}", &said[..64])
        };
        let link = sign(&format!("/file?version=2&expires={}", now + 600)).await;
        let answer = client.get("a.example", &link).await;
        assert_eq!(answer.status, 200);
        assert_eq!(origin.last().unwrap().target, "/file?version=2");
        let life = answer.header("cache-control").strip_prefix("private, max-age=").unwrap().parse::<u64>().unwrap();
        assert!((1..600).contains(&life), "{life}");

        let old = sign(&format!("/file?expires={}", now - 1)).await;
        for (link, why) in [
            (old, "This link has expired.\n"),
            (link.replace("version=2", "version=3"), "The signature of this link is wrong.\n"),
            ("/file".into(), "This link is not signed.\n"),
        ] {
            let answer = client.get("a.example", &link).await;
            assert_eq!((answer.status, answer.text().as_str()), (403, why), "{link}");
        }
        assert_eq!(origin.count(), 1);
        fails_once("signed", &proxy, &client, "a mistake of ours").await;
        assert_eq!(client.get("a.example", &link).await.status, 200);

        let refused = plan("config = { secret = \"short\" }").set("origin", origin.address()).refused().await;
        assert!(refused.says.contains("fewer than 16 bytes"), "{}", refused.says);
    });
}
