//! Tasks that stay on their worker's thread.

use std::future::Future;

/// Runs hyper's tasks on the worker that asked, without asking them to be `Send`.
#[derive(Clone, Copy, Debug)]
pub struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
