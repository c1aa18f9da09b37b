//! gRPC.

use std::{net::SocketAddr, sync::Arc};

use futures_util::Stream;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::{
    Request, Response, Status,
    client::Grpc,
    codegen::{BoxFuture, Context, Poll, Service, http::Uri, http::uri::PathAndQuery},
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use super::tls;
use crate::origin::grpc::Note;

/// A client of `portcullis.Notes`.
#[derive(Debug)]
pub struct Notes {
    grpc: Grpc<Channel>,
}

impl Notes {
    /// Connects with TLS, asking for `name`.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn tls(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{name}")).expect("a name makes a URI");
        let connector = Connector { address, name: name.to_owned(), config: config.clone() };
        let channel = endpoint.connect_with_connector(connector).await.expect("the channel opens");
        Self { grpc: Grpc::new(channel) }
    }

    /// Connects without TLS.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn plain(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URI");
        Self { grpc: Grpc::new(endpoint.connect().await.expect("the channel opens")) }
    }

    /// One note there and one back.
    ///
    /// # Errors
    /// The status that the service answered with.
    pub async fn say(&mut self, text: &str, number: u32) -> Result<Response<Note>, Status> {
        self.ready().await?;
        let request = Request::new(Note { text: text.into(), number });
        self.grpc.unary(request, path("Say"), ProstCodec::<Note, Note>::default()).await
    }

    /// One note there and many back, with the status that came after them.
    ///
    /// # Errors
    /// The status, where no stream came.
    pub async fn count(&mut self, text: &str, number: u32) -> Result<(Vec<Note>, Result<(), Status>), Status> {
        self.ready().await?;
        let request = Request::new(Note { text: text.into(), number });
        let codec = ProstCodec::<Note, Note>::default();
        let mut stream = self.grpc.server_streaming(request, path("Count"), codec).await?.into_inner();
        let mut notes = Vec::new();
        loop {
            match stream.message().await {
                Ok(Some(note)) => notes.push(note),
                Ok(None) => return Ok((notes, Ok(()))),
                Err(status) => return Ok((notes, Err(status))),
            }
        }
    }

    /// Notes both ways at once.
    ///
    /// # Errors
    /// The status that the service answered with.
    pub async fn talk(
        &mut self,
        notes: futures_util::stream::BoxStream<'static, Note>,
    ) -> Result<impl Stream<Item = Result<Note, Status>> + use<>, Status> {
        self.ready().await?;
        let codec = ProstCodec::<Note, Note>::default();
        Ok(self.grpc.streaming(Request::new(notes), path("Talk"), codec).await?.into_inner())
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))
    }
}

fn path(method: &str) -> PathAndQuery {
    PathAndQuery::try_from(format!("/portcullis.Notes/{method}")).expect("methods are words")
}

/// Connects to the proxy whatever the URI says.
#[derive(Debug)]
struct Connector {
    address: SocketAddr,
    name: String,
    config: Arc<ClientConfig>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (address, name, config) = (self.address, self.name.clone(), self.config.clone());
        Box::pin(async move { Ok(TokioIo::new(tls(address, &name, &config).await?)) })
    }
}
