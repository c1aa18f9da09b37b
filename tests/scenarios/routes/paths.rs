use portcullis_tests::{client::raw::Raw, origin::Origin, proxy::Plan, scenario::scenario};

const TEXT: &str = r#"
[[listener]]
name = "http"
address = "127.0.0.1:@http@"

[[route]]
name = "admin"
path = "/admin"
respond = { status = 403 }

[[route]]
name = "any"
backend = "app"

[backend.app]
endpoints = ["http://@origin@"]
"#;

#[test]
fn no_spelling_of_a_path_gets_around_a_route() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(TEXT).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        for target in [
            "/admin",
            "/admin/x",
            "//admin",
            "/./admin",
            "/x/../admin",
            "/x/%2e%2e/admin",
            "/x/%2E./admin",
            "/%61dmin",
            "/%61%64%6D%69%6E/",
            "///x//..//admin//",
            "/../../admin",
            "/admin?x",
            "/admin/..//admin",
        ] {
            let status = client.exchange(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")).await.status;
            assert_eq!(status, 403, "{target}");
        }
        assert_eq!(origin.count(), 0);
    });
}

#[test]
fn the_target_that_no_edit_touches_is_sent_as_it_came() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(TEXT).set("origin", origin.address()).start().await;
        let mut client = Raw::connect(proxy.address("http")).await;
        for target in [
            "/admin%2Fx",
            "/admin%2fx",
            "/a//b/./c/../d",
            "/%7Euser",
            "/x?a=%zz&&b=c#",
            "/admins",
            "/a;b=c/(d)'*!",
            "/x?",
        ] {
            let target = target.trim_end_matches('#');
            let response = client.exchange(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            assert_eq!(response.status, 200, "{target}");
            assert_eq!(origin.last().unwrap().target, target);
            assert_eq!(proxy.log_of(target).await["route"], "any");
        }
    });
}

#[test]
fn paths_that_have_no_one_meaning_get_400() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(TEXT).set("origin", origin.address()).start().await;
        // A backslash is no part of this: it goes to backends as %5C, and separates nothing.
        for target in ["/a%00b", "/a%zz", "/a%", "/a%2"] {
            let mut client = Raw::connect(proxy.address("http")).await;
            let status = client.exchange(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")).await.status;
            assert_eq!(status, 400, "{target}");
        }
        assert_eq!(origin.count(), 0);
    });
}
