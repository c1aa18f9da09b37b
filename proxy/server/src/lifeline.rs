//! How a connection is told to stop: first after its exchange, later at once.
//!
//! Belongs to the worker's thread; the connection looks at a plain cell on each turn and is woken when it changes.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    task::{Context, Waker},
};

use crate::snapshot::Lasting;

/// How far a connection may go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// As long as it likes.
    #[default]
    Open,
    /// To the end of its exchanges.
    Stop,
    /// No further.
    End,
}

/// One connection's.
#[derive(Debug)]
pub struct Lifeline {
    /// Exchanges open on it now.
    pub open: Cell<usize>,
    listener: Arc<Lasting>,
    stage: Cell<Stage>,
    waker: RefCell<Option<Waker>>,
}

impl Lifeline {
    /// How far it may go. The task of `cx` is woken when that changes.
    pub fn poll(&self, cx: &Context<'_>) -> Stage {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        self.stage.get()
    }

    /// Tells it; a later stage is never taken back.
    pub fn tell(&self, stage: Stage) {
        if stage > self.stage.get() {
            self.stage.set(stage);
            let waker = self.waker.borrow_mut().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Whether it came through this listener.
    pub fn is_of(&self, listener: &Arc<Lasting>) -> bool {
        Arc::ptr_eq(&self.listener, listener)
    }
}

/// All connections of a worker.
#[derive(Debug, Default)]
pub struct Lifelines {
    places: RefCell<Vec<Option<Rc<Lifeline>>>>,
    free: RefCell<Vec<usize>>,
}

/// A connection's place; dropping it takes the connection off the list.
pub struct Place {
    /// The connection's own end.
    pub lifeline: Rc<Lifeline>,
    lines: Rc<Lifelines>,
    key: usize,
}

impl Lifelines {
    /// Puts a connection on the list; `stage` is where it begins (a worker that drains still serves what was queued).
    pub fn add(self: &Rc<Self>, listener: Arc<Lasting>, stage: Stage) -> Place {
        let lifeline =
            Rc::new(Lifeline { open: Cell::new(0), listener, stage: Cell::new(stage), waker: RefCell::new(None) });
        let mut places = self.places.borrow_mut();
        let key = match self.free.borrow_mut().pop() {
            Some(key) => {
                places[key] = Some(lifeline.clone());
                key
            }
            None => {
                places.push(Some(lifeline.clone()));
                places.len() - 1
            }
        };
        Place { lifeline, lines: self.clone(), key }
    }

    /// Tells every connection that `of` picks.
    pub fn tell(&self, stage: Stage, of: impl Fn(&Lifeline) -> bool) {
        // Woken tasks run later, never inside `tell`, so the list does not change under this loop.
        for lifeline in self.places.borrow().iter().flatten().filter(|lifeline| of(lifeline)) {
            lifeline.tell(stage);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(place) = self.lines.places.borrow_mut().get_mut(self.key) {
            *place = None;
            self.lines.free.borrow_mut().push(self.key);
        }
    }
}
