//! A gRPC service, written by hand: no compiler for its interface is needed.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt};
use tokio::task::JoinHandle;
use tonic::{
    Request, Response, Status, Streaming,
    codegen::{BoxFuture, Context, Poll, Service, http},
    server::{Grpc, NamedService, ServerStreamingService, StreamingService, UnaryService},
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

use super::listen;
use crate::{port::Port, scenario::runtime};

/// What goes over the wire, both ways.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Note {
    /// What it says. The service refuses `"fail"`.
    #[prost(string, tag = "1")]
    pub text: String,
    /// How many are wanted, or which one it is.
    #[prost(uint32, tag = "2")]
    pub number: u32,
}

/// A server with the service `portcullis.Notes`. Ends when dropped.
#[derive(Debug)]
pub struct GrpcOrigin {
    address: SocketAddr,
    serving: JoinHandle<()>,
    _port: Port,
}

impl GrpcOrigin {
    /// Starts it, HTTP/2 with prior knowledge.
    pub async fn start() -> Self {
        let port = Port::reserve();
        let incoming = TcpIncoming::from(listen(port.address()).await);
        let serving = runtime().spawn(async move {
            drop(Server::builder().add_service(Notes).serve_with_incoming(incoming).await);
        });
        Self { address: port.address(), serving, _port: port }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for GrpcOrigin {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// `portcullis.Notes`: `Say` (unary), `Count` (server streaming), `Talk` (both ways).
#[derive(Clone, Debug)]
struct Notes;

impl NamedService for Notes {
    const NAME: &'static str = "portcullis.Notes";
}

impl Service<http::Request<tonic::body::Body>> for Notes {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Note, Note>::default());
            Ok(match request.uri().path() {
                "/portcullis.Notes/Say" => grpc.unary(Say, request).await,
                "/portcullis.Notes/Count" => grpc.server_streaming(Count, request).await,
                "/portcullis.Notes/Talk" => grpc.streaming(Talk, request).await,
                other => Status::unimplemented(other.to_owned()).into_http(),
            })
        })
    }
}

struct Say;

impl UnaryService<Note> for Say {
    type Response = Note;
    type Future = BoxFuture<Response<Note>, Status>;

    fn call(&mut self, request: Request<Note>) -> Self::Future {
        Box::pin(async move {
            let note = request.into_inner();
            if note.text == "fail" {
                return Err(Status::failed_precondition("as you wish"));
            }
            Ok(Response::new(Note { text: format!("you said {}", note.text), number: note.number + 1 }))
        })
    }
}

struct Count;

impl ServerStreamingService<Note> for Count {
    type Response = Note;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Note, Status>> + Send>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    /// Counts, slowly enough that each note travels alone; `"fail"` ends with an error in the trailers.
    fn call(&mut self, request: Request<Note>) -> Self::Future {
        Box::pin(async move {
            let note = request.into_inner();
            let fails = note.text == "fail";
            let notes = futures_util::stream::iter(0..note.number).then(|number| async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok(Note { text: "counted".into(), number })
            });
            let end = futures_util::stream::iter(fails.then(|| Err(Status::data_loss("the end is lost"))));
            Ok(Response::new(Box::pin(notes.chain(end)) as Self::ResponseStream))
        })
    }
}

struct Talk;

impl StreamingService<Note> for Talk {
    type Response = Note;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Note, Status>> + Send>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<Note>>) -> Self::Future {
        Box::pin(async move {
            let answers = request.into_inner().map(|note| note.map(|note| Note { number: note.number * 2, ..note }));
            Ok(Response::new(Box::pin(answers) as Self::ResponseStream))
        })
    }
}
