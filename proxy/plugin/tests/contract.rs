//! A component that was built against 0.1.0 and kept runs as it did then: every import, every phase, every kind of answer.

use std::{
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis_plugin::{
    AtLimit, BodyEnd, BodyMode, FieldEdit, Grants, Host, Local, Plugin, RequestHead, ResponseHead, Run, Settings,
    Summary, TlsFacts, Value, Verdict,
};
use tokio::sync::mpsc;

use portcullis_tests::{
    plugin_host::{self, definition, facts, on_a_worker},
    repository,
};

type Lines = Arc<Mutex<Vec<String>>>;

fn fixture() -> bytes::Bytes {
    let path = repository::root().join("tests/fixtures/plugin-0.1.0.wasm");
    std::fs::read(path).expect("the fixture is in the repository").into()
}

fn built() -> (Arc<Host>, Arc<Plugin>, Lines) {
    let lines = Lines::default();
    let into = lines.clone();
    let sink: portcullis_plugin::Sink = Arc::new(move |_, level, line| {
        into.lock().expect("nobody panicked").push(format!("{} {line}", level.name()));
    });
    let host = Host::new(Settings { lines: Some(sink), ..Settings::default() }).expect("a host");
    let mut definition = definition("kept", fixture(), r#"{"key":"value"}"#);
    definition.limits.time = Duration::from_secs(5);
    definition.limits.wait = Duration::from_secs(10);
    definition.grants.http = Some(vec!["app".into()]);
    let plugin = Plugin::build(&host, definition).expect("what was built against 0.1.0 loads");
    (host, plugin, lines)
}

/// A worker's part of the plugin; its requests are answered with 200, `x-origin` and the bytes `answer`.
fn local(plugin: &Arc<Plugin>) -> Rc<Local> {
    let (sender, mut receiver) = mpsc::channel::<portcullis_plugin::Outbound>(8);
    tokio::task::spawn_local(async move {
        while let Some(asked) = receiver.recv().await {
            assert_eq!((&*asked.backend, asked.request.method().as_str()), ("app", "POST"));
            assert_eq!(asked.request.uri(), "/asked");
            assert_eq!(asked.request.headers()["x-asked"], "1");
            assert_eq!(&asked.request.body()[..], b"question");
            let mut response = http::Response::new(bytes::Bytes::from_static(b"answer"));
            response.headers_mut().insert("x-origin", HeaderValue::from_static("app"));
            let _ = asked.reply.send(Ok(response));
        }
    });
    Local::new(plugin.clone(), sender)
}

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

async fn request(run: &mut Run, target: &str) -> Verdict {
    let fields = fields(&[("host", "example.com"), ("x-a", "1")]);
    let head = RequestHead {
        method: "POST",
        https: true,
        authority: "example.com",
        target,
        version: http::Version::HTTP_2,
        fields: &fields,
    };
    run.request_head(head).await.expect("it behaves")
}

#[test]
fn what_was_built_against_0_1_0_says_what_it_is() {
    let inspection = portcullis_plugin::inspect(&fixture()).expect("it is a plugin");
    assert!(inspection.is_component);
    assert_eq!(inspection.contract, "0.1.0");
    assert_eq!(inspection.imports, ["clock", "connection", "http", "key-value", "log", "metrics", "random"]);
    assert_eq!(inspection.other_imports, [""; 0]);
    let (_host, plugin, _) = built();
    let declaration = plugin.declaration();
    assert!(declaration.request_head && declaration.response_head && declaration.log);
    assert_eq!(declaration.request_body, BodyMode::Hold { limit: 1024, at_limit: AtLimit::Inspect });
    assert_eq!(declaration.response_body, BodyMode::Stream);
    assert!(plugin.is_imaged(), "{:?}", plugin.warnings());

    let mut refused = definition("kept", fixture(), "{}");
    refused.grants.http = Some(vec![]);
    let said = Plugin::build(&plugin_host::HOST, refused.clone()).map(drop).expect_err("it knows one configuration").0;
    assert!(said.contains("this is not the configuration it knows: {}"), "{said}");
    refused.grants = Grants::default();
    assert!(Plugin::build(&plugin_host::HOST, refused).is_err(), "nothing is granted");
}

#[test]
fn what_was_built_against_0_1_0_runs() {
    let (host, plugin, lines) = built();
    on_a_worker(async {
        let local = local(&plugin);
        let mut run = local.begin(|| {
            let tls = TlsFacts {
                version: "TLSv1.3".into(),
                sni: Some("example.com".into()),
                alpn: Some("h2".into()),
                client_certificate: None,
                ja4: Some("t13d".into()),
            };
            portcullis_plugin::Facts { tls: Some(Arc::new(tls)), ..facts() }
        });
        let Verdict::Edit(edits) = request(&mut run, "/").await else { panic!("it edits") };
        let name = http::HeaderName::from_static;
        let value = HeaderValue::from_static;
        assert_eq!(edits.target.as_ref().map(|target| target.as_str()), Some("/edited?q"));
        assert!(matches!(&edits.fields[..], [FieldEdit::Set(a, one), FieldEdit::Append(b, two), FieldEdit::Remove(c)]
            if (a, b, c) == (&name("x-set"), &name("x-append"), &name("x-remove")) && (one, two) == (&value("1"), &value("2"))));

        let Verdict::Edit(edits) = run.request_body(b"four", Some(BodyEnd::Limit)).await.expect("it behaves") else {
            panic!("it edits")
        };
        assert_eq!(edits.data.as_deref(), Some(&b"replaced"[..]));
        assert_eq!(edits.fields.len(), 1);

        let head = fields(&[("x-b", "2")]);
        let head = ResponseHead { status: StatusCode::NOT_FOUND, fields: &head };
        let Verdict::Edit(edits) = run.response_head(head).await.expect("it behaves") else { panic!("it edits") };
        assert_eq!(edits.status, Some(StatusCode::NON_AUTHORITATIVE_INFORMATION));

        let Verdict::Edit(edits) = run.response_body(b"abc", None).await.expect("it behaves") else {
            panic!("it edits")
        };
        assert_eq!((edits.data.as_deref(), edits.trailers.is_none()), (Some(&b"ABC"[..]), true));
        let trailers = fields(&[("x-sum", "9")]);
        let end = Some(BodyEnd::Complete(Some(&trailers)));
        let Verdict::Edit(edits) = run.response_body(b"", end).await.expect("it behaves") else { panic!("it edits") };
        assert_eq!(edits.trailers.expect("it replaces them")["x-trailer"], "1");

        let summary = Summary {
            status: 203,
            received: 4,
            sent: 3,
            duration: Duration::from_micros(5),
            backend: Some("app"),
            endpoint: "127.0.0.1:80".parse().ok(),
            error: None,
            decided_by: Some("kept"),
        };
        run.log(summary).await.expect("it behaves");
        drop(run);

        let mut run = local.begin(facts);
        let Verdict::Respond(response) = request(&mut run, "/respond").await else { panic!("it responds") };
        assert_eq!((response.status().as_u16(), &response.body()[..]), (418, &b"short and stout"[..]));
        assert_eq!(response.headers()["x-answer"], "plugin");
        let cut = run.request_body(b"", Some(BodyEnd::Cut)).await;
        assert!(matches!(cut, Ok(Verdict::Edit(_))));
        assert!(matches!(request(&mut local.begin(facts), "/close").await, Verdict::Close));
        assert!(matches!(request(&mut local.begin(facts), "/continue").await, Verdict::Continue));
    });
    let lines = lines.lock().expect("nobody panicked");
    let expected = [
        "info request POST true example.com / HttpVersion::Http2 host=example.com,x-a=1",
        "info facts 192.0.2.1 4242 192.0.2.1 web all 1",
        r#"info tls TLSv1.3 Some("example.com") Some("h2") None Some("t13d")"#,
        "debug debug",
        "warn warn",
        "error error",
        "info clock true true",
        "info random true 16",
        "info values Ok(()) Ok(true) Ok(false) Ok(Some([50]))",
        "info numbers Ok(5) Ok(-2)",
        r#"info errors Err("not-a-number") Err("size")"#,
        "info deleted Ok(()) Ok(None)",
        "info answer 200 x-origin=app 6",
    ];
    assert_eq!(lines[..expected.len()], expected);
    assert!(lines[expected.len()].starts_with("info no answer Error::Denied("), "{}", lines[expected.len()]);
    let rest = [
        "info request body 4 limit",
        "info response 404 x-b=2",
        "info response body 3 more",
        "info response body 0 complete x-sum=9",
        r#"info summary 203 4 3 5000 Some("app") Some("127.0.0.1:80") None Some("kept")"#,
    ];
    assert_eq!(lines[expected.len() + 1..][..rest.len()], rest);
    let figures = host.figures();
    let figure = |name: &str| figures.iter().find(|figure| figure.name == name).map(|figure| figure.value.clone());
    assert_eq!(figure("counted"), Some(Value::Counter(2)));
    assert_eq!(figure("gauged"), Some(Value::Gauge(1.5)));
    assert!(matches!(figure("observed"), Some(Value::Histogram { count: 1, .. })), "{figures:?}");
}
