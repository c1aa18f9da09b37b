//! A response body on its way to the client: counted, watched for silence, and the owner of the exchange to its end.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::{
    alarm::Alarm,
    backend::pool::Lease,
    error::{Error, Kind, Retry},
    flight::Flight,
    http::hop,
    plugins::Passing,
    record::End,
    tape::Taped,
    upload::cause,
};

/// The body given to hyper's server.
pub enum ResponseBody {
    /// Made here; `None` once taken.
    Own(Option<Bytes>, Box<Flight>),
    /// Streamed from a backend.
    Stream(Rc<RefCell<Download>>),
    /// None; the record is somewhere else (with a tunnel).
    None,
}

/// Where a response body comes from.
pub enum Content {
    /// From a backend.
    Backend(Taped),
    /// The same, through plugins.
    Passing(Box<Passing>),
}

/// A body being streamed from a backend.
pub struct Download {
    /// `None` once it was cut off.
    incoming: Option<Content>,
    flight: Option<Flight>,
    /// Given back at the end, if the request had ended too.
    lease: Option<Lease>,
    silence: Duration,
    deadline: Option<Instant>,
    waiting: Option<Instant>,
    alarm: Alarm,
}

/// The response was cut off; hyper then ends the stream or the connection so that the client sees it.
#[derive(Debug, thiserror::Error)]
#[error("the response was cut off")]
pub struct CutOff;

impl ResponseBody {
    /// A body made here.
    pub fn own(body: Bytes, flight: Flight) -> Self {
        Self::Own((!body.is_empty()).then_some(body), Box::new(flight))
    }

    /// Streams `incoming`; the lease goes back when it ended well. `silence` bounds waits for the backend, `deadline` everything.
    pub fn stream(
        incoming: Content,
        flight: Flight,
        lease: Lease,
        silence: Duration,
        deadline: Option<Instant>,
    ) -> Self {
        // HTTP/1.0 knows no chunks.
        if flight.record.version == "HTTP/1.0"
            && incoming.size_hint().exact().is_none()
            && let Some(ending) = flight.ending()
        {
            ending.begins();
        }
        let mut download = Download {
            incoming: Some(incoming),
            flight: Some(flight),
            lease: Some(lease),
            silence,
            deadline,
            waiting: None,
            alarm: Alarm::new(),
        };
        if download.is_end_stream() {
            download.complete();
        }
        let sentence = download.flight.as_ref().map(|flight| {
            flight.watch_reader();
            flight.sentence.clone()
        });
        let download = Rc::new(RefCell::new(download));
        if let Some(sentence) = sentence {
            *sentence.download.borrow_mut() = Rc::downgrade(&download);
        }
        Self::Stream(download)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match self.get_mut() {
            Self::Own(body, flight) => {
                let Some(body) = body.take() else { return Poll::Ready(None) };
                flight.record.sent = body.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(body))))
            }
            Self::Stream(download) => download.borrow_mut().poll_frame(cx),
            Self::None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body, _) => body.is_none(),
            Self::Stream(download) => {
                let download = download.borrow();
                download.flight.is_none() && download.is_end_stream()
            }
            Self::None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body, _) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Self::Stream(download) => {
                download.borrow().incoming.as_ref().map_or_else(SizeHint::default, Content::size_hint)
            }
            Self::None => SizeHint::with_exact(0),
        }
    }
}

impl Content {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self {
            Self::Backend(incoming) => Pin::new(incoming).poll_frame(cx).map_err(|error| {
                let detail = format!("the response ended before its end: {}", cause(&error));
                Error::backend(Kind::HttpResponseIncomplete, Retry::Never, detail)
            }),
            Self::Passing(passing) => passing.poll_frame(cx),
        }
    }

    /// Whether nothing comes any more.
    pub fn is_end_stream(&self) -> bool {
        match self {
            Self::Backend(incoming) => incoming.is_end_stream(),
            Self::Passing(passing) => passing.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Backend(incoming) => incoming.size_hint(),
            Self::Passing(passing) => passing.size_hint(),
        }
    }
}

impl Download {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(Some(Err(CutOff))) };
        if let Some(flight) = &self.flight {
            flight.sentence.reader.asks();
        }
        match incoming.poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                self.waiting = None;
                if let Some(trailers) = frame.trailers_mut() {
                    hop::clean_response_trailers(trailers);
                }
                if let (Some(data), Some(flight)) = (frame.data_ref(), &mut self.flight) {
                    flight.record.sent += data.len() as u64;
                    flight.sentence.reader.got(data.len());
                }
                if self.is_end_stream() {
                    self.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.complete();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                // Sending both ways ends when either does.
                let upload = self.flight.as_ref().and_then(|flight| flight.upload.as_ref());
                if let Some(client) = upload.and_then(|upload| upload.take_failure()) {
                    return self.cut_off(client);
                }
                self.cut_off(error)
            }
            Poll::Pending => self.poll_deadlines(cx),
        }
    }

    fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let Some(flight) = &self.flight else { return Poll::Pending };
        if let Poll::Ready(end) = flight.sentence.poll(cx) {
            // It may be for what became of the request.
            let upload = flight.upload.as_ref().and_then(|upload| upload.take_failure());
            return self.cut_off(upload.unwrap_or_else(|| why(end)));
        }
        // Silence counts from when the backend was first waited for, not from its last byte: between the two it may
        // have been the client that did not read.
        let waiting = *self.waiting.get_or_insert_with(Instant::now);
        loop {
            // It is measured over both directions: a client that still uploads is a live exchange.
            let upload = flight.upload.as_ref().and_then(|upload| upload.progress());
            let quiet = (upload.map_or(waiting, |upload| upload.max(waiting))).checked_add(self.silence);
            // While a plugin has a piece it is not the backend that is silent; its pipe tells the two apart.
            let quiet = quiet.filter(|_| matches!(self.incoming, Some(Content::Backend(_))));
            let until = [quiet, self.deadline].into_iter().flatten().min();
            self.alarm.set(until);
            if self.alarm.poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                let detail = "the response took too long (time.total)";
                return self.cut_off(Error::backend(Kind::HttpResponseTimeout, Retry::Never, detail));
            }
            if upload == flight.upload.as_ref().and_then(|upload| upload.progress()) {
                let detail = format!("nothing was received for {:?} (time.idle)", self.silence);
                return self.cut_off(Error::backend(Kind::ConnectionReadTimeout, Retry::Never, detail));
            }
        }
    }

    /// Cuts the response off while nobody asks for more of it: the backend is let go at once, the client learns of it when it reads.
    pub fn stop(&mut self, end: End) {
        let Some(flight) = &self.flight else { return };
        if let Some(upload) = &flight.upload {
            upload.abandon();
        }
        let _ready = self.cut_off(why(end));
        self.incoming = None;
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_some_and(Content::is_end_stream)
    }

    /// The response is whole: the connection may serve others, and the record is closed.
    fn complete(&mut self) {
        let Some(mut flight) = self.flight.take() else { return };
        flight.record.end = End::Complete;
        if let Some(ending) = flight.ending() {
            ending.is_whole();
        }
        if let Some(lease) = &self.lease {
            lease.endpoint().health.whole();
        }
        if let Some(lease) = self.lease.take()
            && flight.upload.as_ref().is_none_or(|upload| upload.is_finished())
        {
            lease.give_back();
        }
    }

    fn cut_off(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if let (Some(lease), Some(flight)) = (self.lease.take(), &self.flight)
            && error.kind == Kind::HttpResponseIncomplete
            && let Some(backend) = flight.backend()
        {
            backend.broke_off(lease.endpoint(), &error);
        }
        if let Some(mut flight) = self.flight.take() {
            flight.record.end = End::Aborted;
            flight.fail(error);
        }
        Poll::Ready(Some(Err(CutOff)))
    }
}

/// Why an exchange was stopped from outside.
fn why(end: End) -> Error {
    match end {
        End::Drained => Error::proxy(Kind::ConnectionTerminated, "the drain deadline came (server.drain)"),
        End::ClientGone => Error::client(
            Kind::ConnectionWriteTimeout,
            0,
            "the client took nothing of the response (limits.body_idle_time)",
        ),
        _ => Error::proxy(Kind::HttpResponseTimeout, "the exchange took too long (limits.request_time)"),
    }
}
