//! The runtime of all scenarios, and waiting.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{Mutex, MutexGuard},
};

/// How long a scenario may take before it counts as hung. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(90);

/// How long something may take that should happen at once.
pub const SOON: Duration = Duration::from_secs(15);

/// Runs a scenario to its end.
///
/// Origins and connections live on one runtime with threads of its own, so that a scenario may also block.
///
/// # Panics
/// After 90 seconds, so that a hang is a failure with a name.
pub fn scenario(body: impl Future<Output = ()>) {
    scenario_within(LIMIT, body);
}

/// [`scenario`] with a limit of its own.
///
/// # Panics
/// After `limit`.
pub fn scenario_within(limit: Duration, body: impl Future<Output = ()>) {
    runtime().block_on(async {
        if tokio::time::timeout(limit, body).await.is_err() {
            panic!("the scenario was still going on after {limit:?}");
        }
    });
}

/// Where origins and connections live.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime needs threads and epoll")
    })
}

/// Held by scenarios that load or measure the machine, so that no two do at once.
pub async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// Asks `probe` again and again until it gives a value.
///
/// # Panics
/// When `within` has passed; `what` is the sentence that did not come true.
pub async fn eventually_within<T>(within: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// [`eventually_within`] 15 seconds.
///
/// # Panics
/// When it does not happen.
pub async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(SOON, what, probe).await
}

/// Waits for `work`, at most 15 seconds.
///
/// # Panics
/// When it takes longer; `what` says what was waited for.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, work).await {
        Ok(value) => value,
        Err(_) => panic!("not within {SOON:?}: {what}"),
    }
}
