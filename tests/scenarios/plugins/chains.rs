use portcullis_tests::{
    client::http::{Connection, get, request},
    origin::Origin,
    scenario::scenario,
};

use super::{configuration, good, plan};

fn tags() -> String {
    good("outer", "do = 'tag', name = 'outer'") + &good("inner", "do = 'tag', name = 'inner'")
}

/// The values of a response field, in order.
fn values(answer: &portcullis_tests::client::http::Answer, name: &str) -> Vec<String> {
    answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[test]
fn requests_go_through_the_chain_in_order_and_responses_in_reverse() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &tags(), r#"["outer", "inner"]"#).start().await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            let answer = client.get("a.example", "/").await;
            assert_eq!(answer.seen("x-chain"), ["outer", "inner"]);
            assert_eq!(values(&answer, "x-chain"), ["inner", "outer"]);
        }
    });
}

#[test]
fn what_a_client_sent_is_still_there_for_the_next_plugin() {
    scenario(async {
        let origin = Origin::start().await;
        let tables = good("tag", "do = 'tag', name = 'first'") + &good("reader", "do = 'reader-writer'");
        let proxy = plan(&origin, &tables, r#"["tag", "reader"]"#).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        let mut wanted = request("GET", "a.example", "/");
        wanted.headers_mut().insert("user-agent", "12345".parse().unwrap());
        wanted.headers_mut().insert("accept", "123".parse().unwrap());
        let answer = client.fetch(wanted).await;
        assert_eq!(answer.seen("x-seen"), ["8"]);
        assert_eq!(answer.seen("x-chain"), ["first"]);
    });
}

#[test]
fn responses_of_the_route_itself_go_through_the_chain_as_well() {
    scenario(async {
        let text = tags()
            + r#"
            [[listener]]
            address = "127.0.0.1:@http@"
            [[route]]
            path = "/fixed"
            plugins = ["outer", "inner"]
            respond = { status = 418, body = "short and stout" }
            [[route]]
            path = "/moved"
            plugins = ["inner"]
            redirect = { path = "/fixed" }
            "#;
        let proxy = portcullis_tests::proxy::Proxy::start(&text).await;
        let answer = get(proxy.address("http"), "a.example", "/fixed").await;
        assert_eq!((answer.status, answer.text().as_str()), (418, "short and stout"));
        assert_eq!(values(&answer, "x-chain"), ["inner", "outer"]);
        let answer = get(proxy.address("http"), "a.example", "/moved").await;
        assert!((300..400).contains(&answer.status), "{}", answer.status);
        assert_eq!(values(&answer, "x-chain"), ["inner"]);
    });
}

#[test]
fn a_route_configures_a_plugin_in_its_own_way() {
    scenario(async {
        let origin = Origin::start().await;
        let text = configuration(&good("tag", "do = 'tag', name = 'everywhere'"), r#"["tag"]"#)
            + r#"
            [[route]]
            path = "/special/"
            backend = "app"
            plugins = [{ name = "tag", config = { name = "here" } }]
            "#;
        let proxy = portcullis_tests::proxy::Plan::new(text).set("origin", origin.address()).start().await;
        assert_eq!(get(proxy.address("http"), "a.example", "/").await.seen("x-chain"), ["everywhere"]);
        assert_eq!(get(proxy.address("http"), "a.example", "/special/x").await.seen("x-chain"), ["here"]);
    });
}

#[test]
fn routes_without_plugins_have_none() {
    scenario(async {
        let origin = Origin::start().await;
        let text =
            configuration(&tags(), r#"["outer", "inner"]"#) + "[[route]]\npath = \"/free/\"\nbackend = \"app\"\n";
        let proxy = portcullis_tests::proxy::Plan::new(text).set("origin", origin.address()).start().await;
        let answer = get(proxy.address("http"), "a.example", "/free/x").await;
        assert!(answer.seen("x-chain").is_empty() && values(&answer, "x-chain").is_empty());
        assert_eq!(get(proxy.address("http"), "a.example", "/x").await.seen("x-chain").len(), 2);
    });
}
