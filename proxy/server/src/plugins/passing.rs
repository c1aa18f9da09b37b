//! A body that goes through plugins while it is being sent.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::{Chain, Pipe, Side, Stop, pipe::Piece};
use crate::{
    error::{Error, Kind},
    http::hop,
};

/// What is left of a [`Pipe`] when the head has gone.
pub struct Passing {
    chain: Rc<Chain>,
    side: Side,
    state: State,
}

enum State {
    /// Nobody is asked.
    Idle(Box<Pipe>),
    /// A piece is on its way.
    Busy(Pull),
    /// All of it is there.
    Whole(Option<Bytes>, Option<HeaderMap>),
    /// Nothing is left but these.
    Trailers(HeaderMap),
    Done,
}

/// The pipe goes along, and comes back with the piece.
type Pull = Pin<Box<dyn Future<Output = (Box<Pipe>, Result<Piece, Stop>)>>>;

impl Passing {
    /// What `pipe` has not given yet.
    pub fn new(chain: Rc<Chain>, side: Side, pipe: Pipe) -> Self {
        let state = match pipe.into_whole() {
            Ok((data, trailers)) => match (data.is_empty(), trailers) {
                (true, None) => State::Done,
                (true, Some(trailers)) => State::Trailers(trailers),
                (false, trailers) => State::Whole(Some(data), trailers),
            },
            Err(pipe) => State::Idle(Box::new(pipe)),
        };
        Self { chain, side, state }
    }

    /// Its length, where that is known and nothing comes after it.
    pub fn exact(&self) -> Option<u64> {
        match &self.state {
            State::Whole(data, None) => Some(data.as_ref().map_or(0, |data| data.len() as u64)),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// As [`http_body::Body::is_end_stream`].
    pub fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// As [`http_body::Body::size_hint`].
    pub fn size_hint(&self) -> SizeHint {
        self.exact().map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    /// As [`http_body::Body::poll_frame`]. Where a plugin ends the exchange, the error says so, and why is with the chain.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Trailers(mut trailers) => {
                    // A plugin may have written them. Those of a response are looked at when they leave.
                    if self.side == Side::Request {
                        hop::clean_request_trailers(&mut trailers);
                    }
                    return Poll::Ready((!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers))));
                }
                State::Whole(data, trailers) => {
                    self.ended(trailers);
                    if let Some(data) = data {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                State::Idle(mut pipe) => {
                    self.state = State::Busy(Box::pin(async move {
                        let piece = pipe.next().await;
                        (pipe, piece)
                    }));
                }
                State::Busy(mut pull) => match pull.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.state = State::Busy(pull);
                        return Poll::Pending;
                    }
                    Poll::Ready((pipe, Ok(Piece { data, end }))) => {
                        match end {
                            None => self.state = State::Idle(pipe),
                            Some(trailers) => self.ended(trailers),
                        }
                        if !data.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                    }
                    Poll::Ready((_, Err(stop))) => {
                        let error = self.chain.explain(&stop);
                        self.chain.stop(stop);
                        return Poll::Ready(Some(Err(error)));
                    }
                },
            }
        }
    }

    fn ended(&mut self, trailers: Option<HeaderMap>) {
        self.state = trailers.map_or(State::Done, State::Trailers);
    }
}

impl Chain {
    /// What `stop` means where nothing can be answered any more.
    pub fn explain(&self, stop: &Stop) -> Error {
        let (by, what) = match stop {
            Stop::Failed(error) => return error.clone(),
            Stop::Respond { by, .. } => (by, "answered"),
            Stop::Close { by } => (by, "closed"),
        };
        let mut error = Error::plugin(
            Kind::HttpRequestDenied,
            format!("plugin {} {what} in the middle of the exchange", self.name(*by)),
        );
        error.status = Kind::HttpRequestDenied.status();
        error
    }
}

impl fmt::Debug for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passing").field("side", &self.side).finish_non_exhaustive()
    }
}
