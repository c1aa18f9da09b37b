//! Bytes that are not HTTP to us: raw TCP, TLS passed through by SNI, and what an upgrade turns a connection into.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use smallvec::SmallVec;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    alarm::within,
    backend::{
        Backend,
        connect::{Client, Connected, Wire, connect},
        pool::Lease,
    },
    error::{Error, Kind, Origin, Retry},
    exchange::new_id,
    flight::Flight,
    lifeline::Lifeline,
    net::{
        copy::{self, Counts, copy_both},
        rewind::Rewind,
        splice::splice_both,
    },
    record::{Attempt, Connection, End, ExchangeKind, Record},
    snapshot::RouteState,
    worker::Worker,
};

/// The record of a connection that is one exchange.
pub fn begin(
    worker: &Rc<Worker>,
    facts: &Arc<Connection>,
    kind: ExchangeKind,
    lifeline: &Rc<Lifeline>,
    route: Option<(usize, &RouteState)>,
) -> Flight {
    let view = worker.snapshot();
    let mut record = Box::new(Record::new(kind, facts, view.generation, SystemTime::now()));
    record.id = new_id();
    record.host = facts.tls.as_ref().and_then(|tls| tls.sni.as_deref()).unwrap_or_default().into();
    record.route = route.map(|(_, route)| route.name.clone());
    let flight = Flight::begin_alone(worker.clone(), lifeline.clone(), view, record, Instant::now());
    flight.sentence.route.set(route.map(|(index, _)| index));
    flight
}

/// Connects to an endpoint of `backend` and copies both ways until the end.
pub async fn forward(mut flight: Flight, stream: Rewind<TcpStream>, backend: &Arc<Backend>, idle: Duration) {
    flight.record.backend = Some(backend.name.clone());
    let sentence = flight.sentence.clone();
    let connected = tokio::select! {
        biased;
        connected = endpoint(&mut flight, backend) => connected,
        end = sentence.stopped() => {
            flight.record.end = end;
            return;
        }
    };
    let mut wire = match connected {
        Ok(connected) => connected.wire,
        Err(error) => {
            flight.record.end = End::Aborted;
            return flight.fail(error);
        }
    };
    let (head, mut client) = stream.into_parts();
    let counts = Counts::default();
    let stop = async {
        sentence.stopped().await;
    };
    let end = match &mut wire {
        Wire::Plain(backend) => splice_both(&mut client, &mut backend.0, head, &counts, idle, stop).await,
        Wire::Tls(backend) => copy_both(&mut client, &mut **backend, head, &counts, idle, stop).await,
    };
    finish(&mut flight, end, &counts, idle);
}

/// An endpoint that takes the connection: the chosen one, or another when that fails.
async fn endpoint(flight: &mut Flight, backend: &Arc<Backend>) -> Result<Connected, Error> {
    let connection = flight.record.connection.clone();
    let client = Client { address: connection.client, local: connection.local };
    let mut tried: SmallVec<[u64; 4]> = SmallVec::new();
    let mut last = None;
    let mut looked_again = false;
    let mut left = backend.config.retries;
    loop {
        let chosen = match backend.choose(flight.worker().index, &tried, Instant::now()) {
            Ok(chosen) => chosen,
            Err(none) => {
                if !looked_again {
                    looked_again = true;
                    if backend.look_again(&tried, None).await {
                        continue;
                    }
                }
                return Err(last.unwrap_or(none));
            }
        };
        flight.record.attempts.push(Attempt::new(&chosen));
        flight.at(Some(chosen.endpoint.clone()));
        let begun = Instant::now();
        let connected = connect(backend, &chosen.endpoint, chosen.alternative.as_ref(), client, false).await;
        let attempt = flight.record.attempts.last_mut();
        match connected {
            Ok(connected) => {
                backend.succeeded(&connected.endpoint);
                if let Some(attempt) = attempt {
                    attempt.address = connected.endpoint.address;
                    attempt.connect = Some(begun.elapsed());
                }
                flight.record.first_byte = Some(flight.begun.elapsed());
                return Ok(connected);
            }
            Err(error) => {
                backend.failed(&chosen, &chosen.endpoint, &error, true);
                tried.push(chosen.endpoint.id);
                if let Some(attempt) = attempt {
                    attempt.error = Some(error.clone());
                }
                // Whether this was the last one is for the next choice to say; retries are for trying others.
                if left == 0 && backend.has_other(&tried, Instant::now()) {
                    return Err(error);
                }
                left = left.saturating_sub(1);
                last = Some(error);
            }
        }
    }
}

/// What both sides of a switched connection do until it ends. `lease` keeps the backend's connection counted.
pub async fn upgraded(mut flight: Flight, client: OnUpgrade, backend: OnUpgrade, lease: Lease, idle: Duration) {
    /// hyper gives both sides once the 101 is written.
    const SWITCH: Duration = Duration::from_secs(10);
    flight.record.kind = ExchangeKind::Upgrade;
    // A tunnel's time is bounded by its silence.
    flight.sentence.deadline.set(None);
    let sides = within(SWITCH, async { tokio::try_join!(client, backend) }).await;
    let (client, backend) = match sides {
        Some(Ok(sides)) => sides,
        failed => {
            flight.record.end = End::Aborted;
            let detail = match failed {
                Some(Err(error)) => format!("the connection could not be switched: {error}"),
                _ => "the client took no answer to its upgrade".to_owned(),
            };
            return flight.fail(Error::client(Kind::HttpUpgradeFailed, 0, detail));
        }
    };
    let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
    let counts = Counts::default();
    let sentence = flight.sentence.clone();
    let stop = async {
        sentence.stopped().await;
    };
    let end = copy_both(&mut client, &mut backend, bytes::Bytes::new(), &counts, idle, stop).await;
    finish(&mut flight, end, &counts, idle);
    drop(lease);
    // The other side must learn of the end also where it was cut off.
    let _ = within(Duration::from_secs(1), async { tokio::join!(client.shutdown(), backend.shutdown()) }).await;
}

fn finish(flight: &mut Flight, end: copy::End, counts: &Counts, idle: Duration) {
    flight.record.received += counts.a_to_b.get();
    flight.record.sent += counts.b_to_a.get();
    flight.record.end = match end {
        copy::End::Finished => End::Complete,
        copy::End::Stopped => End::Drained,
        copy::End::Idle => {
            let detail = format!("nothing moved for {idle:?} (limits.tunnel_idle_time)");
            flight.fail(Error::client(Kind::ConnectionReadTimeout, 0, detail));
            End::Aborted
        }
        // Most clients close TCP without closing TLS first; what a tunnel carries says itself whether it was whole.
        copy::End::Broken(broken) if broken.cause.kind() == std::io::ErrorKind::UnexpectedEof => End::Complete,
        copy::End::Broken(broken) if broken.side == copy::Side::A => End::ClientGone,
        copy::End::Broken(broken) => {
            let detail = format!("the backend's side broke: {}", broken.cause);
            flight.fail(Error {
                kind: Kind::ConnectionTerminated,
                origin: Origin::Backend,
                retry: Retry::Never,
                status: 0,
                detail: detail.into(),
            });
            End::Aborted
        }
    };
}
