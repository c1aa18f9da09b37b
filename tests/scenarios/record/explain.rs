use portcullis_tests::{
    certificates::leaf,
    client::http::{Connection, get},
    nameserver::Nameserver,
    origin::Origin,
    port::Port,
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario},
};
use serde_json::{Value, json};

use crate::ground::{PLAIN, plain};

/// A proxy whose routes differ in every kind of predicate.
const ROUTES: &str = r#"
[[listener]]
name = "http"
address = "127.0.0.1:@http@"
trusted = "127.0.0.1"

[[listener]]
name = "other"
address = "127.0.0.1:@other@"

[[listener]]
name = "https"
address = "127.0.0.1:@https@"
tls = {}
deny = "203.0.113.0/24"

[[certificate]]
name = "leaf"
cert = "leaf.pem"
key = "leaf.key"

[[route]]
name = "elsewhere"
listener = "other"
backend = "app"

[[route]]
name = "handshake"
sni = "never.example"
host = "never.example"
backend = "app"

[[route]]
name = "host"
host = "blog.example"
backend = "app"

[[route]]
name = "path"
host = "shop.example"
path = "/admin"
backend = "app"

[[route]]
name = "method"
host = "shop.example"
method = "DELETE"
priority = 1
backend = "app"

[[route]]
name = "header"
host = "shop.example"
header = { x-env = "blue" }
backend = "app"

[[route]]
name = "query"
host = "shop.example"
query = { preview = "1" }
priority = -1
backend = "app"

[[route]]
name = "client"
host = "shop.example"
client = "10.0.0.0/8"
priority = -2
backend = "app"

[[route]]
name = "winner"
host = "shop.example"
path = "/cart"
backend = "app"

[[route]]
name = "any"
backend = "app"
priority = -3

[[route]]
name = "moved"
host = "moved.example"
redirect = "https://new.example/here"

[[route]]
name = "fixed"
host = "fixed.example"
respond = { status = 418 }

[[route]]
name = "through"
sni = "through.example"
passthrough = "raw"

[[route]]
name = "split"
host = "split.example"
backends = [{ backend = "app", weight = 9 }, { backend = "dead", weight = 1 }]

[backend.app]
endpoints = ["http://app.private.internal:@port@"]

[backend.dead]
endpoints = ["http://@dead@"]
health = { errors = 1, eject = "1m" }
retries = 0

[backend.raw]
endpoints = ["tcp://@origin@"]

[[dns.zone]]
suffix = "private.internal"
nameservers = ["@nameserver@"]
"#;

async fn explained(proxy: &Proxy, arguments: &[&str]) -> Value {
    let finished = proxy.command(&[&["explain", "--json"], arguments].concat()).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    serde_json::from_str(&finished.stdout).unwrap()
}

fn failed(answer: &Value) -> Vec<(&str, &str)> {
    let misses = answer["misses"].as_array().unwrap();
    misses.iter().map(|miss| (miss["route"].as_str().unwrap(), miss["failed"].as_str().unwrap())).collect()
}

async fn ground() -> (Origin, Port, Nameserver, Plan) {
    let (origin, dead, nameserver) = (Origin::start().await, Port::reserve(), Nameserver::start().await);
    nameserver.set("app.private.internal", &["127.0.0.1".parse().unwrap()]);
    let plan = Plan::new(ROUTES)
        .leaf("leaf", &leaf(&["shop.example", "moved.example"]))
        .set("origin", origin.address())
        .set("port", origin.address().port())
        .set("dead", dead.address())
        .set("nameserver", nameserver.address());
    (origin, dead, nameserver, plan)
}

#[test]
fn an_id_gives_the_record_of_its_exchange() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        get(proxy.address("http"), "shop.example", "/cart").await;
        let line = proxy.log_of("/cart").await;
        let id = line["id"].as_str().unwrap();
        assert_eq!(explained(&proxy, &[id]).await, line, "the log and the explanation are views of one record");
        let finished = proxy.command(&["explain", id]).await;
        for part in ["/cart", "shop.example", "app", id, &origin.address().to_string()] {
            assert!(finished.stdout.contains(part), "{part} in {finished:?}");
        }
    });
}

#[test]
fn ids_of_failed_and_refused_exchanges_are_known_too() {
    scenario(async {
        let dead = Port::reserve();
        let proxy = Plan::new(PLAIN).set("origin", dead.address()).start().await;
        let answer = get(proxy.address("http"), "shop.example", "/down").await;
        assert_eq!(answer.status, 503);
        let line = proxy.log_of("/down").await;
        let id = line["id"].as_str().unwrap();
        assert!(
            answer.text().contains(id) || answer.header("x-request-id") == id,
            "the client is told the id: {answer:?}"
        );
        assert_eq!(explained(&proxy, &[id]).await["error"], "destination_unavailable");
        let mut raw = portcullis_tests::client::raw::Raw::connect(proxy.address("http")).await;
        raw.exchange("GET /bad HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n").await;
        let line = proxy.log_of("/bad").await;
        assert_eq!(explained(&proxy, &[line["id"].as_str().unwrap()]).await, line);
    });
}

#[test]
fn an_id_nobody_knows_and_one_forgotten_are_failures() {
    scenario(async {
        let origin = Origin::start().await;
        let text = format!("[server]\nrecent = 2\nworkers = 1\n{PLAIN}");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let finished = proxy.command(&["explain", "nobody-knows"]).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains("nobody-knows"), "{finished:?}");
        for number in 0..3 {
            get(proxy.address("http"), "a.example", &format!("/{number}")).await;
        }
        let mut ids = Vec::new();
        for number in 0..3 {
            ids.push(proxy.log_of(&format!("/{number}")).await["id"].as_str().unwrap().to_owned());
        }
        assert_eq!(proxy.command(&["explain", &ids[0]]).await.code, Some(1), "the last two are remembered");
        for id in &ids[1..] {
            assert_eq!(proxy.command(&["explain", id]).await.code, Some(0));
        }
    });
}

#[test]
fn a_request_gets_its_route_and_why_the_others_missed() {
    scenario(async {
        let (origin, _dead, _nameserver, plan) = ground().await;
        let proxy = plan.start().await;
        let url = format!("http://shop.example:{}/cart/1?x=1", proxy.address("http").port());
        let answer = explained(&proxy, &["GET", &url]).await;
        assert_eq!(answer["listener"]["name"], "http");
        assert!(answer["listener"]["at"].as_str().unwrap().contains("portcullis.toml:"), "{answer}");
        assert_eq!(answer["route"]["name"], "winner");
        assert!(answer["route"]["at"].as_str().unwrap().contains("portcullis.toml:"), "{answer}");
        assert_eq!((&answer["host"], &answer["path"]), (&"shop.example".into(), &"/cart/1".into()));
        let failed = failed(&answer);
        for expected in [
            ("elsewhere", "listener"),
            ("handshake", "sni"),
            ("host", "host"),
            ("path", "path"),
            ("method", "method"),
            ("header", "header"),
            ("query", "query"),
            ("client", "client"),
            ("any", "outranked"),
        ] {
            assert!(failed.contains(&expected), "{expected:?} in {failed:?}");
        }
        let place = |name: &str| failed.iter().position(|(route, _)| *route == name);
        assert!(
            place("any") < place("header") && place("header") < place("host"),
            "the nearest come first: {failed:?}"
        );
        let backend = &answer["backends"][0];
        assert_eq!(backend["name"], "app");
        assert_eq!(backend["endpoints"][0]["address"], origin.address().to_string());
        assert_eq!(backend["endpoints"][0]["name"], "app.private.internal");
        assert!(backend["dns"][0].to_string().contains("private.internal"), "endpoints as DNS has them: {answer}");
        assert_eq!(origin.count(), 0, "nothing is sent");

        // Each predicate that holds changes the winner.
        for (arguments, winner) in [
            (&["-H", "x-env: blue"][..], "winner"),
            (&["--client", "10.1.2.3"], "winner"),
            (&["--listener", "other"], "winner"),
        ] {
            let answer = explained(&proxy, &[&["GET", &*url], arguments].concat()).await;
            assert_eq!(answer["route"]["name"], winner, "{answer}");
        }
        let base = format!("http://shop.example:{}", proxy.address("http").port());
        for (line, winner) in [
            (vec!["DELETE", "/"], "method"),
            (vec!["GET", "/", "-H", "X-Env: blue"], "header"),
            (vec!["GET", "/?preview=1"], "query"),
            (vec!["GET", "/", "--client", "10.1.2.3"], "client"),
            (vec!["GET", "/", "-H", "x-forwarded-for: 10.1.2.3"], "client"),
            (vec!["GET", "/x/../admin//y"], "path"),
            (vec!["GET", "/"], "any"),
        ] {
            let url = format!("{base}{}", line[1]);
            let mut line = line.clone();
            line[1] = &url;
            let answer = explained(&proxy, &line).await;
            assert_eq!(answer["route"]["name"], winner, "{line:?}: {answer}");
        }
    });
}

#[test]
fn explains_what_a_real_request_then_gets() {
    scenario(async {
        let (_origin, _dead, _nameserver, plan) = ground().await;
        let proxy = plan.start().await;
        let port = proxy.address("http").port();
        let client = Connection::h1(proxy.address("http")).await;
        for (host, target) in [
            ("shop.example", "/cart"),
            ("shop.example", "/cart/../admin/x"),
            ("shop.example", "/?preview=1"),
            ("blog.example", "/%61"),
            ("nowhere.example", "/"),
            ("fixed.example", "/"),
            ("moved.example", "/"),
        ] {
            let answer = explained(&proxy, &["GET", &format!("http://{host}:{port}{target}")]).await;
            let real = client.get(host, target).await;
            let line = proxy.log_line(|line| line["target"] == target && line["host"] == host).await;
            assert_eq!(answer["route"]["name"], line["route"], "{answer} {line}");
            if let Some(status) =
                answer["outcome"].as_str().unwrap().split(':').next().and_then(|text| text.parse::<u16>().ok())
            {
                assert_eq!(real.status, status, "{answer}");
            }
        }
    });
}

#[test]
fn explains_tls_redirects_passthrough_and_refusals() {
    scenario(async {
        let (_origin, dead, _nameserver, plan) = ground().await;
        let proxy = plan.start().await;
        let (http, https) = (proxy.address("http").port(), proxy.address("https").port());
        let outcome = async |arguments: &[&str]| {
            let answer = explained(&proxy, arguments).await;
            (answer["outcome"].as_str().unwrap_or_default().to_owned(), answer)
        };
        let shop = format!("https://shop.example:{https}/cart");
        let (_, answer) = outcome(&[&shop]).await;
        assert_eq!(answer["certificate"][0]["name"], "leaf");
        assert_eq!(answer["route"]["name"], "winner");
        let cases: [(Vec<&str>, &str); 9] = [
            (vec!["https://unknown.example:@/"], "handshake is refused"),
            (vec!["https://shop.example:@/", "--sni", "moved.example"], "421"),
            (vec!["https://shop.example:@/", "--client", "203.0.113.5"], "closed"),
            (vec!["https://through.example:@/"], "passed through"),
            (vec!["http://moved.example:#/"], "308"),
            (vec!["http://fixed.example:#/"], "418"),
            (vec!["http://shop.example:1/"], "no listener"),
            (vec!["http://shop.example:#/%zz"], "400"),
            (vec!["http://shop.example:#/", "-H", "host: b", "-H", "host: c"], "400"),
        ];
        for (line, expected) in cases {
            let url = line[0].replace('@', &https.to_string()).replace('#', &http.to_string());
            let (got, answer) = outcome(&[&[&*url], &line[1..]].concat()).await;
            assert!(got.contains(expected), "{line:?}: {answer}");
        }
        let (got, answer) = outcome(&[&format!("http://moved.example:{http}/")]).await;
        assert!(got.contains("https://new.example/here"), "{answer}");

        // An ejected endpoint, and why.
        let split = format!("http://split.example:{http}/");
        eventually("the dead endpoint is ejected", async || {
            get(proxy.address("http"), "split.example", "/").await;
            let answer = explained(&proxy, &[&split]).await;
            let backends = answer["backends"].as_array().unwrap().clone();
            let dead = backends.into_iter().find(|backend| backend["name"] == "dead").unwrap();
            (dead["endpoints"][0]["state"] == "ejected").then_some((answer, dead))
        })
        .await;
        let answer = explained(&proxy, &[&split]).await;
        let endpoint = &answer["backends"][1]["endpoints"][0];
        assert_eq!(endpoint["address"], dead.address().to_string());
        assert!(endpoint["reason"].as_str().unwrap().contains("refused"), "{answer}");
        assert!(endpoint["ejected_ms"].as_u64().unwrap() > 0, "{answer}");
        assert!(answer["outcome"].as_str().unwrap().contains("503"), "{answer}");
    });
}

#[test]
fn a_file_can_be_asked_without_a_process() {
    scenario(async {
        let (_origin, _dead, _nameserver, plan) = ground().await;
        let url = format!("http://shop.example:{}/cart", plan.address("http").port());
        let finished = plan.command(&["explain", "GET", &url, "--json", "--config"]).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let answer: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(answer["route"]["name"], "winner");
        assert!(failed(&answer).contains(&("query", "query")), "{answer}");
        assert_eq!(
            answer["backends"][0]["endpoints"][0]["name"], "app.private.internal",
            "names are looked up: {answer}"
        );
    });
}

#[test]
fn a_raw_request_in_a_file_is_explained_as_it_would_be_read() {
    scenario(async {
        let (_origin, _dead, _nameserver, plan) = ground().await;
        let proxy = plan.start().await;
        let ask = async |text: String| {
            proxy.write("request.txt", text);
            let file = proxy.folder().join("request.txt").display().to_string();
            proxy.command(&["explain", "--json", "--request", &file, "--listener", "http"]).await
        };
        let finished = ask("GET /cart HTTP/1.1\nHost: shop.example\nX-Env: blue\n\n".into()).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let answer: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(answer["route"]["name"], "winner");
        // What would be refused is refused here too, with the same status.
        for (text, status) in [
            ("POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: shop.example\r\nx: a\r\n b\r\n\r\n", "400"),
            (&format!("GET /{} HTTP/1.1\r\nhost: shop.example\r\n\r\n", "x".repeat(9000)), "414"),
            (&format!("GET / HTTP/1.1\r\nhost: shop.example\r\n{}\r\n", "a: b\r\n".repeat(200)), "431"),
            ("GET / HTTP/1.1\r\nhost: shop.example\r\n", "408"),
        ] {
            let finished = ask(text.to_owned()).await;
            assert!(format!("{}{}", finished.stdout, finished.stderr).contains(status), "{status}: {finished:?}");
        }
    });
}

#[test]
fn the_control_socket_answers_questions_it_cannot_understand_with_an_error() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for question in [
            json!({ "command": "unknown" }),
            json!({ "command": "explain", "method": "GET", "url": "not a url" }),
            json!({ "command": "explain", "method": "GET", "url": "ftp://a/" }),
            json!({ "command": "explain", "method": "GET", "url": "http://a/", "headers": [["bad name", "x"]] }),
            json!({ "command": "explain" }),
            json!({ "command": "recall", "id": "nobody" }),
            json!([1, 2]),
            json!(null),
        ] {
            let error = proxy.try_control(&question).await.expect_err("an error");
            assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{question}: {error}");
        }
        proxy.status().await;
    });
}
