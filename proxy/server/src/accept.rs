//! Accepting connections on one socket of one worker.

use std::{io, pin::pin, rc::Rc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{connection, net::bind, worker::Worker};

/// How long accepting rests when the process is out of descriptors or memory: trying again at once would spin.
const REST: Duration = Duration::from_millis(100);

/// Accepts on `socket` until `stop`, then serves what is still queued in it and closes it. The task belongs to the worker.
///
/// # Errors
/// When the socket cannot be given to the executor.
pub fn start(worker: &Rc<Worker>, socket: std::net::TcpListener, stop: CancellationToken) -> io::Result<()> {
    let local = socket.local_addr()?;
    let listener = TcpListener::from_std(socket)?;
    let owner = worker.clone();
    let worker = worker.clone();
    owner.spawn(async move {
        // The listener of the last snapshot that had this address serves what comes between its removal and the stop.
        let mut last = None;
        let mut serve = |stream, peer| {
            let snapshot = worker.snapshot();
            if let Some(&index) = snapshot.by_address.get(&local) {
                last = Some(snapshot.listeners[index].clone());
            }
            if let Some(listener) = &last {
                connection::start(&worker, listener.clone(), stream, peer);
            }
        };
        let mut stopped = pin!(stop.cancelled());
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stopped => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => serve(stream, peer),
                // The client was gone before it was accepted.
                Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
                Err(error) => {
                    tracing::error!(address = %local, %error, "accepting rests for {REST:?}; out of descriptors? (ulimit -n)");
                    tokio::time::sleep(REST).await;
                }
            }
        }
        if let Ok(listener) = listener.into_std() {
            for (stream, peer) in bind::drain_backlog(listener) {
                if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
                    serve(stream, peer);
                }
            }
        }
    });
    Ok(())
}
