use portcullis_tests::{
    certificates::{authority, leaf},
    client::{raw::Raw, tls},
    origin::Origin,
    proxy::Plan,
    scenario::scenario,
};

use crate::ground::{PLAIN, TLS, plain};

#[test]
fn refused_handshakes_have_a_line_that_says_why() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(TLS.replace("tls = {}", "tls = { handshake_time = \"500ms\" }"))
            .leaf("leaf", &leaf(&["shop.example"]))
            .set("origin", origin.address())
            .start()
            .await;
        let address = proxy.address("https");
        let refused = async |detail: &str| {
            let line = proxy
                .log_line(|line| line["detail"].as_str().is_some_and(|text| text.to_lowercase().contains(detail)))
                .await;
            assert_eq!(
                (&line["kind"], &line["origin"], &line["status"]),
                (&"refused".into(), &"client".into(), &0.into())
            );
            assert_eq!(line["listener"], "https", "{line}");
            line
        };
        assert!(tls(address, "unknown.example", &authority().client(&[])).await.is_err());
        assert_eq!(refused("unknown.example").await["sni"], "unknown.example");
        // Nobody trusts this authority: the client sends an alert.
        let stranger = portcullis_tests::certificates::Authority::new("somebody else").client(&[]);
        assert!(tls(address, "shop.example", &stranger).await.is_err());
        let alert = proxy.log_line(|line| line["error"] == "tls_alert_received").await;
        assert_eq!((&alert["kind"], &alert["sni"]), (&"refused".into(), &"shop.example".into()), "{alert}");

        let mut plain = Raw::connect(address).await;
        plain.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        drop(plain.read_to_end().await);
        refused("plain http").await;
        let mut garbage = Raw::connect(address).await;
        garbage.send([0x80; 64]).await;
        drop(garbage.read_to_end().await);
        refused("does not speak tls").await;
        let mut silent = Raw::connect(address).await;
        drop(silent.read_to_end().await);
        refused("no clienthello in time").await;
        let mut halfway = Raw::connect(address).await;
        halfway.send([22, 3, 1, 2, 0, 1]).await;
        drop(halfway.read_to_end().await);
        refused("6 bytes arrived").await;
        assert_eq!(proxy.log_lines().len(), 6, "one line each");
    });
}

#[test]
fn malformed_requests_have_a_line_that_says_why() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let cases = [
            ("GET /a HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "/a"),
            ("POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", 400, "/b"),
            ("GET /c HTTP/1.1\r\nhost : a\r\n\r\n", 400, "/c"),
            ("GET /d HTTP/9.9\r\nhost: a\r\n\r\n", 505, "/d"),
            ("GET /e HTTP/1.1\r\n\r\n", 400, "/e"),
        ];
        for (bytes, status, target) in cases {
            let mut client = Raw::connect(proxy.address("http")).await;
            let answer = client.exchange(bytes).await;
            assert!(answer.status == status || (status == 505 && answer.status == 400), "{bytes:?}: {}", answer.head);
            assert!(client.is_closed().await);
            let line = proxy.log_of(target).await;
            assert_eq!(line["status"], answer.status, "{line}");
            assert_eq!((&line["origin"], &line["error"]), (&"client".into(), &"http_request_error".into()), "{line}");
            assert!(!line["detail"].as_str().unwrap().is_empty(), "{line}");
            assert!(line["id"].as_str().is_some_and(|id| !id.is_empty()), "{line}");
            assert!(line.get("endpoint").is_none(), "{line}");
        }
        // Where no head can be read at all, the line still says who it was.
        let mut client = Raw::connect(proxy.address("http")).await;
        client.send("\x00\x01\x02 garbage\r\n\r\n").await;
        drop(client.read_to_end().await);
        let line = proxy.log_line(|line| line["origin"] == "client" && line.get("target").is_none()).await;
        assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        assert_eq!(proxy.counter("requests_malformed").await, 6);
        assert_eq!(origin.count(), 0);
    });
}

#[test]
fn a_missing_or_broken_proxy_header_has_a_line() {
    scenario(async {
        let origin = Origin::start().await;
        let text = PLAIN
            .replace("@http@\"\n", "@http@\"\nproxy_protocol = \"127.0.0.0/8\"\nlimits = { header_time = \"1s\" }\n");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        for (bytes, detail) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "no PROXY protocol header"),
            ("PROXY TCP4 not an address\r\n", "malformed PROXY protocol header"),
        ] {
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send(bytes).await;
            drop(client.read_to_end().await);
            let line =
                proxy.log_line(|line| line["detail"].as_str().is_some_and(|text| text.starts_with(detail))).await;
            assert_eq!((&line["kind"], &line["origin"]), (&"refused".into(), &"client".into()));
        }
        assert_eq!(proxy.counter("proxy_header_errors").await, 2);
    });
}
