use portcullis_tests::{
    client::http::{Connection, request},
    origin::Origin,
    proxy::Plan,
    scenario::scenario,
};

const TEXT: &str = r#"
[[listener]]
name = "http"
address = "127.0.0.1:@http@"

[[route]]
path = "/strip"
strip_prefix = "/strip"
backend = "app"

[[route]]
path = "/old"
replace_prefix = { from = "/old", to = "/new/place" }
backend = "app"

[[route]]
path = "/u"
rewrite = { regex = "^/u/(\\d+)$", to = "/user?id=$1" }
backend = "app"

[[route]]
path = "/both"
strip_prefix = "/both"
rewrite = { regex = "\\.html$", to = "" }
backend = "app"

[[route]]
path = "/fields"
host_header = "inside.example"
request_headers = { set = { x-set = "new" }, add = { x-add = "two" }, remove = ["x-remove", "user-agent"] }
response_headers = { set = { server = "portcullis" }, add = { x-frame-options = "DENY" }, remove = ["x-outside"] }
backend = "app"

[backend.app]
endpoints = ["http://@origin@"]
"#;

#[test]
fn paths_are_rewritten_and_queries_kept() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(TEXT).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        for (target, sent) in [
            ("/strip/x/y?q=1", "/x/y?q=1"),
            ("/strip", "/"),
            ("/strip/", "/"),
            ("/strip?q", "/?q"),
            ("/strip/a%2Fb", "/a%2Fb"),
            ("/old/x?q", "/new/place/x?q"),
            ("/old", "/new/place"),
            ("/u/42", "/user?id=42"),
            ("/u/42?x=y", "/user?id=42&x=y"),
            ("/u/x", "/u/x"),
            ("/both/page.html?a", "/page?a"),
            ("//strip//x", "/x"),
        ] {
            let answer = client.get("a", target).await;
            assert_eq!(answer.json()["target"], sent, "{target}");
        }
    });
}

#[test]
fn fields_of_requests_and_responses_are_set_added_and_removed() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(TEXT).set("origin", origin.address()).start().await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            let mut ask = request("GET", "outside.example", "/fields/x");
            for (name, value) in
                [("x-set", "old"), ("x-set", "older"), ("x-add", "one"), ("x-remove", "gone"), ("user-agent", "me")]
            {
                ask.headers_mut().append(name, value.parse().unwrap());
            }
            let answer = client.fetch(ask).await;
            assert_eq!(answer.json()["host"], "inside.example");
            assert_eq!(answer.seen("x-forwarded-host"), ["outside.example"]);
            assert_eq!(answer.seen("x-set"), ["new"]);
            assert_eq!(answer.seen("x-add"), ["one", "two"]);
            assert!(answer.seen("x-remove").is_empty() && answer.seen("user-agent").is_empty());
            assert_eq!(answer.header("x-frame-options"), "DENY");
            let answer = client.get("outside.example", "/fields/hints").await;
            assert_eq!((answer.header("server"), answer.header("x-outside")), ("portcullis", ""));
        }
        assert_eq!(proxy.log_of("/fields/x").await["host"], "outside.example");
    });
}

#[test]
fn edits_of_what_the_proxy_needs_are_errors() {
    scenario(async {
        for name in ["content-length", "transfer-encoding", "connection", "host", "upgrade", "te", "not a name"] {
            let text = format!(
                "[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@http@\"\n\
                 [[route]]\nrespond = {{ status = 200 }}\nresponse_headers = {{ set = {{ \"{name}\" = \"x\" }} }}\n"
            );
            let refused = Plan::new(text).refused().await;
            assert!(refused.says.contains("portcullis.toml:8:"), "{name}: {}", refused.says);
        }
    });
}
