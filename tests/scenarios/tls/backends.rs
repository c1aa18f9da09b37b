use portcullis_tests::{
    certificates::{Authority, KeyType, authority, leaf},
    client::http::get,
    origin::{Origin, raw::RawOrigin},
    proxy::{Plan, Proxy},
    scenario::scenario,
};
use rcgen::date_time_ymd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A plain listener in front of a backend that speaks TLS and is found under the name `inside.example`.
const TEXT: &str = r#"
[[listener]]
name = "http"
address = "127.0.0.1:@http@"

[[route]]
backend = "inside"

[backend.inside]
endpoints = ["https://inside.example:@inside@"]
tls = { ca = "ca.pem" }

[dns.hosts]
"inside.example" = "127.0.0.1"
"#;

async fn ground(text: &str, origin: &Origin) -> Proxy {
    Plan::new(text).file("ca.pem", authority().pem()).set("inside", origin.address().port()).start().await
}

#[test]
fn verifies_a_backend_against_the_given_authorities() {
    scenario(async {
        let origin = Origin::plan("inside").tls(leaf(&["inside.example"]).server(&["http/1.1"])).start().await;
        let proxy = ground(TEXT, &origin).await;
        let answer = get(proxy.address("http"), "front.example", "/").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["version"], "HTTP/1.1");
        let line = proxy.log_line(|line| line["status"] == 200).await;
        assert_eq!(line["endpoint_name"], "inside.example");
    });
}

#[test]
fn speaks_http_2_to_a_backend_that_agrees() {
    scenario(async {
        let origin = Origin::plan("inside").tls(leaf(&["inside.example"]).server(&["h2", "http/1.1"])).start().await;
        let proxy = ground(TEXT, &origin).await;
        assert_eq!(get(proxy.address("http"), "front.example", "/").await.json()["version"], "HTTP/2.0");
    });
}

#[test]
fn an_authority_that_nobody_gave_is_not_believed() {
    scenario(async {
        let stranger = Authority::new("stranger").issue(&["inside.example"], KeyType::Ecdsa);
        let origin = Origin::plan("inside").tls(stranger.server(&["http/1.1"])).start().await;
        let proxy = ground(TEXT, &origin).await;
        assert_eq!(get(proxy.address("http"), "front.example", "/").await.status, 502);
        let line = proxy.log_line(|line| line["status"] == 502).await;
        assert_eq!((&line["error"], &line["origin"]), (&"tls_certificate_error".into(), &"backend".into()));
        assert_eq!(origin.count(), 0);
        // The system's authorities do not know it either.
        proxy.apply(&TEXT.replace("tls = { ca = \"ca.pem\" }\n", "")).await;
        assert_eq!(get(proxy.address("http"), "front.example", "/").await.status, 502);
    });
}

#[test]
fn a_certificate_for_another_name_is_an_error_that_names_both() {
    scenario(async {
        let origin = Origin::plan("inside").tls(leaf(&["other.example"]).server(&["http/1.1"])).start().await;
        let proxy = ground(TEXT, &origin).await;
        assert_eq!(get(proxy.address("http"), "front.example", "/").await.status, 502);
        let line = proxy.log_line(|line| line["status"] == 502).await;
        let detail = line["detail"].as_str().unwrap();
        assert!(detail.contains("inside.example") && detail.contains("other.example"), "{line}");

        proxy.apply(&TEXT.replace("ca = \"ca.pem\"", "ca = \"ca.pem\", sni = \"other.example\"")).await;
        assert_eq!(get(proxy.address("http"), "front.example", "/").await.status, 200);
    });
}

#[test]
fn an_expired_certificate_is_an_error_that_says_so() {
    scenario(async {
        let expired = authority().issue_with(&["inside.example"], KeyType::Ecdsa, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        });
        let origin = Origin::plan("inside").tls(expired.server(&["http/1.1"])).start().await;
        let proxy = ground(TEXT, &origin).await;
        assert_eq!(get(proxy.address("http"), "front.example", "/").await.status, 502);
        let line = proxy.log_line(|line| line["status"] == 502).await;
        assert!(line["detail"].as_str().unwrap().contains("expired"), "{line}");
    });
}

#[test]
fn verification_can_be_switched_off_and_the_log_warns() {
    scenario(async {
        let stranger = Authority::new("stranger").issue(&["who.example"], KeyType::Ecdsa);
        let origin = Origin::plan("inside").tls(stranger.server(&["http/1.1"])).start().await;
        let proxy = ground(&TEXT.replace("ca = \"ca.pem\"", "verify = false"), &origin).await;
        assert_eq!(get(proxy.address("http"), "front.example", "/").await.status, 200);
        assert!(proxy.error_log().contains("verify"), "{}", proxy.error_log());
    });
}

#[test]
fn a_backend_that_answers_plain_http_is_an_error_that_says_so() {
    scenario(async {
        let origin = RawOrigin::start(|mut stream, _| async move {
            drop(stream.read(&mut [0; 4096]).await);
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await);
        })
        .await;
        let proxy =
            Plan::new(TEXT).file("ca.pem", authority().pem()).set("inside", origin.address().port()).start().await;
        assert_eq!(get(proxy.address("http"), "front.example", "/").await.status, 502);
        let line = proxy.log_line(|line| line["status"] == 502).await;
        assert!(line["error"].as_str().unwrap().starts_with("tls_"), "{line}");
        assert!(line["detail"].as_str().unwrap().to_lowercase().contains("http"), "{line}");
    });
}

#[test]
fn a_backend_that_never_shakes_hands_is_slow() {
    scenario(async {
        let origin = RawOrigin::start(|stream, _| async move {
            tokio::time::sleep(std::time::Duration::from_secs(30)).await;
            drop(stream);
        })
        .await;
        let text = TEXT.replace("tls = {", "retries = 0\ntime = { connect = \"300ms\" }\ntls = {");
        let proxy =
            Plan::new(text).file("ca.pem", authority().pem()).set("inside", origin.address().port()).start().await;
        assert_eq!(get(proxy.address("http"), "front.example", "/").await.status, 504);
    });
}

#[test]
fn a_ca_file_that_changes_is_read_again() {
    scenario(async {
        let stranger = Authority::new("stranger");
        let origin = Origin::plan("inside")
            .tls(stranger.issue(&["inside.example"], KeyType::Ecdsa).server(&["http/1.1"]))
            .start()
            .await;
        let proxy = ground(TEXT, &origin).await;
        assert_eq!(get(proxy.address("http"), "front.example", "/").await.status, 502);
        proxy.write("ca.pem", stranger.pem());
        portcullis_tests::scenario::eventually("the new authority is believed", async || {
            (get(proxy.address("http"), "front.example", "/").await.status == 200).then_some(())
        })
        .await;
    });
}
