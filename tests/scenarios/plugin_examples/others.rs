use portcullis_tests::{
    client::http::{Connection, request},
    origin::{Origin, stock},
    proxy::Plan,
    scenario::scenario,
};

use super::{folder, plan};

#[test]
fn headers_are_set_and_removed_on_both_ways() {
    scenario(async {
        let origin = Origin::start().await;
        let table = r#"
[plugin.headers.config]
preset = "strict"
request = { set = { x-inside = "yes" }, remove = ["x-secret"] }
"#;
        let proxy = plan("headers", "", table).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        let mut asked = request("GET", "a.example", "/");
        asked.headers_mut().insert("x-secret", "s".parse().unwrap());
        let answer = client.fetch(asked).await;
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.seen("x-inside"), ["yes"]);
        assert!(answer.seen("x-secret").is_empty());
        // What the backend says of itself goes.
        assert_eq!(client.get("a.example", "/hints").await.header("server"), "");
    });
}

#[test]
fn maintenance_answers_all_but_those_who_do_it() {
    scenario(async {
        let origin = Origin::start().await;
        let table = r#"
[plugin.maintenance.config]
retry_after = "10m"
[plugin.maintenance.config.allow]
paths = ["/healthz"]
header = { name = "x-bypass", value = "0123456789abcdef" }
"#;
        let proxy = plan("maintenance", "", table).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        let answer = client.get("a.example", "/").await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "600"));
        assert_eq!(origin.count(), 0);
        assert_eq!(client.get("a.example", "/healthz").await.status, 200);
        let mut asked = request("GET", "a.example", "/");
        asked.headers_mut().insert("x-bypass", "0123456789abcdef".parse().unwrap());
        let answer = client.fetch(asked).await;
        assert_eq!(answer.status, 200);
        assert!(answer.seen("x-bypass").is_empty());
    });
}

#[test]
fn bodies_are_rewritten_as_they_stream_by() {
    scenario(async {
        let page = "<a href=\"http://internal:3000/\">in</a>\n".repeat(10_000);
        let expected = page.replace("http://internal:3000", "https://shop.example.com");
        let body = page.clone();
        let origin = Origin::plan("pages")
            .answering(move |_, _| {
                let mut response = stock::text(&body);
                response.headers_mut().insert("content-type", "text/html".parse().expect("it is a value"));
                async move { response }
            })
            .start()
            .await;
        let table = r#"
[plugin.rewrite-body.config]
replace = [{ literal = "http://internal:3000", with = "https://shop.example.com" }]
"#;
        let proxy = plan("rewrite-body", "", table).set("origin", origin.address()).start().await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            let mut asked = request("GET", "a.example", "/");
            asked.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
            let answer = client.fetch(asked).await;
            assert_eq!(answer.status, 200);
            assert!(answer.text() == expected, "{} bytes, not {}", answer.body.len(), expected.len());
        }
        assert_eq!(origin.last().unwrap().headers["accept-encoding"], "identity");
    });
}

#[test]
fn a_chain_of_several_works_from_the_outside_in_and_back() {
    scenario(async {
        let origin = Origin::start().await;
        let text = r#"
[[listener]]
name = "http"
address = "127.0.0.1:@http@"
[[route]]
backend = "app"
plugins = ["headers", "ip-policy", "rate-limit", "basic-auth"]
[backend.app]
endpoints = ["http://@origin@"]
[plugin.headers]
module = "@plugins@/headers.wasm"
config = { preset = "basic" }
[plugin.ip-policy]
module = "@plugins@/ip-policy.wasm"
grants = { log = true }
config = { allow = ["127.0.0.0/8"] }
[plugin.rate-limit]
module = "@plugins@/rate-limit.wasm"
grants = { key_value = true, clock = true, log = true }
config = { limits = [{ requests = 2, window = "1h" }] }
[plugin.basic-auth]
module = "@plugins@/basic-auth.wasm"
grants = { key_value = true }
limits = { time = "5s", wait = "10s" }
config = { users = ["alice:$2y$05$k2hbQ8IRTzKOG25jHOyUQO9kkGyKV2RHghxlaWwyMh0KssHNvw4TG"] }
"#;
        let plugins = folder();
        let proxy = Plan::new(text).set("plugins", plugins).set("origin", origin.address()).start().await;
        let client = Connection::h2c(proxy.address("http")).await;
        let mut statuses = Vec::new();
        for credentials in ["", "Basic YWxpY2U6b3BlbiBzZXNhbWU=", "Basic YWxpY2U6b3BlbiBzZXNhbWU="] {
            let mut asked = request("GET", "a.example", "/");
            asked.headers_mut().insert("authorization", credentials.parse().unwrap());
            let answer = client.fetch(asked).await;
            // Outermost: it sees what the backend says, and what those further in say.
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{}", answer.status);
            // Between: a refusal further in passes it on its way out, its own does not.
            assert!(answer.header("ratelimit").starts_with("\"default\";r="), "{}", answer.status);
            statuses.push(answer.status);
        }
        assert_eq!(statuses, [401, 200, 429]);
        assert_eq!(origin.count(), 1);
    });
}
