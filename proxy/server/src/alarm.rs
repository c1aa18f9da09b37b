//! Deadlines that cost next to nothing when they are met.
//!
//! Nearly every deadline is set and then not needed. A runtime timer pays for each one: into the wheel, out of the
//! wheel. An [`Alarm`] keeps one runtime timer armed at the *earliest* time that anybody asked for; setting a later deadline
//! only writes a number, and when the timer goes off early it is armed again for what is then wanted. Alarms are lent by
//! a pool of the thread, so that a warm worker arms a timer about once per deadline length, not once per exchange.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

thread_local! {
    static SPARE: RefCell<Vec<Pin<Box<Sleep>>>> = const { RefCell::new(Vec::new()) };
}

/// Timers kept by a thread for the next alarm; more are dropped.
const SPARE_MAX: usize = 4096;

/// One deadline that may be moved at will.
#[derive(Debug, Default)]
pub struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
    deadline: Option<Instant>,
}

impl Alarm {
    /// An alarm that never goes off until it is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets, moves or (with `None`) takes away the deadline. Takes effect at the next [`poll`](Self::poll).
    pub fn set(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Sets the deadline `after` from now; unbounded when that is beyond the clock.
    pub fn set_after(&mut self, after: Duration) {
        self.deadline = Instant::now().checked_add(after);
    }

    /// Ready once the deadline has passed; otherwise the task is woken at some time not later than it.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        loop {
            let timer = self.timer.get_or_insert_with(|| {
                SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Box::pin(sleep_until(deadline)))
            });
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Runs `work` until the deadline. `None`: the deadline came first and `work` was dropped.
    pub async fn bound<F: Future>(&mut self, work: F) -> Option<F::Output> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            self.poll(cx).map(|()| None)
        })
        .await
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            // An elapsed timer is as good as any other: the next owner resets it.
            let _ = SPARE.try_with(|spare| {
                if let Ok(mut spare) = spare.try_borrow_mut()
                    && spare.len() < SPARE_MAX
                {
                    spare.push(timer);
                }
            });
        }
    }
}

/// Runs `work` for at most `limit`. `None`: the time was up and `work` was dropped.
pub async fn within<F: Future>(limit: Duration, work: F) -> Option<F::Output> {
    let mut alarm = Alarm::new();
    alarm.set_after(limit);
    alarm.bound(work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_runtime(work: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    }

    #[test]
    fn goes_off_at_the_deadline_and_not_before() {
        on_a_runtime(async {
            let start = Instant::now();
            assert!(within(Duration::from_millis(30), std::future::pending::<()>()).await.is_none());
            assert!(start.elapsed() >= Duration::from_millis(30));
        });
    }

    #[test]
    fn a_later_deadline_outlives_the_timer_armed_for_an_earlier_one() {
        on_a_runtime(async {
            let start = Instant::now();
            let mut alarm = Alarm::new();
            alarm.set_after(Duration::from_millis(10));
            std::future::poll_fn(|cx| {
                assert!(alarm.poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            alarm.set_after(Duration::from_millis(60));
            assert!(alarm.bound(std::future::pending::<()>()).await.is_none());
            assert!(start.elapsed() >= Duration::from_millis(60));
        });
    }

    #[test]
    fn a_lent_timer_armed_for_later_is_moved_forward() {
        on_a_runtime(async {
            assert!(within(Duration::from_secs(3600), tokio::task::yield_now()).await.is_some());
            // Would wait for an hour if the timer that is lent again stayed as it was.
            assert!(within(Duration::from_millis(10), std::future::pending::<()>()).await.is_none());
        });
    }

    #[test]
    fn without_a_deadline_it_never_goes_off() {
        on_a_runtime(async {
            let mut alarm = Alarm::new();
            alarm.set_after(Duration::ZERO);
            alarm.set(None);
            assert_eq!(alarm.bound(std::future::ready(7)).await, Some(7));
        });
    }
}
