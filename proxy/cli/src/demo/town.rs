//! Everything behind the proxy, in a thread of its own.

use std::{
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::Context;
use tokio::{runtime, sync::oneshot, task::JoinSet};

use super::{BLOG, SHOP, app, loopback, private_app::Deploys, zone::Zone};

/// The demo's backends and nameserver. Dropping it ends them all and waits until they are gone.
pub(crate) struct Town {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Town {
    /// Binds every port and starts serving. An error names the port and the way to find who has it.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start the demo")?;
        let mut apps = JoinSet::new();
        runtime.block_on(build(&mut apps))?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("demo".into())
            .spawn(move || {
                // Ends also when the sender is gone.
                _ = runtime.block_on(stopped);
                drop(apps);
                drop(runtime);
            })
            .context("cannot start the demo")?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            _ = thread.join();
        }
    }
}

async fn build(apps: &mut JoinSet<()>) -> anyhow::Result<()> {
    for (index, port) in SHOP.into_iter().enumerate() {
        instance(apps, format!("shop {}", index + 1), loopback(port)).await?;
    }
    instance(apps, "blog".into(), loopback(BLOG)).await?;
    let deploys = Deploys::start(Zone::start().await?).await?;
    apps.spawn(deploys.carry_on());
    Ok(())
}

async fn instance(apps: &mut JoinSet<()>, name: String, at: SocketAddr) -> anyhow::Result<()> {
    let listener = app::bind(at).await?;
    apps.spawn(app::serve(listener, Arc::new(move |request| Some(app::sentence(&name, at, request)))));
    Ok(())
}

/// The sentence for a port that cannot be had.
pub(super) fn busy(protocol: &str, address: SocketAddr) -> String {
    let (flag, port) = (if protocol == "UDP" { "-lunp" } else { "-ltnp" }, address.port());
    format!(
        "the demo needs {protocol} port {port} on {} (is another demo running? `ss {flag} 'sport = :{port}'` shows who has it)",
        address.ip()
    )
}
