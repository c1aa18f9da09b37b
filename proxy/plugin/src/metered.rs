//! Running a guest's call: for how long, and in turns with everything else on the thread.
//!
//! A guest that has been preempted goes on only when it is its turn among the preempted: each round of the executor runs at most one
//! slice of them all, so that exchanges whose plugins behave wait for one slice and not for one of each spinning guest.

use std::{
    cell::Cell,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
use wasmtime::UpdateDeadline;

use crate::ticker::{FIRST_SLICE, PERIOD, Ticker};

/// What a call may take.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Of the processor.
    pub time: Duration,
    /// On the wall.
    pub wait: Duration,
}

/// Why a call ended without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// `time` was used up; raised inside of the guest, so that its backtrace is known.
    #[error("it ran for longer than its time limit")]
    Time,
    /// `wait` was.
    #[error("it took longer than its wait limit")]
    Wait,
}

/// One poll of a call.
#[derive(Clone, Copy)]
struct Slice {
    begun: Instant,
    /// Processor time of the call before this slice.
    used: Duration,
    limit: Duration,
    /// What the thread's processor clock said when the slice began: known from the first tick in it on.
    clock: Option<Duration>,
    preempted: bool,
}

impl Slice {
    /// Processor time of the call until now. Reading the thread's clock is a system call, so that only a call that lives to see a tick
    /// pays for it; before the first one the wall says it well enough. The wall alone does not do: on a busy machine the thread
    /// may be away for longer than a plugin may run.
    fn used(&mut self) -> Duration {
        let now = thread_clock();
        let clock = *self.clock.get_or_insert_with(|| now.saturating_sub(self.begun.elapsed().min(SHORT)));
        self.used + now.saturating_sub(clock)
    }
}

/// What a call can have used before its first tick.
const SHORT: Duration = Duration::from_micros(PERIOD.as_micros() as u64 * FIRST_SLICE);

fn thread_clock() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or_default(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

thread_local! {
    /// Of the call that this thread is running.
    static SLICE: Cell<Option<Slice>> = const { Cell::new(None) };
    static TURNS: Arc<Semaphore> = Arc::new(Semaphore::new(1));
}

/// What a store does when its epoch has moved.
pub fn epoch_moved() -> wasmtime::Result<UpdateDeadline> {
    let Some(mut slice) = SLICE.get() else { return Ok(UpdateDeadline::Continue(1)) };
    if slice.used() >= slice.limit {
        return Err(wasmtime::Error::from(Over::Time));
    }
    slice.preempted = true;
    SLICE.set(Some(slice));
    Ok(UpdateDeadline::Yield(1))
}

type Turn = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>>>>;

/// Runs `call` to its end, but not beyond what it is allowed. Adds the time that it was on this thread, by the wall, to `used`.
///
/// Dropping the future drops `call`, which unwinds the guest; its instance must not be used again.
///
/// # Errors
/// The guest's, with [`Over`] inside when it was cut short.
pub async fn run<T>(
    ticker: &Ticker,
    allowance: Allowance,
    used: &mut Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> wasmtime::Result<T> {
    let mut call = pin!(call);
    let mut mine = Duration::ZERO;
    let mut first = None;
    let mut alarm: Option<Pin<Box<Sleep>>> = None;
    let mut waiting: Option<Turn> = None;
    let mut turn: Option<OwnedSemaphorePermit> = None;
    std::future::poll_fn(|cx| {
        if let Some(waits) = &mut waiting {
            match waits.as_mut().poll(cx) {
                Poll::Ready(permit) => {
                    turn = permit;
                    waiting = None;
                }
                Poll::Pending => return poll_alarm(&mut alarm, cx),
            }
        }
        ticker.wake();
        let begun = Instant::now();
        first.get_or_insert(begun);
        SLICE.set(Some(Slice { begun, used: mine, limit: allowance.time, clock: None, preempted: false }));
        let polled = call.as_mut().poll(cx);
        let took = begun.elapsed();
        *used += took;
        let mut preempted = false;
        mine += took.min(SHORT);
        if let Some(mut slice) = SLICE.take()
            && slice.preempted
        {
            preempted = true;
            mine = slice.used();
        }
        turn = None;
        if polled.is_ready() {
            return polled;
        }
        if alarm.is_none()
            && let Some(at) = first.and_then(|first| first.checked_add(allowance.wait))
        {
            alarm = Some(Box::pin(tokio::time::sleep_until(at.into())));
        }
        if preempted {
            // It has woken itself already; it queues now, so that turns are taken in order. Whoever has the turn lets the executor look
            // at its sockets and timers before going on (that is what tokio's own yield does): a set of local tasks that are always
            // ready would keep it from that for dozens of slices.
            let turns = TURNS.with(Arc::clone);
            waiting = Some(Box::pin(async move {
                // Never closed, so that there is no error to handle.
                let permit = turns.acquire_owned().await.ok();
                tokio::task::yield_now().await;
                permit
            }));
        }
        poll_alarm(&mut alarm, cx)
    })
    .await
}

fn poll_alarm<T>(alarm: &mut Option<Pin<Box<Sleep>>>, cx: &mut std::task::Context<'_>) -> Poll<wasmtime::Result<T>> {
    match alarm {
        Some(alarm) => alarm.as_mut().poll(cx).map(|()| Err(wasmtime::Error::from(Over::Wait))),
        None => Poll::Pending,
    }
}
