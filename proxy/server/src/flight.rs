//! An exchange in the air: its record, its place among the open ones, and the one way it ends.
//!
//! A [`Flight`] is made when an exchange begins and moves with it, last into the response body. Dropping it is the
//! end of the exchange, whatever the reason: the record is completed, counted, logged and remembered, exactly once.

use std::{
    cell::{Cell, RefCell},
    ops::{Deref, DerefMut},
    rc::{Rc, Weak},
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use crate::{
    backend::{Backend, Endpoint},
    client_io::Ending,
    connection::ClientConnection,
    download::Download,
    error::{Error, Kind, Origin},
    http::guard::InFlight,
    lifeline::{Lifeline, Stage},
    plugins::{Chain, last_words},
    record::{End, Record},
    tape::Tape,
    upload::Upload,
    worker::{View, Worker},
};

/// Owns an exchange's record until it is logged.
pub struct Flight {
    /// What has happened so far.
    pub record: Recording,
    /// When it began.
    pub begun: Instant,
    /// What is known of the request body.
    pub upload: Option<Rc<Upload>>,
    /// Its route's plugins, if it has any.
    pub chain: Option<Rc<Chain>>,
    /// Takes the exchange down, where somebody records.
    pub tape: Option<Rc<Tape>>,
    /// Shared with the worker's tick, which ends exchanges that are past their time.
    pub sentence: Rc<Sentence>,
    /// The HTTP/1 guard's view of it.
    pub in_flight: Option<InFlight>,
    worker: Rc<Worker>,
    key: usize,
    endpoint: Option<Arc<Endpoint>>,
    connection: Option<Rc<ClientConnection>>,
}

/// Until when an exchange may go on, and the word that it must stop.
pub struct Sentence {
    /// The end of `request_time`; `None`: unbounded (tunnels).
    pub deadline: Cell<Option<Instant>>,
    /// The configuration it is served by.
    pub view: Rc<View>,
    /// Its route there, for drains.
    pub route: Cell<Option<usize>>,
    /// Set when the exchange must stop; says how it is to be recorded.
    pub ended: Cell<Option<End>>,
    /// Wakes whoever waits for the exchange.
    pub waker: RefCell<Option<Waker>>,
    /// The connection it came on: ended as the last resort.
    pub connection: Rc<Lifeline>,
    /// The response body once there is one: it is cut off where its reader does not ask for more of it.
    pub download: RefCell<Weak<RefCell<Download>>>,
    /// How the client takes the response.
    pub reader: Reader,
    asked: Cell<Option<Instant>>,
}

/// Whether the client takes the response, where its connection does not show it: on HTTP/2 a stream may stand still while others, or
/// pings, move. Written at each piece of a body, looked at by the worker's tick, so that no piece has to read a clock.
#[derive(Default)]
pub struct Reader {
    /// How long it may take nothing; `None`: not watched.
    limit: Cell<Option<Duration>>,
    /// Bytes of the piece that was given out last, unless the backend is being waited for.
    given: Cell<Option<usize>>,
    since: Cell<Option<Instant>>,
}

impl Reader {
    /// It asks for the next piece.
    pub fn asks(&self) {
        self.given.set(None);
        self.since.set(None);
    }

    /// It has got a piece of this many bytes.
    pub fn got(&self, bytes: usize) {
        self.given.set(Some(bytes));
    }

    /// Whether it has not asked for more since long ago, as seen by looks that come about once a second.
    fn is_stalled(&self, now: Instant) -> bool {
        /// A reader this slow takes its time with a large piece, and is none that stands still.
        const BYTES_PER_SECOND: usize = 8 << 10;
        let (Some(limit), Some(given)) = (self.limit.get(), self.given.get()) else { return false };
        let Some(since) = self.since.get() else {
            self.since.set(Some(now));
            return false;
        };
        now.saturating_duration_since(since) >= limit + Duration::from_secs((given / BYTES_PER_SECOND) as u64)
    }
}

/// How long the other exchanges of an HTTP/2 connection still have when it must end because of one.
const LAST_PATIENCE: Duration = Duration::from_secs(30);

impl Sentence {
    /// Asks the exchange to stop. The second time it is cut off. Not to be called while the list of open exchanges is borrowed.
    pub fn stop(&self, end: End) {
        if self.asked.get().is_some() {
            return self.cut_off(end);
        }
        self.ended.set(Some(end));
        self.asked.set(Some(Instant::now()));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Ends the exchange whether anybody listens or not: alone on its connection with that, otherwise without harm to the others as far as
    /// that can be. Not to be called while the list of open exchanges is borrowed.
    pub fn cut_off(&self, end: End) {
        self.ended.set(Some(end));
        let asked = self.asked.get().unwrap_or_else(Instant::now);
        self.asked.set(Some(asked));
        let alone = self.connection.open.get() <= 1;
        let download = self.download.borrow().upgrade();
        if let Some(download) = &download {
            download.borrow_mut().stop(end);
        }
        if alone || asked.elapsed() >= LAST_PATIENCE {
            self.connection.tell(Stage::End);
        } else if download.is_none() {
            self.connection.tell(Stage::Stop);
        }
    }

    /// Whether the exchange must stop; otherwise the task of `cx` is woken when it must.
    pub fn poll(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<End> {
        if let Some(end) = self.ended.get() {
            return std::task::Poll::Ready(end);
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        std::task::Poll::Pending
    }

    /// Waits for the word to stop.
    pub async fn stopped(&self) -> End {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }
}

impl Flight {
    /// The beginning of an exchange on `connection`. `in_flight` tells the HTTP/1 guard when it ends.
    pub fn begin(
        connection: Rc<ClientConnection>,
        view: Rc<View>,
        record: Box<Record>,
        begun: Instant,
        in_flight: Option<InFlight>,
    ) -> Self {
        let (worker, lifeline) = (connection.worker.clone(), connection.place.lifeline.clone());
        lifeline.open.set(lifeline.open.get() + 1);
        let mut flight = Self::begin_alone(worker, lifeline, view, record, begun);
        flight.connection = Some(connection);
        flight.in_flight = in_flight;
        flight
    }

    /// The beginning of an exchange that is its whole connection.
    pub fn begin_alone(
        worker: Rc<Worker>,
        lifeline: Rc<Lifeline>,
        view: Rc<View>,
        record: Box<Record>,
        begun: Instant,
    ) -> Self {
        worker.counters.exchanges.up();
        worker.counters.exchanges_open.up();
        let sentence = Rc::new(Sentence {
            deadline: Cell::new(None),
            view,
            route: Cell::new(None),
            ended: Cell::new(None),
            waker: RefCell::new(None),
            connection: lifeline,
            download: RefCell::default(),
            reader: Reader::default(),
            asked: Cell::new(None),
        });
        let key = worker.open.borrow_mut().insert(sentence.clone());
        Self {
            record: Recording(Some(record)),
            begun,
            upload: None,
            chain: None,
            tape: None,
            sentence,
            in_flight: None,
            worker,
            key,
            endpoint: None,
            connection: None,
        }
    }

    /// The worker that serves it.
    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// The exchange now counts as open at `endpoint` (and no longer at the one before).
    pub fn at(&mut self, endpoint: Option<Arc<Endpoint>>) {
        if let Some(old) = self.endpoint.take() {
            old.closed(self.worker.index);
        }
        if let Some(new) = &endpoint {
            new.opened(self.worker.index);
        }
        self.endpoint = endpoint;
    }

    /// Has the worker's tick see to it that the client takes the response. On HTTP/1 the connection itself does.
    pub fn watch_reader(&self) {
        if let Some(connection) = self.connection.as_ref().filter(|connection| connection.guard.is_none()) {
            self.sentence.reader.limit.set(Some(connection.listener.config.limits.body_idle_time));
        }
    }

    /// The backend it went to. Looked up: few ask, and keeping it would cost every exchange.
    pub fn backend(&self) -> Option<&Backend> {
        let name = self.record.backend.as_deref()?;
        let mut backends = self.sentence.view.backends.values();
        backends.find(|backend| *backend.name == *name).map(|backend| &**backend)
    }

    /// How the connection ends when it ends now; `None` when the exchange is the whole connection.
    pub fn ending(&self) -> Option<&Ending> {
        self.connection.as_ref().map(|connection| &*connection.ending)
    }

    /// Remembers what went wrong; the first error is the one that counts.
    pub fn fail(&mut self, error: Error) {
        match error.origin {
            Origin::Backend => self.worker.counters.backend_errors.up(),
            Origin::Plugin if error.kind == Kind::ProxyInternalError => self.worker.counters.plugin_refusals.up(),
            _ => {}
        }
        self.record.error.get_or_insert(error);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.at(None);
        if let Some(connection) = &self.connection {
            let open = &connection.place.lifeline.open;
            open.set(open.get() - 1);
            connection.idle_since.set(Instant::now());
        }
        let worker = &self.worker;
        worker.open.borrow_mut().remove(self.key);
        worker.counters.exchanges_open.down();
        if let Some(upload) = &self.upload {
            self.record.received += upload.received();
        }
        if let Some(end) = self.sentence.ended.get() {
            self.record.end = end;
            if end == End::Drained {
                worker.counters.drained.up();
            }
        }
        self.record.total = self.begun.elapsed();
        if let Some(mut record) = self.record.0.take() {
            if let Some(chain) = self.chain.take() {
                record.decided_by = chain.decided_by().cloned();
                if record.decided_by.is_some() {
                    worker.counters.plugin_decisions.up();
                }
                record.plugins = chain.parts();
                let view = &self.sentence.view;
                for (part, position) in record.plugins.iter().zip(chain.positions()) {
                    view.spent[position].add(worker.index, &part.costs);
                }
                last_words(worker, chain, &record, view);
            }
            if let Some(tape) = self.tape.take() {
                tape.finish(&record);
            }
            worker.finish(record);
        }
    }
}

/// The record of an exchange in the air; it leaves its flight only when that is dropped.
pub struct Recording(Option<Box<Record>>);

impl Deref for Recording {
    type Target = Record;

    fn deref(&self) -> &Record {
        self.0.as_ref().expect("a record is taken only by the drop of its flight")
    }
}

impl DerefMut for Recording {
    fn deref_mut(&mut self) -> &mut Record {
        self.0.as_mut().expect("a record is taken only by the drop of its flight")
    }
}

/// The exchanges that are open on a worker, for its tick.
#[derive(Default)]
pub struct Open {
    places: Vec<Option<Rc<Sentence>>>,
    free: Vec<usize>,
}

impl Open {
    fn insert(&mut self, sentence: Rc<Sentence>) -> usize {
        match self.free.pop() {
            Some(key) => {
                self.places[key] = Some(sentence);
                key
            }
            None => {
                self.places.push(Some(sentence));
                self.places.len() - 1
            }
        }
    }

    fn remove(&mut self, key: usize) {
        if self.places.get_mut(key).is_some_and(|place| place.take().is_some()) {
            self.free.push(key);
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Rc<Sentence>> {
        self.places.iter().flatten()
    }

    /// Those whose client takes nothing of the response.
    pub fn stalled(&self, now: Instant) -> Vec<Rc<Sentence>> {
        self.all().filter(|sentence| sentence.reader.is_stalled(now)).cloned().collect()
    }

    /// Those that must stop now: past their deadline, or on a route whose drain has ended.
    pub fn overdue(&self, now: Instant) -> Vec<(Rc<Sentence>, End)> {
        let overdue = |sentence: &Rc<Sentence>| {
            if sentence.deadline.get().is_some_and(|deadline| now >= deadline) {
                return Some((sentence.clone(), End::Aborted));
            }
            let drained = sentence.route.get().is_some_and(|route| sentence.view.routes[route].is_drained(now));
            drained.then(|| (sentence.clone(), End::Drained))
        };
        self.places.iter().flatten().filter_map(overdue).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_stands_still_when_it_asks_for_nothing_for_long() {
        let (reader, now) = (Reader::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        reader.got(100);
        assert!(!reader.is_stalled(at(0)) && !reader.is_stalled(at(9999)), "not watched");
        reader.limit.set(Some(Duration::from_secs(60)));
        assert!(!reader.is_stalled(at(0)), "seen for the first time");
        assert!(!reader.is_stalled(at(59)));
        reader.asks();
        assert!(!reader.is_stalled(at(61)), "the backend is waited for");
        reader.got(81920);
        assert!(!reader.is_stalled(at(100)));
        assert!(!reader.is_stalled(at(169)), "a large piece takes its time");
        assert!(reader.is_stalled(at(170)));
    }
}
