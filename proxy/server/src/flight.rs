//! An exchange in the air: its record, its place among the open ones, and the one way it ends.
//!
//! A [`Flight`] is made when an exchange begins and moves with it, last into the response body. Dropping it is the
//! end of the exchange, whatever the reason: the record is completed, counted, logged and remembered, exactly once.

use std::{
    cell::{Cell, RefCell},
    ops::{Deref, DerefMut},
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::Instant,
};

use crate::{
    backend::Endpoint,
    client_io::Ending,
    connection::ClientConnection,
    error::{Error, Origin},
    http::guard::InFlight,
    lifeline::{Lifeline, Stage},
    record::{End, Record},
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
}

impl Sentence {
    /// Asks the exchange to stop. The second time, its connection is ended.
    pub fn stop(&self, end: End) {
        if self.ended.replace(Some(end)).is_some() {
            self.connection.tell(Stage::End);
        } else if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
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
        connection.open.set(connection.open.get() + 1);
        let (worker, lifeline) = (connection.worker.clone(), connection.place.lifeline.clone());
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
        });
        let key = worker.open.borrow_mut().insert(sentence.clone());
        Self {
            record: Recording(Some(record)),
            begun,
            upload: None,
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

    /// How the connection ends when it ends now; `None` when the exchange is the whole connection.
    pub fn ending(&self) -> Option<&Ending> {
        self.connection.as_ref().map(|connection| &*connection.ending)
    }

    /// Remembers what went wrong; the first error is the one that counts.
    pub fn fail(&mut self, error: Error) {
        if error.origin == Origin::Backend {
            self.worker.counters.backend_errors.up();
        }
        self.record.error.get_or_insert(error);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.at(None);
        if let Some(connection) = &self.connection {
            connection.open.set(connection.open.get() - 1);
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
        if let Some(record) = self.record.0.take() {
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
