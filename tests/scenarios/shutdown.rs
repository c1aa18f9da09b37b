//! How the process ends.
//!
//! - SIGTERM, or Ctrl-C: listeners close, open exchanges and tunnels go on until `drain` is over, then the process ends
//!   with status 0; what is still open is cut off and logged as drained
//! - a second signal ends at once
//! - SIGHUP reads the configuration again; SIGPIPE does nothing
//! - nothing is left behind: the next one starts on the same ports and the same socket

use std::time::{Duration, Instant};

use portcullis_tests::{
    binary,
    certificates::authority,
    client::{
        http::{Connection, request},
        raw::Raw,
        websocket::WebSocket,
    },
    origin::{Origin, raw::RawOrigin},
    process::Process,
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario, soon},
};
use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::ground::{PLAIN, plain, tls};

async fn draining(origin: &Origin, drain: &str) -> Proxy {
    let text = format!("[server]\ndrain = \"{drain}\"\n{PLAIN}");
    Plan::new(text).set("origin", origin.address()).start().await
}

/// Waits until nobody can connect any more.
async fn closed(proxy: &Proxy) {
    eventually("the listener is closed", async || {
        TcpStream::connect(proxy.address("http")).await.is_err().then_some(())
    })
    .await;
}

/// Opens an exchange that the origin answers after `ms`, and waits until it is there.
async fn slow(proxy: &Proxy, origin: &Origin, ms: u64) -> Raw {
    let before = origin.count();
    let mut client = Raw::connect(proxy.address("http")).await;
    client.send(format!("GET /slow?ms={ms} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    eventually("the origin is asked", async || (origin.count() > before).then_some(())).await;
    client
}

#[test]
fn open_exchanges_finish_and_new_ones_are_not_taken() {
    scenario(async {
        for signal in [Signal::TERM, Signal::INT] {
            let origin = Origin::start().await;
            let mut proxy = draining(&origin, "30s").await;
            let mut open = slow(&proxy, &origin, 1500).await;
            let mut download = Raw::connect(proxy.address("http")).await;
            download.send("GET /drip?n=8&ms=200 HTTP/1.1\r\nhost: a\r\n\r\n").await;
            download.read_until(b"chunk 0\n").await;
            proxy.signal(signal);
            closed(&proxy).await;
            assert!(proxy.is_running());
            let answer = open.response().await;
            assert_eq!(answer.status, 200);
            assert!(open.is_closed().await, "the connection ends after its exchange");
            let rest = download.read_to_end().await;
            assert!(String::from_utf8_lossy(&rest).contains("chunk 7"), "{rest:?}");
            assert_eq!(proxy.ended().await.code(), Some(0));
            for target in ["/slow?ms=1500", "/drip?n=8&ms=200"] {
                assert_eq!(proxy.log_of(target).await["end"], "complete");
            }
            let says = proxy.error_log();
            assert!(says.contains("draining") && says.contains("stopped after"), "{says}");
        }
    });
}

#[test]
fn a_request_that_had_begun_to_arrive_is_served_to_its_end() {
    scenario(async {
        let origin = Origin::start().await;
        let mut proxy = draining(&origin, "30s").await;
        let mut upload = Raw::connect(proxy.address("http")).await;
        upload.send("POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf!").await;
        eventually("the origin is asked", async || (origin.count() == 1).then_some(())).await;
        proxy.signal(Signal::TERM);
        closed(&proxy).await;
        upload.send("other").await;
        let answer = upload.response().await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("\"length\":10"), "{}", answer.text());
        assert_eq!(proxy.ended().await.code(), Some(0));
    });
}

#[test]
fn idle_connections_do_not_hold_it_up() {
    scenario(async {
        let origin = Origin::start().await;
        let mut proxy = draining(&origin, "30s").await;
        let one = Connection::h1(proxy.address("http")).await;
        one.get("a", "/").await;
        let two = Connection::h2c(proxy.address("http")).await;
        two.get("a", "/").await;
        let silent = Raw::connect(proxy.address("http")).await;
        let begun = Instant::now();
        proxy.signal(Signal::TERM);
        assert_eq!(proxy.ended().await.code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        drop(silent);
    });
}

#[test]
fn http2_streams_finish_and_the_client_is_told_to_go_elsewhere() {
    scenario(async {
        let origin = Origin::start().await;
        let mut proxy = tls(&origin, &["shop.example"]).await;
        let client = Connection::tls(proxy.address("https"), "shop.example", &authority().client(&["h2"])).await;
        let open = client.fetch(request("GET", "shop.example", "/slow?ms=1200"));
        let ending = async {
            eventually("the origin is asked", async || (origin.count() == 1).then_some(())).await;
            proxy.signal(Signal::TERM);
            eventually("the client knows", async || {
                client.try_fetch(request("GET", "shop.example", "/late")).await.is_err().then_some(())
            })
            .await;
        };
        let (answer, ()) = tokio::join!(open, ending);
        assert_eq!(answer.status, 200);
        assert_eq!(proxy.ended().await.code(), Some(0));
    });
}

#[test]
fn websockets_and_tunnels_may_go_on_until_the_deadline_and_are_logged_as_drained() {
    scenario(async {
        let (origin, echo) = (Origin::start().await, RawOrigin::echo().await);
        let text = format!(
            "[server]\ndrain = \"1500ms\"\n{PLAIN}\n[[listener]]\nname = \"raw\"\naddress = \"127.0.0.1:@raw@\"\n\
             protocol = \"tcp\"\nbackend = \"echo\"\n[backend.echo]\nendpoints = [\"tcp://@echo@\"]\n"
        );
        let mut proxy = Plan::new(text).set("origin", origin.address()).set("echo", echo.address()).start().await;
        let mut socket = WebSocket::open(proxy.address("http"), "a", "/websocket").await.unwrap();
        socket.echo("before").await.unwrap();
        let mut raw = Raw::connect(proxy.address("raw")).await;
        raw.send("hello").await;
        assert_eq!(raw.read_exactly(5).await, b"hello");
        let mut endless = slow(&proxy, &origin, 60_000).await;
        proxy.signal(Signal::TERM);
        let begun = Instant::now();
        closed(&proxy).await;
        assert_eq!(socket.echo("during").await.unwrap(), "during");
        raw.send("still").await;
        assert_eq!(raw.read_exactly(5).await, b"still");
        assert_eq!(proxy.ended().await.code(), Some(0));
        let took = begun.elapsed();
        assert!(took > Duration::from_millis(1200) && took < Duration::from_secs(6), "{took:?}");
        socket.closed().await;
        assert!(raw.is_closed().await);
        drop(endless.read_to_end().await);
        for kind in ["upgrade", "tcp"] {
            let line = proxy.log_line(|line| line["kind"] == kind).await;
            assert_eq!(line["end"], "drained", "{line}");
        }
        let line = proxy.log_of("/slow?ms=60000").await;
        assert!(
            line["end"] == "drained" || line["detail"].as_str().is_some_and(|text| text.contains("drain")),
            "{line}"
        );
        assert!(proxy.error_log().contains("drain deadline"), "{}", proxy.error_log());
    });
}

#[test]
fn a_second_signal_ends_at_once() {
    scenario(async {
        for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::INT), (Signal::TERM, Signal::INT)] {
            let origin = Origin::start().await;
            let mut proxy = draining(&origin, "1h").await;
            let mut open = slow(&proxy, &origin, 60_000).await;
            proxy.signal(first);
            closed(&proxy).await;
            assert!(proxy.is_running());
            let begun = Instant::now();
            proxy.signal(second);
            let status = proxy.ended().await;
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
            assert_eq!(status.code(), Some(0));
            drop(open.read_to_end().await);
            // Even then nothing is lost from the log.
            assert_ne!(proxy.log_of("/slow?ms=60000").await["end"], "complete");
        }
    });
}

#[test]
fn says_that_it_is_draining() {
    scenario(async {
        let origin = Origin::start().await;
        let mut proxy = draining(&origin, "30s").await;
        let mut open = slow(&proxy, &origin, 2000).await;
        proxy.signal(Signal::TERM);
        closed(&proxy).await;
        assert_eq!(proxy.status().await["state"], "draining");
        assert_eq!(proxy.counter("exchanges_open").await, 1);
        assert_eq!(open.response().await.status, 200);
        proxy.ended().await;
    });
}

#[test]
fn connections_that_had_been_accepted_by_the_kernel_are_served() {
    scenario(async {
        let origin = Origin::start().await;
        let mut proxy = draining(&origin, "10s").await;
        // All at once, and then the signal: some are still in the kernel's queue.
        let mut clients = Vec::new();
        for _ in 0..200 {
            let mut client = Raw::connect(proxy.address("http")).await;
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            clients.push(client);
        }
        proxy.signal(Signal::TERM);
        for client in &mut clients {
            assert_eq!(client.response().await.status, 200);
        }
        assert_eq!(proxy.ended().await.code(), Some(0));
    });
}

#[test]
fn a_connection_that_has_only_just_been_made_may_still_ask() {
    scenario(async {
        let origin = Origin::start().await;
        let mut proxy = tls(&origin, &["shop.example"]).await;
        let client = Connection::tls(proxy.address("https"), "shop.example", &authority().client(&["http/1.1"])).await;
        proxy.signal(Signal::TERM);
        proxy.says("draining").await;
        assert_eq!(client.get("shop.example", "/").await.status, 200);
        assert_eq!(proxy.ended().await.code(), Some(0));
    });
}

#[test]
fn sighup_reads_the_configuration_and_sigpipe_does_nothing() {
    scenario(async {
        let origin = Origin::start().await;
        let mut proxy = plain(&origin).await;
        proxy.signal(Signal::PIPE);
        proxy.signal(Signal::HUP);
        proxy.says("reloaded (SIGHUP): nothing changed").await;
        assert!(proxy.is_running());
        let mut client = Raw::connect(proxy.address("http")).await;
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    });
}

#[test]
fn nothing_is_left_behind_and_the_next_one_starts_at_once() {
    scenario(async {
        let origin = Origin::start().await;
        let mut proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
        proxy.signal(Signal::TERM);
        assert_eq!(proxy.ended().await.code(), Some(0));
        assert!(!proxy.control_path().exists(), "the socket is gone");
        assert!(!proxy.folder().join("control.sock.lock").exists(), "so is its lock");

        for round in 0..3 {
            let mut next = Process::start("next", binary::portcullis(), ["run", "portcullis.toml"], proxy.folder());
            next.says("running generation 1").await;
            let mut client = Raw::connect(proxy.address("http")).await;
            assert_eq!(client.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
            // Killed: its socket and lock stay, and hold up nobody.
            if round < 2 {
                next.signal(Signal::KILL);
            } else {
                next.signal(Signal::INT);
            }
            next.ended().await;
            assert_eq!(proxy.control_path().exists(), round < 2);
        }
    });
}

#[test]
fn a_second_one_on_the_same_socket_is_refused_and_the_first_serves_on() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut second = Process::start("second", binary::portcullis(), ["run", "portcullis.toml"], proxy.folder());
        assert_eq!(second.ended().await.code(), Some(1));
        let says = second.stderr();
        assert!(says.contains("another portcullis is running") && says.contains(&proxy.pid().to_string()), "{says}");
        assert!(proxy.control_path().exists());
        let mut client = Raw::connect(proxy.address("http")).await;
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
        soon("the first answers", proxy.status()).await;
    });
}

#[test]
fn a_second_one_on_the_same_port_is_refused_and_takes_no_connection() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let other =
            Plan::new(PLAIN).set("http", proxy.address("http").port()).set("origin", origin.address()).refused().await;
        assert_eq!(other.status.code(), Some(1));
        assert!(other.says.contains("another process listens there"), "{}", other.says);
        for _ in 0..20 {
            let mut client = Raw::connect(proxy.address("http")).await;
            assert_eq!(client.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
        }
    });
}
