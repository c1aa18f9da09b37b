use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};

use super::*;

/// Answers with what it was asked.
struct Mirror;

impl Control for Mirror {
    fn status(&self) -> BoxFuture<'_, Value> {
        async { json!({ "generation": 1 }) }.boxed()
    }

    fn reload(&self) -> BoxFuture<'_, Result<Value, Failure>> {
        async { Err(Failure { message: "2 errors in portcullis.toml".into(), detail: json!([1, 2]) }) }.boxed()
    }

    fn recall<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Option<Value>> {
        async move { (id == "known").then(|| json!({ "id": id })) }.boxed()
    }

    fn explain<'a>(&'a self, request: &'a ExplainRequest) -> BoxFuture<'a, Result<Value, Failure>> {
        async move { Ok(serde_json::to_value(request).unwrap()) }.boxed()
    }

    fn certs<'a>(&'a self, request: &'a super::CertsRequest) -> BoxFuture<'a, Result<Value, Failure>> {
        async move { Ok(serde_json::to_value(request).unwrap()) }.boxed()
    }

    fn record<'a>(&'a self, request: &'a super::RecordRequest) -> BoxFuture<'a, Result<Value, Failure>> {
        async move { Ok(json!(request.count)) }.boxed()
    }

    fn dns<'a>(&'a self, name: &'a str, service: bool) -> BoxFuture<'a, Result<Value, Failure>> {
        async move {
            assert_ne!(name, "panic");
            Ok(json!([name, service]))
        }
        .boxed()
    }
}

/// Serves at `path` while `client` runs in a thread of its own.
async fn served<T: Send + 'static>(path: &Path, client: impl FnOnce(&Path) -> T + Send + 'static) -> T {
    let socket = Socket::bind(path).unwrap();
    let at = path.to_owned();
    let client = tokio::task::spawn_blocking(move || client(&at));
    tokio::select! {
        ended = serve(&socket, Arc::new(Mirror)) => panic!("{ended:?}"),
        outcome = tokio::time::timeout(Duration::from_secs(30), client) => outcome.unwrap().unwrap(),
    }
}

fn raw(path: &Path, request: &[u8]) -> Reply {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    _ = stream.write_all(request);
    _ = stream.shutdown(std::net::Shutdown::Write);
    let mut reply = String::new();
    // Where the other side closes before it has read everything, the end of the reply is a reset.
    _ = stream.read_to_string(&mut reply);
    assert!(reply.ends_with('\n'));
    serde_json::from_str(&reply).unwrap()
}

#[tokio::test]
async fn every_request_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    served(&dir.path().join("control.sock"), |path| {
        assert_eq!(call(path, &Request::Status {}).unwrap(), json!({ "generation": 1 }));
        assert_eq!(call(path, &Request::Recall { id: "known".into() }).unwrap(), json!({ "id": "known" }));
        let request = ExplainRequest {
            method: "GET".into(),
            url: "https://shop.example.com/".into(),
            headers: vec![("a".into(), "b".into())],
            sni: Some("other.example.com".into()),
            head: Some("GET / HTTP/1.1\r\n\r\n".into()),
            listener: Some("https".into()),
            client: Some("203.0.113.9".parse().unwrap()),
        };
        let answer = call(path, &Request::Explain(request.clone())).unwrap();
        assert_eq!(serde_json::from_value::<ExplainRequest>(answer).unwrap(), request);
        let dns = Request::Dns { name: "web.internal".into(), service: true };
        assert_eq!(call(path, &dns).unwrap(), json!(["web.internal", true]));
    })
    .await;
}

#[tokio::test]
async fn refusals_carry_their_reason() {
    let dir = tempfile::tempdir().unwrap();
    served(&dir.path().join("control.sock"), |path| {
        match call(path, &Request::Reload {}) {
            Err(CallError::Failed(failure)) => assert_eq!(failure.detail, json!([1, 2])),
            other => panic!("{other:?}"),
        }
        let error = call(path, &Request::Recall { id: "unknown".into() }).unwrap_err().to_string();
        assert!(error.contains("no exchange `unknown`"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn odd_requests_are_refused_and_a_panic_ends_one_request_only() {
    let dir = tempfile::tempdir().unwrap();
    served(&dir.path().join("control.sock"), |path| {
        let endless = vec![b'x'; 2 << 20];
        for odd in [&b""[..], b"\n", b"{}\n", b"{\"command\":\"fly\"}\n", b"\xff\n", b"no line feed", &endless] {
            assert!(matches!(raw(path, odd), Reply::Error(_)));
        }
        let panic = Request::Dns { name: "panic".into(), service: false };
        assert!(matches!(call(path, &panic), Err(CallError::Silent(_) | CallError::System { .. })));
        call(path, &Request::Status {}).unwrap();
    })
    .await;
}

#[tokio::test]
async fn more_clients_than_slots_are_all_answered() {
    let dir = tempfile::tempdir().unwrap();
    served(&dir.path().join("control.sock"), |path| {
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| call(path, &Request::Status {}).unwrap());
            }
        });
    })
    .await;
}

#[test]
fn socket_is_private_and_removed_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/portcullis/control.sock");
    let socket = Socket::bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    drop(socket);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
}

#[test]
fn second_process_is_told_who_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let _first = Socket::bind(&path).unwrap();
    let error = Socket::bind(&path).unwrap_err().to_string();
    let expected = format!("another portcullis is running (pid {})", std::process::id());
    assert!(error.starts_with(&expected), "{error}");
    UnixStream::connect(&path).unwrap();
}

#[test]
fn socket_of_a_dead_process_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    // As a killed process leaves them: a socket that nobody serves, a lock file that nobody locks.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    fs::write(dir.path().join("control.sock.lock"), "4194304000\n").unwrap();
    assert!(matches!(call(&path, &Request::Status {}), Err(CallError::Dead(_))));
    let _socket = Socket::bind(&path).unwrap();
    UnixStream::connect(&path).unwrap();
}

#[test]
fn file_that_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("precious");
    fs::write(&path, "precious").unwrap();
    assert!(matches!(Socket::bind(&path), Err(BindError::NotASocket(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn path_that_is_too_long_is_an_error() {
    let path = Path::new("/tmp").join("x".repeat(200));
    assert!(matches!(Socket::bind(&path), Err(BindError::TooLong(_))));
}

#[test]
fn missing_socket_means_nothing_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let error = call(&path, &Request::Status {}).unwrap_err().to_string();
    assert_eq!(error, format!("no portcullis runs here: {} does not exist", path.display()));
}

#[test]
fn socket_of_a_successor_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let first = Socket::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::remove_file(dir.path().join("control.sock.lock")).unwrap();
    let _second = Socket::bind(&path).unwrap();
    drop(first);
    UnixStream::connect(&path).unwrap();
}
