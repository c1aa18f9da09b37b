use portcullis_tests::{
    certificates::{authority, leaf},
    client::http::Connection,
    proxy::Plan,
    scenario::scenario,
};

use super::{answers, answers_to, route, routes};

#[test]
fn matches_hosts_exactly_by_wildcard_and_any() {
    scenario(async {
        let proxy = routes(
            &(route("exact", "host = \"a.example\"")
                + &route("wild", "host = \"*.a.example\"")
                + &route("deep", "host = [\"*.b.a.example\", \"c.example\"]")
                + &route("any", "")),
        )
        .await;
        let client = Connection::h1(proxy.address("http")).await;
        for (host, name) in [
            ("a.example", "exact"),
            ("A.EXAMPLE", "exact"),
            ("a.example:8080", "exact"),
            ("a.example.", "exact"),
            ("x.a.example", "wild"),
            ("y.x.a.example", "wild"),
            ("x.b.a.example", "deep"),
            ("b.a.example", "wild"),
            ("c.example", "deep"),
            ("xa.example", "any"),
            ("other", "any"),
            ("127.0.0.1", "any"),
            ("[::1]", "any"),
        ] {
            assert_eq!(answers(&client, host, "/").await, name, "{host}");
        }
    });
}

#[test]
fn matches_paths_exactly_by_whole_segments_and_by_regex() {
    scenario(async {
        let proxy = routes(
            &(route("exact", "path_exact = \"/api/health\"")
                + &route("api", "path = \"/api/\"")
                + &route("v2", "path = \"/api/v2\"")
                + &route("user", "path_regex = \"^/u/\\\\d+$\"")
                + &route("any", "")),
        )
        .await;
        let client = Connection::h1(proxy.address("http")).await;
        for (path, name) in [
            ("/api/health", "exact"),
            ("/api/health/", "api"),
            ("/api", "api"),
            ("/api/", "api"),
            ("/api/x/y?q=/api/v2", "api"),
            ("/api/v2", "v2"),
            ("/api/v2/x", "v2"),
            ("/api/v20", "api"),
            ("/apis", "any"),
            ("/u/42", "user"),
            ("/u/42/x", "any"),
            ("/u/x", "any"),
            ("/", "any"),
        ] {
            assert_eq!(answers(&client, "a", path).await, name, "{path}");
        }
    });
}

#[test]
fn matches_methods_header_fields_and_query() {
    scenario(async {
        let proxy = routes(
            &(route("post", "method = [\"POST\", \"PUT\"]")
                + &route("blue", "header = { x-env = \"blue\" }\npath = \"/h\"")
                + &route("there", "header = { x-debug = true }\npath = \"/h\"\npriority = 1")
                + &route("like", "header = { x-like = { regex = \"^b.+d$\" } }\npath = \"/h\"\npriority = 2")
                + &route("query", "query = { v = \"2\", flag = true }")
                + &route("any", "")),
        )
        .await;
        let client = Connection::h1(proxy.address("http")).await;
        type Fields = &'static [(&'static str, &'static str)];
        let cases: [(&str, &str, Fields, &str); 16] = [
            ("POST", "/", &[], "post"),
            ("PUT", "/", &[], "post"),
            ("post", "/", &[], "any"),
            ("GET", "/", &[], "any"),
            ("GET", "/h", &[("x-env", "blue")], "blue"),
            ("GET", "/h", &[("X-Env", "blue")], "blue"),
            ("GET", "/h", &[("x-env", "Blue")], "any"),
            ("GET", "/h", &[("x-env", "green"), ("x-env", "blue")], "blue"),
            ("GET", "/h", &[("x-debug", "")], "there"),
            ("GET", "/h", &[("x-like", "bread")], "like"),
            ("GET", "/h", &[("x-like", "bd")], "any"),
            ("GET", "/?v=2&flag", &[], "query"),
            ("GET", "/?flag=no&v=1&v=2", &[], "query"),
            ("GET", "/?%76=%32&flag", &[], "query"),
            ("GET", "/?v=2", &[], "any"),
            ("GET", "/?v=22&flag", &[], "any"),
        ];
        for (method, target, fields, name) in cases {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| {
                    (
                        match *name {
                            "X-Env" => "x-env",
                            other => other,
                        },
                        *value,
                    )
                })
                .collect();
            assert_eq!(answers_to(&client, method, "a", target, &fields).await, name, "{method} {target} {fields:?}");
        }
    });
}

#[test]
fn matches_the_clients_network_as_it_is_behind_trusted_proxies() {
    scenario(async {
        let text = "[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@http@\"\ntrusted = [\"127.0.0.1\"]\n"
            .to_owned()
            + &route("office", "client = [\"198.51.100.0/24\", \"2001:db8::/32\"]")
            + &route("here", "client = \"127.0.0.0/8\"")
            + &route("any", "");
        let proxy = Plan::new(text).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(answers(&client, "a", "/").await, "here");
        for (address, name) in [("198.51.100.7", "office"), ("2001:db8::1", "office"), ("203.0.113.9", "any")] {
            let fields = [("x-forwarded-for", address)];
            assert_eq!(answers_to(&client, "GET", "a", "/", &fields).await, name, "{address}");
        }
    });
}

#[test]
fn matches_the_listener_and_the_name_in_the_handshake() {
    scenario(async {
        let text = "[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@http@\"\n\
                    [[listener]]\nname = \"https\"\naddress = \"127.0.0.1:@https@\"\ntls = {}\n\
                    [[certificate]]\ncert = \"leaf.pem\"\nkey = \"leaf.key\"\n"
            .to_owned()
            + &route("plain", "listener = \"http\"")
            + &route("named", "listener = \"https\"\nsni = \"a.example\"")
            + &route("sealed", "listener = \"https\"");
        let proxy = Plan::new(text).leaf("leaf", &leaf(&["a.example", "b.example"])).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(answers(&client, "a.example", "/").await, "plain");
        for (name, route) in [("a.example", "named"), ("b.example", "sealed")] {
            let client = Connection::tls(proxy.address("https"), name, &authority().client(&["h2"])).await;
            assert_eq!(answers(&client, name, "/").await, route);
        }
    });
}

#[test]
fn no_route_is_404_and_the_near_misses_are_in_the_log() {
    scenario(async {
        let proxy = routes(
            &(route("post", "host = \"a.example\"\nmethod = \"POST\"") + &route("other", "host = \"b.example\"")),
        )
        .await;
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(answers(&client, "a.example", "/").await, "404");
        let line = proxy.log_line(|line| line["status"] == 404).await;
        assert_eq!(line["misses"][0], serde_json::json!({ "route": "post", "failed": "method" }), "{line}");
        assert_eq!(line["error"], "destination_not_found");
        assert_eq!(proxy.counter("unrouted").await, 1);
    });
}
