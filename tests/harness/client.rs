//! Clients in this process: [`raw`] bytes, [`http`] with hyper, bare HTTP/2 [`frames`], [`websocket`] and [`grpc`]
//! with libraries, and [`load`] that counts what fails.

pub mod frames;
pub mod grpc;
pub mod http;
pub mod load;
pub mod raw;
pub mod websocket;

use std::{net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::scenario::soon;

/// A connection's two directions, whatever is below.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Connects, and turns Nagle's algorithm off: a scenario's segments leave as they are written.
///
/// # Panics
/// When nobody listens there.
pub async fn tcp(address: SocketAddr) -> TcpStream {
    let stream = soon("a connection", TcpStream::connect(address)).await;
    let stream = stream.unwrap_or_else(|error| panic!("{address} cannot be connected to: {error}"));
    drop(stream.set_nodelay(true));
    stream
}

/// Connects and shakes hands, asking for `name`.
///
/// # Errors
/// What the handshake failed with.
///
/// # Panics
/// When nobody listens there, or the handshake hangs.
pub async fn tls(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).expect("a name that certificates can have");
    let connector = TlsConnector::from(config.clone());
    soon("the handshake", connector.connect(name, tcp(address).await)).await
}
