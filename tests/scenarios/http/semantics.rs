use portcullis_tests::{
    client::{
        http::{Connection, request},
        raw::Raw,
    },
    nginx::Nginx,
    origin::Origin,
    proxy::{Plan, Proxy},
    scenario::scenario,
    tool::Tool,
};

use crate::ground::{PLAIN, plain};

async fn before(nginx: &Nginx) -> Proxy {
    Plan::new(PLAIN).set("origin", nginx.address()).start().await
}

#[test]
fn a_client_that_expects_100_is_told_to_go_on_before_it_sends() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n").await;
        let first = client.read_until(b"\r\n\r\n").await;
        assert_eq!(first, b"HTTP/1.1 100 Continue\r\n\r\n");
        let response = client.exchange("hello").await;
        assert_eq!(response.status, 200);
        assert!(response.text().contains("\"length\":5"));
    });
}

#[test]
fn a_client_that_expects_100_is_told_at_once_what_is_refused() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        proxy.apply(&PLAIN.replace("address =", "limits = { body_size = \"10B\" }\naddress =")).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 500\r\n\r\n").await;
        assert_eq!(client.response().await.status, 413);
        assert_eq!(origin.count(), 0);
    });
}

#[test]
fn curl_uploads_with_expect() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let says = Tool::new("curl")
            .args(["-sS", "-H", "expect: 100-continue", "--data-binary", "@-"])
            .args([format!("http://{}/", proxy.address("http"))])
            .input(vec![b'x'; 2_000_000])
            .output()
            .await;
        assert!(says.contains("\"length\":2000000"), "{says}");
    });
}

#[test]
fn head_has_the_length_and_no_body() {
    scenario(async {
        let nginx = Nginx::start("").await;
        std::fs::write(nginx.files().join("file"), vec![b'x'; 5000]).unwrap();
        let proxy = before(&nginx).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        for _ in 0..2 {
            client.send("HEAD /file HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let response = client.response_to("HEAD").await;
            assert_eq!((response.status, response.header("content-length")), (200, Some("5000")));
        }
        // What follows on the connection is the next response, and not a body.
        let response = client.exchange("GET /file HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(response.body.len(), 5000);
        let two = Connection::h2c(proxy.address("http")).await;
        let answer = two.fetch(request("HEAD", "a", "/file")).await;
        assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (200, "5000", 0));
    });
}

#[test]
fn ranges_and_conditions_are_the_origins_business() {
    scenario(async {
        let nginx = Nginx::start("").await;
        let content: Vec<u8> = (0..10_000_u32).map(|at| (at % 256) as u8).collect();
        std::fs::write(nginx.files().join("file"), &content).unwrap();
        let proxy = before(&nginx).await;
        let url = format!("http://{}/file", proxy.address("http"));

        let to = proxy.folder().join("part");
        let says = Tool::new("curl")
            .args(["-sS", "-r", "1000-1999", "-D", "-", "-o"])
            .args([to.as_os_str()])
            .args([&url])
            .output()
            .await;
        assert!(says.starts_with("HTTP/1.1 206"), "{says}");
        assert!(says.to_lowercase().contains("content-range: bytes 1000-1999/10000"), "{says}");
        assert_eq!(std::fs::read(&to).unwrap(), content[1000..2000]);

        let etag = says.lines().find_map(|line| line.strip_prefix("ETag: ").or(line.strip_prefix("etag: "))).unwrap();
        let says = Tool::new("curl")
            .args(["-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download}"])
            .args(["-H", &format!("if-none-match: {etag}"), &url])
            .output()
            .await;
        assert_eq!(says, "304 0");

        let many = Tool::new("curl").args(["-sS", "-r", "0-9,100-109", &url]).run().await;
        assert!(many.stdout.contains("Content-Range: bytes 100-109/10000"), "{}", many.stdout);
    });
}

#[test]
fn nginx_serves_through_the_proxy_in_both_versions() {
    scenario(async {
        let nginx =
            Nginx::start("location = /gone { return 410 \"gone\\n\"; } location = /empty { return 204; }").await;
        let content: Vec<u8> = (0..1_000_000_u32).map(|at| (at * 31 % 256) as u8).collect();
        std::fs::write(nginx.files().join("file"), &content).unwrap();
        let proxy = before(&nginx).await;
        let address = proxy.address("http");
        for client in [Connection::h1(address).await, Connection::h2c(address).await] {
            let answer = client.get("a.example", "/file").await;
            assert_eq!((answer.status, answer.body == content), (200, true));
            assert!(answer.header("server").starts_with("nginx"), "the origin's fields are passed on");
            assert_eq!(client.get("a.example", "/gone").await.status, 410);
            assert_eq!(client.get("a.example", "/empty").await.status, 204);
            assert_eq!(client.get("a.example", "/missing").await.status, 404);
        }
    });
}

#[test]
fn unusual_methods_pass_and_connect_does_not() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let client = Connection::h1(proxy.address("http")).await;
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "PURGE", "M-SEARCH"] {
            assert_eq!(client.fetch(request(method, "a", "/x")).await.json()["method"], method);
        }
        let mut raw = Raw::connect(proxy.address("http")).await;
        let response = raw.exchange("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(response.text().contains("\"target\":\"*\""), "{}", response.text());
        let before = origin.count();
        let mut raw = Raw::connect(proxy.address("http")).await;
        let status = raw.exchange("CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n\r\n").await.status;
        assert!((400..600).contains(&status), "{status}");
        assert_eq!(origin.count(), before);
    });
}

#[test]
fn informational_responses_do_not_end_an_exchange() {
    scenario(async {
        let origin = portcullis_tests::origin::raw::RawOrigin::answering(
            "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        )
        .await;
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(client.get("a", "/").await.text(), "ok");
    });
}
