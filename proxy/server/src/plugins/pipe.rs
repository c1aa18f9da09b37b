//! A body on its way through plugins, pulled piece by piece.

use std::{collections::VecDeque, future::poll_fn, pin::Pin, rc::Rc, task::Poll, time::Duration};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use portcullis_plugin::{AtLimit, BodyEnd, BodyMode, Declaration, Edits, Phase, Verdict};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{Chain, Stop};
use crate::{
    alarm::Alarm,
    error::{Error, Kind, Retry},
    http::hop,
    tape::Taped,
    upload::{self, Upload, cause},
};

/// What a plugin is shown of a streamed body at once.
const PIECE_MAX: usize = 64 << 10;

/// Which of the two bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request's.
    Request,
    /// The response's.
    Response,
}

/// Bytes of a body, and its end if it comes after them.
#[derive(Debug, Default)]
pub struct Piece {
    /// Any number of them.
    pub data: Bytes,
    /// The trailers, of which there may be none.
    pub end: Option<Option<HeaderMap>>,
}

/// Where a body comes from.
pub enum Source {
    /// From the client.
    Client(Box<upload::Stream>, Rc<Upload>),
    /// From a backend, which may be silent for some time.
    Backend {
        /// The body.
        incoming: Taped,
        /// For how long nothing may move in either direction.
        silence: Duration,
        /// The other direction.
        upload: Option<Rc<Upload>>,
        /// For both.
        alarm: Alarm,
    },
    /// From another pipe: what its last plugin held has been released.
    Pipe(Box<Pipe>),
    /// It is all there.
    Nothing,
}

/// A body: what is there already, then what the source gives; all of it through the stages.
pub struct Pipe {
    chain: Rc<Chain>,
    side: Side,
    front: VecDeque<Bytes>,
    /// The end, once it is known.
    last: Option<Option<HeaderMap>>,
    source: Source,
    stages: SmallVec<[usize; 2]>,
}

impl Pipe {
    /// A body that is still to come.
    pub fn new(chain: Rc<Chain>, side: Side, source: Source) -> Self {
        Self { chain, side, front: VecDeque::new(), last: None, source, stages: SmallVec::new() }
    }

    /// A body that is there.
    pub fn whole(chain: Rc<Chain>, side: Side, data: Bytes, trailers: Option<HeaderMap>) -> Self {
        let mut pipe = Self::new(chain, side, Source::Nothing);
        pipe.last = Some(trailers);
        pipe.put(data);
        pipe
    }

    /// The source, where nothing was done to it.
    ///
    /// # Errors
    /// The pipe as it is, where something was.
    #[expect(clippy::result_large_err, reason = "it is what was there, and goes on")]
    pub fn into_untouched(self) -> Result<Source, Self> {
        let untouched = self.front.is_empty() && self.stages.is_empty() && self.last.is_none();
        if untouched { Ok(self.source) } else { Err(self) }
    }

    /// All of it, if it is all there.
    ///
    /// # Errors
    /// The pipe as it is, where more is to come.
    #[expect(clippy::result_large_err, reason = "it is what was there, and goes on")]
    pub fn into_whole(mut self) -> Result<(Bytes, Option<HeaderMap>), Self> {
        if !matches!(self.source, Source::Nothing) || !self.stages.is_empty() {
            return Err(self);
        }
        Ok((self.join(), self.last.take().flatten()))
    }

    /// Shows the body to one more plugin, as it wants to see it. Gives what a plugin that holds it changes of the head.
    ///
    /// # Errors
    /// When the exchange ends here.
    pub async fn show(&mut self, at: usize) -> Result<Option<Box<Edits>>, Stop> {
        let Some(wants) = self.chain.wants(at) else { return Ok(None) };
        match self.mode(&wants) {
            BodyMode::None => Ok(None),
            BodyMode::Stream => {
                self.stages.push(at);
                if matches!(self.source, Source::Nothing) {
                    // It is all there: nothing is gained by doing it later, and the length will be known.
                    let piece = self.rest().await?;
                    self.stages.clear();
                    self.put(piece.data);
                    self.last = piece.end;
                }
                Ok(None)
            }
            BodyMode::Hold { limit, at_limit } => self.hold(at, limit, at_limit).await,
        }
    }

    /// The next piece, through all stages. After the end: empty ends.
    ///
    /// # Errors
    /// When the exchange ends here.
    pub async fn next(&mut self) -> Result<Piece, Stop> {
        let mut piece = match self.pull().await {
            Ok(piece) => piece,
            Err(stop) => {
                self.say_cut().await;
                return Err(stop);
            }
        };
        for index in 0..self.stages.len() {
            if piece.data.is_empty() && piece.end.is_none() {
                break;
            }
            piece = self.pass(self.stages[index], piece).await?;
        }
        Ok(piece)
    }

    /// Everything that is still to come, through all stages.
    async fn rest(&mut self) -> Result<Piece, Stop> {
        let mut data = Gathered::default();
        loop {
            let piece = self.next().await?;
            data.add(piece.data);
            if piece.end.is_some() {
                return Ok(Piece { data: data.take(), end: piece.end });
            }
        }
    }

    fn mode(&self, wants: &Declaration) -> BodyMode {
        if self.side == Side::Request { wants.request_body } else { wants.response_body }
    }

    async fn hold(&mut self, at: usize, limit: usize, at_limit: AtLimit) -> Result<Option<Box<Edits>>, Stop> {
        let mut data = Gathered::default();
        let end = loop {
            let piece = self.next().await?;
            data.add(piece.data);
            if data.length > limit {
                if at_limit == AtLimit::Refuse {
                    return Err(Stop::Failed(self.too_large(at, limit)));
                }
                break piece.end;
            }
            if piece.end.is_some() {
                break piece.end;
            }
        };
        let mut shown = data.take();
        let unseen = if shown.len() > limit { shown.split_off(limit) } else { Bytes::new() };
        let verdict = {
            let limit = (!unseen.is_empty()).then_some(BodyEnd::Limit);
            let complete = || BodyEnd::Complete(end.as_ref().and_then(Option::as_ref));
            self.ask(at, &shown, Some(limit.unwrap_or_else(complete))).await?
        };
        let (mut edits, mut last) = (None, end);
        match verdict {
            Verdict::Continue => {}
            Verdict::Edit(mut changes) => {
                if let Some(data) = changes.data.take() {
                    shown = data;
                }
                if let Some(trailers) = changes.trailers.take() {
                    last = Some(Some(trailers));
                }
                edits = Some(changes);
            }
            Verdict::Respond(response) => return Err(Stop::Respond { by: at, response }),
            Verdict::Close => return Err(Stop::Close { by: at }),
        }
        // What comes after this plugin goes through what was before it first, but not again.
        let source = match last {
            Some(_) => Source::Nothing,
            None => {
                let empty = Self::new(self.chain.clone(), self.side, Source::Nothing);
                Source::Pipe(Box::new(std::mem::replace(self, empty)))
            }
        };
        (self.source, self.last) = (source, last);
        self.stages.clear();
        self.front.clear();
        self.put(shown);
        self.put(unseen);
        Ok(edits)
    }

    /// One piece through one plugin that streams.
    async fn pass(&self, at: usize, piece: Piece) -> Result<Piece, Stop> {
        let Some(wants) = self.chain.wants(at) else { return Ok(piece) };
        // It may have taken its wish back since it was asked for it.
        if self.mode(&wants) == BodyMode::None {
            return Ok(piece);
        }
        let Piece { data, mut end } = piece;
        let mut out = Gathered::default();
        let mut from = 0;
        loop {
            let to = data.len().min(from + PIECE_MAX);
            let is_last = to == data.len();
            let part = data.slice(from..to);
            let shown = end.as_ref().filter(|_| is_last).map(|trailers| BodyEnd::Complete(trailers.as_ref()));
            match self.ask(at, &part, shown).await? {
                Verdict::Continue => out.add(part),
                Verdict::Edit(changes) => {
                    out.add(changes.data.unwrap_or(part));
                    if let Some(trailers) = changes.trailers {
                        end = Some(Some(trailers));
                    }
                }
                Verdict::Respond(response) => return Err(Stop::Respond { by: at, response }),
                Verdict::Close => return Err(Stop::Close { by: at }),
            }
            from = to;
            if is_last {
                return Ok(Piece { data: out.take(), end });
            }
        }
    }

    async fn ask(&self, at: usize, data: &[u8], end: Option<BodyEnd<'_>>) -> Result<Verdict, Stop> {
        let answer = match self.side {
            Side::Request => {
                self.chain.ask(at, Phase::RequestBody, async |run| run.request_body(data, end).await).await
            }
            Side::Response => {
                self.chain.ask(at, Phase::ResponseBody, async |run| run.response_body(data, end).await).await
            }
        };
        Ok(answer?)
    }

    /// Tells those that have seen a part that no more comes. What they answer is of no consequence.
    async fn say_cut(&self) {
        for &at in &self.stages {
            let _ = self.ask(at, &[], Some(BodyEnd::Cut)).await;
        }
    }

    async fn pull(&mut self) -> Result<Piece, Stop> {
        if let Some(data) = self.front.pop_front() {
            let is_last = self.front.is_empty() && matches!(self.source, Source::Nothing);
            let end = if is_last { Some(self.last.take().flatten()) } else { None };
            return Ok(Piece { data, end });
        }
        match &mut self.source {
            Source::Nothing => Ok(Piece { data: Bytes::new(), end: Some(self.last.take().flatten()) }),
            Source::Pipe(inner) => Box::pin(inner.next()).await,
            Source::Client(stream, upload) => {
                let frame = poll_fn(|cx| stream.poll_frame(cx)).await;
                let frame = frame.transpose().map_err(|upload::CutOff| Stop::Failed(upload.failure()))?;
                Ok(piece(frame, || stream.is_end_stream()))
            }
            Source::Backend { incoming, silence, upload, alarm } => {
                let mut waiting = None;
                let frame = poll_fn(|cx| {
                    if let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) {
                        return Poll::Ready(frame.transpose().map_err(|error| {
                            let detail = format!("the response ended before its end: {}", cause(&error));
                            Error::backend(Kind::HttpResponseIncomplete, Retry::Never, detail)
                        }));
                    }
                    // As in `download`: what the client still sends is life as well.
                    let waiting = *waiting.get_or_insert_with(Instant::now);
                    loop {
                        let moved = upload.as_ref().and_then(|upload| upload.progress());
                        let quiet = moved.map_or(waiting, |moved| moved.max(waiting)).checked_add(*silence);
                        alarm.set(quiet);
                        if alarm.poll(cx).is_pending() {
                            return Poll::Pending;
                        }
                        if moved == upload.as_ref().and_then(|upload| upload.progress()) {
                            let detail = format!("nothing was received for {silence:?} (time.idle)");
                            return Poll::Ready(Err(Error::backend(Kind::ConnectionReadTimeout, Retry::Never, detail)));
                        }
                    }
                })
                .await?;
                let mut piece = piece(frame, || incoming.is_end_stream());
                if let Some(Some(trailers)) = &mut piece.end {
                    hop::clean_response_trailers(trailers);
                }
                Ok(piece)
            }
        }
    }

    fn too_large(&self, at: usize, limit: usize) -> Error {
        let name = self.chain.name(at);
        let limit = portcullis_config::units::Size(limit as u64);
        match self.side {
            Side::Request => Error::client(
                Kind::HttpRequestError,
                413,
                format!("the request body is larger than the {limit} that plugin {name} holds"),
            ),
            Side::Response => {
                let detail = format!("the response is larger than the {limit} that plugin {name} holds");
                Error::backend(Kind::HttpResponseBodySize, Retry::Never, detail)
            }
        }
    }

    fn put(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.front.push_back(data);
        }
    }

    fn join(&mut self) -> Bytes {
        let mut all = Gathered::default();
        self.front.drain(..).for_each(|data| all.add(data));
        all.take()
    }
}

/// What a frame is to plugins. `is_end`: whether nothing comes after it, asked only for data.
fn piece(frame: Option<http_body::Frame<Bytes>>, is_end: impl FnOnce() -> bool) -> Piece {
    let Some(frame) = frame else { return Piece { data: Bytes::new(), end: Some(None) } };
    match frame.into_data() {
        Ok(data) => Piece { data, end: is_end().then_some(None) },
        Err(frame) => Piece { data: Bytes::new(), end: frame.into_trailers().ok().map(Some) },
    }
}

/// Pieces put together: one that is alone is not copied.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    all: BytesMut,
    length: usize,
}

impl Gathered {
    fn add(&mut self, data: Bytes) {
        self.length += data.len();
        if data.is_empty() {
            return;
        }
        if self.length == data.len() {
            self.first = data;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&data);
    }

    fn take(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_that_is_alone_is_not_copied() {
        let data = Bytes::from(vec![1, 2, 3]);
        let mut gathered = Gathered::default();
        gathered.add(Bytes::new());
        gathered.add(data.clone());
        gathered.add(Bytes::new());
        assert_eq!(gathered.take().as_ptr(), data.as_ptr());
    }

    #[test]
    fn pieces_are_put_together_in_order() {
        let mut gathered = Gathered::default();
        for piece in ["a", "", "bc", "def"] {
            gathered.add(Bytes::from_static(piece.as_bytes()));
        }
        assert_eq!(gathered.length, 6);
        assert_eq!(gathered.take(), "abcdef");
    }
}
