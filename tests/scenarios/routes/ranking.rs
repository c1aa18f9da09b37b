use portcullis_tests::{client::http::Connection, proxy::Plan, scenario::scenario};

use super::{answers, answers_to, route, routes};

#[test]
fn the_most_specific_wins_whatever_the_order_in_the_file() {
    scenario(async {
        let all = [
            route("any", ""),
            route("wild", "host = \"*.a.example\""),
            route("wild-api", "host = \"*.a.example\"\npath = \"/api\""),
            route("exact", "host = \"x.a.example\""),
            route("exact-api", "host = \"x.a.example\"\npath = \"/api\""),
            route("exact-v1", "host = \"x.a.example\"\npath = \"/api/v1\""),
            route("exact-regex", "host = \"x.a.example\"\npath_regex = \"^/api/v1/r\""),
            route("exact-path", "host = \"x.a.example\"\npath_exact = \"/api/v1/r\""),
            route("exact-api-post", "host = \"x.a.example\"\npath = \"/api\"\nmethod = \"POST\""),
        ];
        let reversed: String = all.iter().rev().map(String::as_str).collect();
        for text in [all.concat(), reversed] {
            let proxy = routes(&text).await;
            let client = Connection::h1(proxy.address("http")).await;
            for (host, path, name) in [
                ("b.example", "/api", "any"),
                ("y.a.example", "/x", "wild"),
                ("y.a.example", "/api", "wild-api"),
                ("x.a.example", "/x", "exact"),
                ("x.a.example", "/api/v2", "exact-api"),
                ("x.a.example", "/api/v1/x", "exact-v1"),
                ("x.a.example", "/api/v1/rx", "exact-regex"),
                ("x.a.example", "/api/v1/r", "exact-path"),
            ] {
                assert_eq!(answers(&client, host, path).await, name, "{host}{path}");
            }
            assert_eq!(answers_to(&client, "POST", "x.a.example", "/api/x", &[]).await, "exact-api-post");
        }
    });
}

#[test]
fn priority_decides_before_everything_else() {
    scenario(async {
        let proxy = routes(
            &(route("exact", "host = \"a.example\"\npath_exact = \"/x\"")
                + &route("maintenance", "priority = 10\nheader = { x-try = true }")
                + &route("last", "priority = -1")),
        )
        .await;
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(answers(&client, "a.example", "/x").await, "exact");
        assert_eq!(answers_to(&client, "GET", "a.example", "/x", &[("x-try", "1")]).await, "maintenance");
        assert_eq!(answers(&client, "b.example", "/x").await, "last");
    });
}

#[test]
fn a_tie_is_an_error_that_names_both_lines() {
    scenario(async {
        let ties = [
            ["host = \"a.example\"\npath = \"/x\"", "host = [\"b.example\", \"a.example\"]\npath = \"/x/\""],
            ["", ""],
            ["path_regex = \"^/a\"", "path_regex = \"b$\""],
            ["method = [\"GET\", \"POST\"]", "method = \"POST\""],
            ["header = { x-a = \"1\" }", "header = { x-b = \"1\" }"],
            ["client = \"10.0.0.0/8\"", "client = \"10.1.0.0/16\""],
        ];
        for [one, two] in ties {
            let text = "[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@http@\"\n".to_owned()
                + &route("one", one)
                + &route("two", two);
            let refused = Plan::new(&text).refused().await;
            assert_eq!(refused.status.code(), Some(1), "{one:?} and {two:?}");
            // `[server]` and its socket are on the lines 1 and 2.
            let lines: Vec<_> =
                text.lines().enumerate().filter(|(_, line)| *line == "[[route]]").map(|(at, _)| at + 3).collect();
            for line in lines {
                assert!(refused.says.contains(&format!("portcullis.toml:{line}:")), "{line}: {}", refused.says);
            }
        }
    });
}

#[test]
fn routes_that_cannot_both_match_are_no_tie() {
    scenario(async {
        let proxy = routes(
            &(route("get", "method = \"GET\"")
                + &route("post", "method = \"POST\"")
                + &route("blue", "method = \"PUT\"\nheader = { x-env = \"blue\" }")
                + &route("green", "method = \"PUT\"\nheader = { x-env = \"green\" }")),
        )
        .await;
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(answers(&client, "a", "/").await, "get");
        assert_eq!(answers_to(&client, "PUT", "a", "/", &[("x-env", "green")]).await, "green");
    });
}
