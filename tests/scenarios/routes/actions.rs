use portcullis_tests::{
    certificates::leaf,
    client::http::{Connection, get, request},
    origin::Origin,
    proxy::Plan,
    scenario::scenario,
    tool::Tool,
};

use super::routes;

#[test]
fn forwards_to_several_backends_by_weight() {
    scenario(async {
        let (heavy, light) = (Origin::named("heavy").await, Origin::named("light").await);
        let text = "[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@http@\"\n\
                    [[route]]\nbackends = [{ backend = \"heavy\", weight = 9 }, { backend = \"light\", weight = 1 }]\n\
                    [backend.heavy]\nendpoints = [\"http://@heavy@\"]\n[backend.light]\nendpoints = [\"http://@light@\"]\n";
        let proxy = Plan::new(text).set("heavy", heavy.address()).set("light", light.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        for _ in 0..1000 {
            assert_eq!(client.get("a", "/name").await.status, 200);
        }
        // 100 expected; five standard deviations to either side.
        assert!((53..148).contains(&light.count()), "{} of 1000", light.count());
        assert_eq!(heavy.count() + light.count(), 1000);
    });
}

#[test]
fn one_line_redirects_http_to_https() {
    scenario(async {
        let text = "[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@http@\"\n\
                    [[listener]]\nname = \"https\"\naddress = \"127.0.0.1:@https@\"\ntls = {}\n\
                    [[certificate]]\ncert = \"leaf.pem\"\nkey = \"leaf.key\"\n\
                    [[route]]\nlistener = \"http\"\nredirect = \"https\"\n\
                    [[route]]\nlistener = \"https\"\nrespond = { status = 200, body = \"sealed\" }\n";
        let proxy = Plan::new(text).leaf("leaf", &leaf(&["a.example"])).start().await;
        let answer = get(proxy.address("http"), "a.example:8080", "/x/%2e?q=1&r").await;
        assert_eq!((answer.status, answer.header("location")), (308, "https://a.example/x/%2e?q=1&r"));
        proxy.write("ca.pem", portcullis_tests::certificates::authority().pem());
        let says = Tool::new("curl")
            .args(["-sS", "-L", "--cacert"])
            .args([proxy.folder().join("ca.pem")])
            .args(["--connect-to", &format!("a.example:443:127.0.0.1:{}", proxy.address("https").port())])
            .args(["--connect-to", &format!("a.example:80:127.0.0.1:{}", proxy.address("http").port())])
            .args(["http://a.example/"])
            .output()
            .await;
        assert_eq!(says, "sealed");
    });
}

#[test]
fn redirects_keep_what_is_not_named() {
    scenario(async {
        let proxy = routes(
            "[[route]]\nhost = \"a\"\nredirect = { status = 302, host = \"b.example\" }\n\
             [[route]]\nhost = \"c\"\nredirect = { status = 301, scheme = \"https\", port = 8443, path = \"/moved\" }\n\
             [[route]]\nhost = \"d\"\nredirect = \"https://www.example.com\"\n\
             [[route]]\nhost = \"e\"\nredirect = \"/new\"\n",
        )
        .await;
        let client = Connection::h1(proxy.address("http")).await;
        for (host, status, location) in [
            ("a", 302, "http://b.example/x?y"),
            ("c", 301, "https://c:8443/moved"),
            ("d", 308, "https://www.example.com/x?y"),
        ] {
            let answer = client.get(host, "/x?y").await;
            assert_eq!((answer.status, answer.header("location")), (status, location), "{host}");
        }
        let answer = client.get("e", "/x?y").await;
        assert!(answer.header("location").ends_with("/new"), "{}", answer.header("location"));
        // Two slashes at the beginning must not lead to another host.
        let answer = client.get("a", "//evil.example/").await;
        assert_eq!(answer.header("location"), "http://b.example//evil.example/");
    });
}

#[test]
fn a_fixed_response_is_made_here() {
    scenario(async {
        let proxy = routes(
            "[[route]]\npath = \"/text\"\nrespond = { status = 503, body = \"back soon\" }\n\
             [[route]]\npath = \"/json\"\nrespond = { status = 200, body = \"{}\", content_type = \"application/json\" }\n\
             [[route]]\npath = \"/none\"\nrespond = { status = 204 }\n",
        )
        .await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            let text = client.get("a", "/text").await;
            assert_eq!((text.status, &*text.text()), (503, "back soon"));
            assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
            assert_eq!(client.get("a", "/json").await.header("content-type"), "application/json");
            assert_eq!(client.get("a", "/none").await.status, 204);
            let head = client.fetch(request("HEAD", "a", "/text")).await;
            assert_eq!((head.status, head.header("content-length"), head.body.len()), (503, "9", 0));
        }
        let line = proxy.log_of("/text").await;
        assert!(line.get("error").is_none() && line.get("backend").is_none(), "{line}");
    });
}
