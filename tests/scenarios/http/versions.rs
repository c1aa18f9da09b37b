use portcullis_tests::{
    client::{
        http::{Connection, request},
        raw::Raw,
    },
    origin::Origin,
    proxy::Plan,
    scenario::scenario,
    tool::Tool,
};

use crate::ground::{plain, tls};

#[test]
fn every_version_in_reaches_every_version_behind() {
    scenario(async {
        let one = Origin::named("one").await;
        let two = Origin::plan("two").h2c().start().await;
        let text = "[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@http@\"\n\
                    [[route]]\nhost = \"one.example\"\nbackend = \"one\"\n\
                    [[route]]\nhost = \"two.example\"\nbackend = \"two\"\n\
                    [backend.one]\nendpoints = [\"http://@one@\"]\n[backend.two]\nendpoints = [\"h2c://@two@\"]\n";
        let proxy = Plan::new(text).set("one", one.address()).set("two", two.address()).start().await;
        let address = proxy.address("http");
        for (client, logged) in
            [(Connection::h1(address).await, "HTTP/1.1"), (Connection::h2c(address).await, "HTTP/2.0")]
        {
            for (host, version) in [("one.example", "HTTP/1.1"), ("two.example", "HTTP/2.0")] {
                let target = format!("/{logged}/{version}?a=b");
                let mut request = request("POST", host, &target);
                *request.body_mut() = portcullis_tests::origin::stock::full("body");
                let answer = client.fetch(request).await;
                let echo = answer.json();
                assert_eq!((&echo["version"], &echo["length"]), (&version.into(), &4.into()), "{logged}");
                assert_eq!((&echo["host"], &echo["target"]), (&host.into(), &(&*target).into()), "{logged}");
                assert_eq!(proxy.log_of(&target).await["version"], logged);
            }
        }
    });
}

#[test]
fn one_connection_serves_one_request_after_another() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        for number in 0..5 {
            let response = client.exchange(format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            assert_eq!(response.status, 200);
        }
        assert_eq!(proxy.counter("connections").await, 1);
        assert_eq!(origin.count(), 5);
    });
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let bodies = "POST /first HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello\
                      POST /second HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
                      GET /third HTTP/1.1\r\nhost: a\r\n\r\n";
        client.send(bodies).await;
        for (target, length) in [("/first", 5), ("/second", 3), ("/third", 0)] {
            let response = client.response().await;
            let echo: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!((&echo["target"], &echo["length"]), (&target.into(), &length.into()));
        }
    });
}

#[test]
fn http_1_0_is_answered_and_closed_unless_it_asks_to_be_kept() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let response = client.exchange("GET /name HTTP/1.0\r\nhost: a\r\n\r\n").await;
        assert_eq!((response.status, response.text()), (200, "origin".into()));
        assert!(client.is_closed().await);

        let mut client = Raw::connect(proxy.address("http")).await;
        for _ in 0..2 {
            let response = client.exchange("GET /name HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n").await;
            assert_eq!(response.text(), "origin");
        }
    });
}

#[test]
fn a_body_of_unknown_length_to_http_1_0_ends_with_the_connection() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("GET /stream?n=50000 HTTP/1.0\r\nhost: a\r\n\r\n").await;
        let response = client.response().await;
        assert!(response.header("transfer-encoding").is_none(), "{}", response.head);
        assert_eq!(response.body.len(), 50_000);
    });
}

#[test]
fn many_streams_share_one_http_2_connection() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &["a.example"]).await;
        let config = portcullis_tests::certificates::authority().client(&["h2"]);
        let client = Connection::tls(proxy.address("https"), "a.example", &config).await;
        let all = (0..100).map(|number| {
            let client = &client;
            async move { client.get("a.example", &format!("/slow?ms={}", number % 7)).await.status }
        });
        let statuses = futures_util::future::join_all(all).await;
        assert!(statuses.iter().all(|status| *status == 200));
        assert_eq!(proxy.counter("connections").await, 1);
    });
}

#[test]
fn curl_speaks_both_versions() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &["a.example"]).await;
        proxy.write("ca.pem", portcullis_tests::certificates::authority().pem());
        let address = proxy.address("https");
        for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let says = Tool::new("curl")
                .args(["-sS", option, "-w", "\n%{http_version} %{http_code}", "--cacert"])
                .args([proxy.folder().join("ca.pem")])
                .args(["--resolve", &format!("a.example:{}:127.0.0.1", address.port())])
                .args(["--data-binary", "some data", &format!("https://a.example:{}/x", address.port())])
                .output()
                .await;
            assert!(says.ends_with(&format!("\n{version} 200")), "{says}");
            assert!(says.contains("\"length\":9"), "{says}");
        }
    });
}

#[test]
fn h2load_finds_no_failure_in_either_version() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = tls(&origin, &["localhost"]).await;
        let url = format!("https://localhost:{}/bytes?n=3000", proxy.address("https").port());
        let connect = format!("--connect-to=127.0.0.1:{}", proxy.address("https").port());
        for version in ["--npn-list=h2", "--h1"] {
            let says = Tool::new("h2load").args(["-n2000", "-c10", "-m10", version, &connect, &url]).output().await;
            assert!(says.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{says}");
            assert!(says.contains("2000 2xx"), "{says}");
        }
        assert_eq!(origin.count(), 4000);
    });
}
