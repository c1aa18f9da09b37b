//! One timer for a connection's waits, made when it first has to wait and moved as rarely as can be.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// An alarm that may ring early, never late: whoever owns it looks at the clock when it rings, and sets it again.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Box<Set>>);

#[derive(Debug)]
struct Set {
    sleep: Pin<Box<Sleep>>,
    /// Whom it will wake.
    waker: Option<Waker>,
}

impl Timer {
    /// Makes sure that the task of `cx` is woken at `deadline`, or before. Ready when it rings now.
    ///
    /// Costs next to nothing when it is already set to an earlier time for the same task.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let set = self.0.get_or_insert_with(|| Box::new(Set { sleep: Box::pin(sleep_until(deadline)), waker: None }));
        if set.sleep.deadline() > deadline {
            set.sleep.as_mut().reset(deadline);
            set.waker = None;
        }
        if set.sleep.is_elapsed() {
            return Poll::Ready(());
        }
        if set.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        set.waker = Some(cx.waker().clone());
        set.sleep.as_mut().poll(cx)
    }

    /// Whether it is set, has not rung, and will wake the task of `cx`.
    pub(super) fn waits(&self, cx: &Context<'_>) -> bool {
        self.0.as_ref().is_some_and(|set| {
            !set.sleep.is_elapsed() && set.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
        })
    }

    /// Sets it to a later time, after it rang.
    pub(super) fn set(&mut self, deadline: Instant) {
        if let Some(set) = &mut self.0 {
            set.sleep.as_mut().reset(deadline);
            set.waker = None;
        }
    }
}
