//! One connection to an endpoint: TCP (with Happy Eyeballs), PROXY header, TLS.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use portcullis_config::backend::Scheme;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::{Backend, Endpoint};
use crate::{
    alarm::{Alarm, within},
    error::{Error, Kind, Retry},
    net::{proxy_protocol, tcp::Tcp},
    tls::client::{self, Offer},
};

/// How long the first address gets before one of the other family is tried beside it (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A connection to an endpoint, ready for its first byte.
#[derive(Debug)]
pub struct Connected {
    /// The bytes.
    pub wire: Wire,
    /// Whether HTTP/2 is spoken (by scheme or ALPN).
    pub h2: bool,
    /// The endpoint that was reached: the chosen one or its alternative.
    pub endpoint: Arc<Endpoint>,
}

/// Whose connection it is, for the PROXY header.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The client's address.
    pub address: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
}

/// Bytes to and from an endpoint.
#[derive(Debug)]
pub enum Wire {
    /// TCP.
    Plain(Tcp),
    /// TLS.
    Tls(Box<TlsStream<Tcp>>),
}

/// Connects to `endpoint`, or to `alternative` when that is faster, within the backend's `time.connect`. `http1` asks for a connection
/// that speaks HTTP/1.1 whatever ALPN might offer (upgrades need it).
///
/// Dropping the future closes what was opened.
///
/// # Errors
/// Everything that can go wrong before a request is sent, all safe to try again elsewhere.
pub async fn connect(
    backend: &Backend,
    endpoint: &Arc<Endpoint>,
    alternative: Option<&Arc<Endpoint>>,
    client: Client,
    http1: bool,
) -> Result<Connected, Error> {
    let limit = backend.config.time.connect;
    let work = async {
        let (mut stream, endpoint) = match alternative {
            None => (tcp(endpoint).await?, endpoint),
            Some(alternative) => eyeballs(endpoint, alternative).await?,
        };
        if let Some(version) = backend.config.proxy_protocol {
            let header = proxy_protocol::encode(version, client.address, client.local);
            stream.write_all(&header).await.map_err(|error| refused(endpoint, &error))?;
        }
        let offer = match endpoint.scheme {
            Scheme::Http | Scheme::Tcp => return Ok(plain(stream, false, endpoint)),
            Scheme::H2c => return Ok(plain(stream, true, endpoint)),
            Scheme::Tls => Offer::Bytes,
            Scheme::Https if http1 => Offer::Http1,
            Scheme::Https => Offer::Http,
        };
        let deadline = tokio::time::Instant::now() + limit;
        let stream = backend.tls.connect(Tcp(stream), &endpoint.host, offer, deadline).await?;
        let h2 = client::is_h2(&stream);
        Ok(Connected { wire: Wire::Tls(Box::new(stream)), h2, endpoint: endpoint.clone() })
    };
    within(limit, work).await.unwrap_or_else(|| {
        Err(Error::backend(
            Kind::ConnectionTimeout,
            Retry::Unsent,
            format!(
                "no connection to {} within {limit:?} (time.connect); a firewall that drops packets looks like this",
                endpoint.address
            ),
        ))
    })
}

fn plain(stream: TcpStream, h2: bool, endpoint: &Arc<Endpoint>) -> Connected {
    Connected { wire: Wire::Plain(Tcp(stream)), h2, endpoint: endpoint.clone() }
}

/// The first of two that connects; the second starts a little later, or at once when the first fails.
async fn eyeballs<'a>(
    first: &'a Arc<Endpoint>,
    second: &'a Arc<Endpoint>,
) -> Result<(TcpStream, &'a Arc<Endpoint>), Error> {
    let mut one = pin!(tcp(first));
    let mut two = pin!(tcp(second));
    let mut delay = Alarm::new();
    delay.set_after(ATTEMPT_DELAY);
    let mut failed: [Option<Error>; 2] = [None, None];
    let mut started = false;
    std::future::poll_fn(|cx| {
        if failed[0].is_none()
            && let Poll::Ready(result) = one.as_mut().poll(cx)
        {
            match result {
                Ok(stream) => return Poll::Ready(Ok((stream, first))),
                Err(error) => failed[0] = Some(error),
            }
        }
        started = started || failed[0].is_some() || delay.poll(cx).is_ready();
        if started
            && failed[1].is_none()
            && let Poll::Ready(result) = two.as_mut().poll(cx)
        {
            match result {
                Ok(stream) => return Poll::Ready(Ok((stream, second))),
                Err(error) => failed[1] = Some(error),
            }
        }
        if failed[1].is_some()
            && let Some(error) = failed[0].take()
        {
            return Poll::Ready(Err(error));
        }
        Poll::Pending
    })
    .await
}

async fn tcp(endpoint: &Endpoint) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect(endpoint.address).await.map_err(|error| refused(endpoint, &error))?;
    // Heads and small bodies must not wait for an acknowledgement; a failure to set it only costs latency.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// What an error before the first byte means.
fn refused(endpoint: &Endpoint, error: &io::Error) -> Error {
    let address = endpoint.address;
    let (kind, detail) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            Kind::ConnectionRefused,
            format!("{address} refused the connection: nothing listens on port {} there", address.port()),
        ),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            (Kind::DestinationIpUnroutable, format!("no route to {address}: {error}"))
        }
        io::ErrorKind::TimedOut => (Kind::ConnectionTimeout, format!("{address} did not answer")),
        io::ErrorKind::AddrNotAvailable => (
            Kind::ConnectionLimitReached,
            format!("no local port is left for connections to {address} (net.ipv4.ip_local_port_range)"),
        ),
        _ if matches!(error.raw_os_error(), Some(code) if code == rustix::io::Errno::MFILE.raw_os_error()) => {
            (Kind::ConnectionLimitReached, "the process has no file descriptor left (ulimit -n)".to_owned())
        }
        _ => (Kind::ConnectionTerminated, format!("connecting to {address} failed: {error}")),
    };
    Error::backend(kind, Retry::Unsent, detail)
}

macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Wire::Plain($stream) => $call,
            Wire::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
