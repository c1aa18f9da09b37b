//! Many clients that ask again and again, and count what fails.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use rustls::ClientConfig;
use tokio::{sync::watch, task::JoinHandle};

use super::http::{Connection, request, request_with_body};
use crate::{
    origin::stock,
    scenario::{SOON, eventually_within, runtime},
};

/// Clients at work until [`stop`](Self::stop). They end when dropped.
#[derive(Debug)]
pub struct Load {
    stop: watch::Sender<bool>,
    done: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

/// What clients have to say in the end.
#[derive(Debug)]
pub struct Tally {
    /// Exchanges that went well.
    pub done: u64,
    /// Exchanges that did not, each with what happened to it.
    pub failures: Vec<String>,
}

/// How a client connects.
#[derive(Clone)]
enum Way {
    H1,
    H2c,
    Tls(Arc<ClientConfig>),
}

/// What a client thinks between two exchanges: the machine is to be busy, and to have time for what the scenario changes.
const PAUSE: Duration = Duration::from_millis(3);

impl Load {
    /// Clients of a plain listener, half of them with HTTP/1.1 and half with HTTP/2, a connection each. Three exchanges
    /// in four are a GET of `target`, one is a POST with a body.
    pub fn plain(address: SocketAddr, host: &str, target: &str, clients: usize) -> Self {
        let ways = (0..clients).map(|at| if at % 2 == 0 { Way::H1 } else { Way::H2c });
        Self::start(address, host, target, ways, true)
    }

    /// The same with nothing but GET: what can be sent again when its connection breaks.
    pub fn reading(address: SocketAddr, host: &str, target: &str, clients: usize) -> Self {
        let ways = (0..clients).map(|at| if at % 2 == 0 { Way::H1 } else { Way::H2c });
        Self::start(address, host, target, ways, false)
    }

    /// The same for a TLS listener; `configs` say what is offered, one client each.
    pub fn tls(address: SocketAddr, host: &str, target: &str, configs: &[Arc<ClientConfig>]) -> Self {
        Self::start(address, host, target, configs.iter().cloned().map(Way::Tls), true)
    }

    fn start(address: SocketAddr, host: &str, target: &str, ways: impl Iterator<Item = Way>, posts: bool) -> Self {
        let (stop, stopped) = watch::channel(false);
        let done = Arc::new(AtomicU64::new(0));
        let clients = ways
            .map(|way| {
                let asking = Asking { address, host: host.to_owned(), target: target.to_owned(), way, posts };
                runtime().spawn(asking.go_on(done.clone(), stopped.clone()))
            })
            .collect();
        Self { stop, done, clients }
    }

    /// How many exchanges went well so far.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Waits until `more` exchanges more have gone well.
    ///
    /// # Panics
    /// When they do not soon.
    pub async fn go_on(&self, more: u64) {
        let goal = self.done() + more;
        eventually_within(SOON, "the load goes on", async || (self.done() >= goal).then_some(())).await;
    }

    /// Ends it, each client after the exchange it is in.
    ///
    /// # Panics
    /// When a client panicked.
    pub async fn stop(mut self) -> Tally {
        self.stop.send_replace(true);
        let mut failures = Vec::new();
        for client in std::mem::take(&mut self.clients) {
            failures.extend(client.await.expect("a client's failures are values"));
        }
        Tally { done: self.done(), failures }
    }

    /// [`stop`](Self::stop), for load that must not have noticed anything.
    ///
    /// # Panics
    /// When an exchange failed.
    pub async fn stop_unharmed(self) -> Tally {
        let tally = self.stop().await;
        assert!(tally.failures.is_empty(), "{} of {} failed: {:#?}", tally.failures.len(), tally.done, tally.failures);
        tally
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.clients.iter().for_each(JoinHandle::abort);
    }
}

/// One client.
struct Asking {
    address: SocketAddr,
    host: String,
    target: String,
    way: Way,
    posts: bool,
}

impl Asking {
    async fn go_on(self, done: Arc<AtomicU64>, stopped: watch::Receiver<bool>) -> Vec<String> {
        /// A client that fails is heard; one that fails for ever has said enough.
        const FAILURES: usize = 20;
        let mut failures = Vec::new();
        let mut kept: Option<Connection> = None;
        for number in 0_u64.. {
            if *stopped.borrow() || failures.len() >= FAILURES {
                break;
            }
            // A connection that was closed between two exchanges has harmed none.
            let connection = match kept.take().filter(|kept| !kept.is_closed()) {
                Some(kept) => kept,
                None => self.connect().await,
            };
            let length = (self.posts && number % 4 == 3).then(|| 100 * (number % 64));
            match self.exchange(&connection, length).await {
                Ok(()) => drop(done.fetch_add(1, Relaxed)),
                Err(failure) => failures.push(format!("exchange {number}, body {length:?}: {failure}")),
            }
            kept = Some(connection);
            tokio::time::sleep(PAUSE).await;
        }
        failures
    }

    async fn connect(&self) -> Connection {
        match &self.way {
            Way::H1 => Connection::h1(self.address).await,
            Way::H2c => Connection::h2c(self.address).await,
            Way::Tls(config) => Connection::tls(self.address, &self.host, config).await,
        }
    }

    async fn exchange(&self, connection: &Connection, length: Option<u64>) -> Result<(), String> {
        let request = match length {
            Some(length) => request_with_body("POST", &self.host, &self.target, stock::pattern(length)),
            None => request("GET", &self.host, &self.target),
        };
        let answer = connection.try_fetch(request).await.map_err(|error| {
            let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            format!("{error}{cause}")
        })?;
        if answer.status != 200 {
            return Err(format!("{} {}", answer.status, answer.text()));
        }
        match length {
            Some(length) if answer.json()["length"] != length => Err(format!("the origin got {}", answer.text())),
            _ => Ok(()),
        }
    }
}
