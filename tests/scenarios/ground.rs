//! Configurations that many scenarios begin with.

use std::net::{IpAddr, SocketAddr};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use portcullis_tests::{
    origin::Origin,
    proxy::{Plan, Proxy},
    scenario::eventually,
};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::sync::mpsc;

/// Everything on one plain listener to one backend, whose only endpoint is `@origin@`.
pub(crate) const PLAIN: &str = r#"
[[listener]]
name = "http"
address = "127.0.0.1:@http@"

[[route]]
backend = "app"

[backend.app]
endpoints = ["http://@origin@"]
"#;

/// Everything on one TLS listener with the certificate `leaf` to one backend, whose only endpoint is `@origin@`.
pub(crate) const TLS: &str = r#"
[[listener]]
name = "https"
address = "127.0.0.1:@https@"
tls = {}

[[certificate]]
name = "leaf"
cert = "leaf.pem"
key = "leaf.key"

[[route]]
backend = "app"

[backend.app]
endpoints = ["http://@origin@"]
"#;

/// [`PLAIN`] in front of `origin`.
pub(crate) async fn plain(origin: &Origin) -> Proxy {
    Plan::new(PLAIN).set("origin", origin.address()).start().await
}

/// [`TLS`] in front of `origin`, with a leaf for `names`.
pub(crate) async fn tls(origin: &Origin, names: &[&str]) -> Proxy {
    let leaf = portcullis_tests::certificates::leaf(names);
    Plan::new(TLS).leaf("leaf", &leaf).set("origin", origin.address()).start().await
}

/// `127.0.0.n`: a machine has 16 million loopback addresses.
pub(crate) fn loopback(n: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, n])
}

/// Things that are said later, one at a time.
pub(crate) fn channel<T: Send + 'static>() -> (mpsc::Sender<T>, BoxStream<'static, T>) {
    let (say, said) = mpsc::channel(1);
    let stream = stream::unfold(said, |mut said| async move { said.recv().await.map(|thing| (thing, said)) });
    (say, stream.boxed())
}

/// Listens at `address` with a backlog that is full for as long as the value lives: connections to it are neither made nor refused.
pub(crate) fn full_backlog(address: SocketAddr) -> Vec<Socket> {
    let socket = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket
    };
    let listener = socket();
    listener.bind(&address.into()).unwrap();
    listener.listen(0).unwrap();
    let full = listener.local_addr().unwrap();
    let mut sockets = vec![listener];
    for _ in 0..4 {
        let client = socket();
        client.set_nonblocking(true).unwrap();
        // In progress, for ever once the backlog is full.
        drop(client.connect(&full));
        sockets.push(client);
    }
    sockets
}

/// The access log, once it has `exchanges` lines.
pub(crate) async fn full_log(proxy: &Proxy, exchanges: u64) -> Vec<Value> {
    let count = || proxy.access_log().lines().count() as u64;
    eventually("every exchange is logged", async || (count() >= exchanges).then_some(())).await;
    proxy.log_lines()
}
