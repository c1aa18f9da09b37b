//! A request body on its way to a backend: counted, bounded, and watched for silence.

use std::{
    cell::{Cell, OnceCell, RefCell},
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::{
    alarm::Alarm,
    error::{Error, Kind},
    http::{guard::BadBody, hop},
    plugins::{Chain, Passing},
    tape::Tape,
};

/// What the exchange knows of its request body while something else sends it.
#[derive(Debug)]
pub struct Upload {
    received: Cell<u64>,
    finished: Cell<bool>,
    /// When bytes last moved; `None` before the first.
    progress: Cell<Option<Instant>>,
    responded: Cell<bool>,
    /// Whether the backend wants more and the client has not sent it.
    waiting: Cell<bool>,
    failed: RefCell<Option<Error>>,
    /// The client's side. Here and not with whom it is sent by, so that it can be taken from them.
    incoming: RefCell<Option<Incoming>>,
    /// Takes the body down, where somebody records.
    tape: OnceCell<Rc<Tape>>,
    limit: u64,
    silence: Duration,
}

impl Upload {
    /// A body of at most `limit` bytes, in which the client may be silent for `silence` until the response begins. `empty`: there is none.
    pub fn new(limit: u64, silence: Duration, empty: bool) -> Rc<Self> {
        Rc::new(Self {
            received: Cell::new(0),
            finished: Cell::new(empty),
            progress: Cell::new(None),
            responded: Cell::new(false),
            waiting: Cell::new(false),
            failed: RefCell::new(None),
            incoming: RefCell::new(None),
            tape: OnceCell::new(),
            limit,
            silence,
        })
    }

    /// Takes the body down on `tape`.
    pub fn record_on(&self, tape: Rc<Tape>) {
        let _ = self.tape.set(tape);
    }

    /// Body bytes received so far.
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// Whether the end was seen (or there is no body).
    pub fn is_finished(&self) -> bool {
        self.finished.get()
    }

    fn finish(&self) {
        self.finished.set(true);
        if let Some(tape) = self.tape.get() {
            tape.request_end();
        }
    }

    /// When bytes last moved.
    pub fn progress(&self) -> Option<Instant> {
        self.progress.get()
    }

    /// Whether it is the client that is being waited for: then the backend is not slow.
    pub fn is_waiting(&self) -> bool {
        self.waiting.get()
    }

    /// The response has begun: silence is now measured over both directions, by the response's own deadline.
    pub fn responded(&self) {
        self.responded.set(true);
    }

    /// The exchange is over before its body: nobody reads it any more. hyper waits for a body that somebody still holds, and the
    /// connection to a backend that reads nothing would hold it for ever.
    pub fn abandon(&self) {
        self.incoming.borrow_mut().take();
    }

    /// What was wrong with the body, if it was the client's doing, or a plugin's, that sending failed.
    pub fn take_failure(&self) -> Option<Error> {
        self.failed.borrow_mut().take()
    }

    /// The same for whoever asks before sending has failed.
    pub fn failure(&self) -> Error {
        let abandoned = || Error::client(Kind::HttpRequestError, 400, "the request body is not read any more");
        self.failed.borrow().clone().unwrap_or_else(abandoned)
    }
}

/// The body given to hyper's client.
pub enum RequestBody {
    /// None.
    Empty,
    /// All there; `None` once taken.
    Whole(Option<Bytes>),
    /// Streamed from the client.
    Stream(Box<Stream>),
    /// The same, through plugins.
    Passing(Box<Passing>, Rc<Chain>, Rc<Upload>),
}

/// A body being streamed.
#[derive(Debug)]
pub struct Stream {
    upload: Rc<Upload>,
    alarm: Alarm,
}

impl RequestBody {
    /// Streams `incoming`, keeping `upload` informed, unless `upload` says that there is nothing to stream.
    pub fn of(incoming: Incoming, upload: &Rc<Upload>) -> Self {
        if upload.is_finished() { Self::Empty } else { Self::Stream(Stream::new(incoming, upload.clone())) }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Whole(_) => "Whole",
            Self::Stream(_) => "Stream",
            Self::Passing(..) => "Passing",
        })
    }
}

/// Sending stopped because of the client; the reason is in the [`Upload`].
#[derive(Debug, thiserror::Error)]
#[error("the request body was cut off")]
pub struct CutOff;

impl Body for RequestBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(data) => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Self::Stream(stream) => stream.poll_frame(cx),
            Self::Passing(passing, chain, upload) => {
                let polled = passing.poll_frame(cx);
                // Whether it is the client or a plugin that is waited for: not the backend.
                upload.waiting.set(polled.is_pending());
                polled.map_err(|error| {
                    upload.failed.borrow_mut().get_or_insert(error);
                    if upload.responded.get() {
                        chain.cut_off();
                    }
                    CutOff
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(data) => data.is_none(),
            Self::Stream(stream) => stream.is_end_stream(),
            Self::Passing(passing, ..) => passing.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(data) => SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
            Self::Stream(stream) => {
                stream.upload.incoming.borrow().as_ref().map_or_else(SizeHint::default, Body::size_hint)
            }
            Self::Passing(passing, ..) => passing.size_hint(),
        }
    }
}

impl Stream {
    /// Streams `incoming`, keeping `upload` informed.
    pub fn new(incoming: Incoming, upload: Rc<Upload>) -> Box<Self> {
        *upload.incoming.borrow_mut() = Some(incoming);
        Box::new(Self { upload, alarm: Alarm::new() })
    }

    /// Whether nothing comes any more.
    pub fn is_end_stream(&self) -> bool {
        self.upload.incoming.borrow().as_ref().is_some_and(Body::is_end_stream)
    }

    /// The next frame, as [`Body::poll_frame`].
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let upload = &self.upload;
        let (polled, ended) = match &mut *upload.incoming.borrow_mut() {
            None => return Poll::Ready(Some(Err(CutOff))),
            Some(incoming) => {
                let polled = Pin::new(&mut *incoming).poll_frame(cx);
                (polled, incoming.is_end_stream())
            }
        };
        upload.waiting.set(polled.is_pending());
        match polled {
            Poll::Ready(Some(Ok(mut frame))) => {
                let now = Instant::now();
                upload.progress.set(Some(now));
                self.alarm.set(None);
                if let Some(data) = frame.data_ref() {
                    let received = upload.received.get() + data.len() as u64;
                    upload.received.set(received);
                    if received > upload.limit {
                        return self.fail(too_large(self.upload.limit));
                    }
                }
                if let Some(trailers) = frame.trailers_mut() {
                    hop::clean_request_trailers(trailers);
                }
                if let Some(tape) = upload.tape.get() {
                    tape.request_frame(&frame);
                }
                if ended {
                    upload.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let detail = match BadBody::find(&error) {
                    Some(bad) => bad.to_string(),
                    None => format!("the request body could not be read: {}", cause(&error)),
                };
                self.fail(Error::client(Kind::HttpRequestError, 400, detail))
            }
            Poll::Ready(None) => {
                upload.finish();
                Poll::Ready(None)
            }
            Poll::Pending if upload.responded.get() => Poll::Pending,
            Poll::Pending => {
                let since = upload.progress.get().unwrap_or_else(|| {
                    let now = Instant::now();
                    upload.progress.set(Some(now));
                    now
                });
                self.alarm.set(since.checked_add(upload.silence));
                match self.alarm.poll(cx) {
                    Poll::Ready(()) => {
                        let detail =
                            format!("no byte of the request body for {:?} (limits.body_idle_time)", upload.silence);
                        self.fail(Error::client(Kind::HttpRequestError, 408, detail))
                    }
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn fail(&self, error: Error) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        self.upload.failed.borrow_mut().get_or_insert(error);
        Poll::Ready(Some(Err(CutOff)))
    }
}

/// The error for a body over the limit.
pub fn too_large(limit: u64) -> Error {
    let limit = portcullis_config::units::Size(limit);
    Error::client(Kind::HttpRequestError, 413, format!("the request body is larger than {limit} (limits.body_size)"))
}

/// The innermost message of an error chain: hyper's own say "error reading a body from connection".
pub fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
