//! Recording exchanges for tests of plugins: `portcullis plugin record`.
//!
//! One recording at a time, asked for over the control socket and over when it has enough, when its time is up, or when whoever asked is gone.
//! While nobody records, an exchange pays one load of a word that is never written.

use std::{
    cell::RefCell,
    fmt,
    pin::Pin,
    rc::Rc,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, request::Parts};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// A recording that goes on, if one does.
#[derive(Default)]
pub struct Recorder {
    is_on: AtomicBool,
    session: Mutex<Option<Session>>,
}

struct Session {
    /// Only exchanges of this route.
    route: Option<String>,
    /// Exchanges still to be begun.
    left: usize,
    body_max: usize,
    finished: mpsc::UnboundedSender<Value>,
}

/// Ends the recording when dropped.
pub struct Recording<'a> {
    recorder: &'a Recorder,
    /// Exchanges that have ended; `count` of them at most, so that the channel needs no other bound.
    pub finished: mpsc::UnboundedReceiver<Value>,
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        self.recorder.is_on.store(false, Relaxed);
        *self.recorder.session() = None;
    }
}

impl Recorder {
    /// Begins to record the next `count` exchanges, of `route` or of all, with at most `body_max` bytes of each body. `None`: somebody else
    /// records.
    pub fn begin(&self, route: Option<String>, count: usize, body_max: usize) -> Option<Recording<'_>> {
        let mut session = self.session();
        if session.is_some() {
            return None;
        }
        let (finished, receiver) = mpsc::unbounded_channel();
        *session = Some(Session { route, left: count, body_max, finished });
        self.is_on.store(true, Relaxed);
        Some(Recording { recorder: self, finished: receiver })
    }

    /// A tape for an exchange of `route`, if it is to be recorded.
    pub fn tape(&self, route: &str, parts: &Parts, uri: &Uri) -> Option<Tape> {
        if !self.is_on.load(Relaxed) {
            return None;
        }
        let mut session = self.session();
        let session = session
            .as_mut()
            .filter(|session| session.left > 0 && session.route.as_deref().is_none_or(|wanted| wanted == route))?;
        session.left -= 1;
        Some(Tape {
            request: RefCell::new(Side::new(json!({
                "method": parts.method.as_str(),
                "target": uri.path_and_query().map_or("/", |target| target.as_str()),
                "authority": uri.authority().map(|authority| authority.as_str()),
                "version": format!("{:?}", parts.version),
                "fields": fields(&parts.headers),
            }))),
            response: RefCell::new(Side::new(Value::Null)),
            body_max: session.body_max,
            finished: session.finished.clone(),
        })
    }

    fn session(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One exchange on its way into a recording.
pub struct Tape {
    request: RefCell<Side>,
    response: RefCell<Side>,
    body_max: usize,
    finished: mpsc::UnboundedSender<Value>,
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape").finish_non_exhaustive()
    }
}

struct Side {
    head: Value,
    body: Vec<u8>,
    trailers: Option<Value>,
    /// It was longer than is recorded.
    is_longer: bool,
    is_whole: bool,
}

impl Side {
    fn new(head: Value) -> Self {
        Self { head, body: Vec::new(), trailers: None, is_longer: false, is_whole: false }
    }

    fn frame(&mut self, frame: &Frame<Bytes>, body_max: usize) {
        if let Some(data) = frame.data_ref() {
            let fits = data.len().min(body_max - self.body.len());
            self.body.extend_from_slice(&data[..fits]);
            self.is_longer |= fits < data.len();
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(fields(trailers));
        }
    }

    fn said(&mut self) -> Value {
        let mut said = self.head.take();
        if !said.is_null() {
            said["body"] = Value::from(latin(&self.body));
            said["trailers"] = self.trailers.take().unwrap_or_else(|| json!([]));
            said["whole"] = Value::from(self.is_whole && !self.is_longer);
        }
        said
    }
}

impl Tape {
    /// A piece of the request body, as the client sent it.
    pub fn request_frame(&self, frame: &Frame<Bytes>) {
        self.request.borrow_mut().frame(frame, self.body_max);
    }

    /// The request body has ended, or there is none.
    pub fn request_end(&self) {
        self.request.borrow_mut().is_whole = true;
    }

    /// The response's head, as plugins will see it. `body`: where all of it is there.
    pub fn response_head(&self, status: StatusCode, headers: &HeaderMap, body: Option<&Bytes>) {
        let mut side = self.response.borrow_mut();
        *side = Side::new(json!({ "status": status.as_u16(), "fields": fields(headers) }));
        if let Some(body) = body {
            side.frame(&Frame::data(body.clone()), self.body_max);
            side.is_whole = true;
        }
    }

    /// The response has no body, or it has ended.
    pub fn response_end(&self) {
        self.response.borrow_mut().is_whole = true;
    }

    /// The exchange is over: it is handed to whoever records.
    pub fn finish(&self, record: &crate::record::Record) {
        let tls = record
            .connection
            .tls
            .as_ref()
            .map(|tls| json!({ "version": tls.version, "sni": tls.sni, "alpn": tls.alpn, "ja4": tls.ja4 }));
        let taken = json!({
            "id": record.id,
            "route": record.route,
            "listener": record.connection.listener,
            "client": record.client.to_string(),
            "tls": tls,
            "request": self.request.borrow_mut().said(),
            "response": self.response.borrow_mut().said(),
        });
        // Whoever asked may be gone.
        let _ = self.finished.send(taken);
    }
}

/// A backend's response body, taken down as it is read where somebody records.
pub struct Taped {
    /// The body.
    pub incoming: Incoming,
    /// Mostly none.
    pub tape: Option<Rc<Tape>>,
}

impl Body for Taped {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if let Some(tape) = &self.tape {
            match &polled {
                Poll::Ready(Some(Ok(frame))) => tape.response.borrow_mut().frame(frame, tape.body_max),
                Poll::Ready(None) => tape.response.borrow_mut().is_whole = true,
                _ => {}
            }
            if self.incoming.is_end_stream() {
                tape.response.borrow_mut().is_whole = true;
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

fn fields(headers: &HeaderMap) -> Value {
    headers.iter().map(|(name, value)| json!([name.as_str(), latin(value.as_bytes())])).collect()
}

/// Each byte as the character of the same number.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
