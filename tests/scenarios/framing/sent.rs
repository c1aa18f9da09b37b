use portcullis_tests::{
    client::{
        frames::{END_HEADERS, END_STREAM, Frames, get, kind},
        raw::Raw,
    },
    guests,
    origin::Origin,
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario},
};

use crate::ground::full_log;

/// An origin behind a plugin that writes down what it is shown.
async fn recorded(origin: &Origin) -> Proxy {
    let text = format!(
        r#"
        [[listener]]
        name = "http"
        address = "127.0.0.1:@http@"
        [[route]]
        backend = "origin"
        plugins = ["rec"]
        [backend.origin]
        endpoints = ["http://{}"]
        [plugin.rec]
        module = "{}"
        grants = {{ log = true }}
        config = {{ name = "rec", bodies = "none" }}
        "#,
        origin.address(),
        guests::path("recorder").display(),
    );
    Plan::new(text).start().await
}

const SENT: &str = "/<b>\\?q=\"\u{e9}\"&p=%3c";
const ENCODED: &str = "/%3Cb%3E%5C?q=%22%C3%A9%22&p=%3c";

#[test]
fn a_target_is_encoded_for_the_origin_and_shown_as_it_was_sent() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = recorded(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let request = format!("GET {SENT} HTTP/1.1\r\nhost: a\r\n\r\n");
        // Twice on one connection: nothing of the first is left in the way of the second.
        assert_eq!(client.exchange(&request).await.status, 200);
        assert_eq!(client.exchange(&request).await.status, 200);
        let seen: Vec<_> = origin.requests().into_iter().map(|seen| seen.target).collect();
        assert_eq!(seen, [ENCODED, ENCODED]);
        assert_eq!(full_log(&proxy, 2).await[1]["target"], SENT);
        let line = format!("request_head GET {SENT} authority=a");
        eventually("the plugin's line", async || {
            // The log writes quotes and letters beyond ASCII in its own way.
            let log = proxy.error_log().replace("\\\"", "\"").replace("\\\\", "\\");
            log.contains(&line).then_some(())
        })
        .await;
    });
}

#[test]
fn in_http2_what_the_frames_hold_is_encoded_too() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = recorded(&origin).await;
        let mut frames = Frames::open(Raw::connect(proxy.address("http")).await).await;
        frames.send(kind::HEADERS, END_HEADERS | END_STREAM, 1, &get("a", "/\u{e9}\\?q=\u{e9}", &[])).await;
        let line = full_log(&proxy, 1).await.remove(0);
        assert_eq!((&line["status"], &line["target"]), (&200.into(), &"/\u{e9}\\?q=\u{e9}".into()));
        assert_eq!(origin.requests()[0].target, "/%C3%A9%5C?q=%C3%A9");
    });
}

#[test]
fn fields_reach_the_origin_as_they_were_sent() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = recorded(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let request = "GET / HTTP/1.1\r\nhost: a\r\nX_Under: 1\r\nX.Dot: 2\r\nx-twice: a\r\nx-twice: \u{e9}\r\n\r\n";
        assert_eq!(client.exchange(request).await.status, 200);
        let headers = &origin.requests()[0].headers;
        assert!(headers["x_under"] == "1" && headers["x.dot"] == "2", "{headers:?}");
        let twice: Vec<_> = headers.get_all("x-twice").iter().map(|value| value.as_bytes()).collect();
        assert_eq!(twice, [&b"a"[..], "\u{e9}".as_bytes()]);
        eventually("the plugin's line", async || {
            let log = proxy.error_log();
            let all = ["x_under", "x.dot", "x-twice"].iter().all(|name| log.contains(name));
            all.then_some(())
        })
        .await;
    });
}
