use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use portcullis_tests::{
    client::{
        http::{Connection, get, request},
        raw::Raw,
        websocket::WebSocket,
    },
    origin::{Origin, raw::RawOrigin},
    port::Port,
    proxy::Plan,
    scenario::{alone, eventually, scenario},
};

use crate::ground::{PLAIN, TLS, plain};

/// [`PLAIN`] with a second route for `/old`, which a scenario takes away.
fn with_old() -> String {
    format!("{PLAIN}\n[[route]]\nname = \"old\"\npath = \"/old\"\nbackend = \"app\"\n")
}

#[test]
fn a_thousand_websockets_stay_open_over_reloads() {
    scenario(async {
        let _alone = alone().await;
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let address = proxy.address("http");
        let opening = (0..1000).map(|_| WebSocket::open(address, "x", "/websocket"));
        let mut sockets: Vec<_> = stream::iter(opening).buffer_unordered(32).map(Result::unwrap).collect().await;
        for number in 0..3 {
            // Other things change: another route, another backend, the listener's limits.
            let text = PLAIN.replace("[[route]]", &format!("limits = {{ streams = {} }}\n\n[[route]]", 20 + number));
            let more = format!(
                "[[route]]\npath = \"/new{number}\"\nbackend = \"new\"\n[backend.new]\nendpoints = \"http://127.0.0.1:{}\"\n",
                8000 + number
            );
            proxy.apply(&format!("{text}\n{more}")).await;
        }
        let echoes = stream::iter(sockets.iter_mut()).map(|socket| socket.echo("still here"));
        let echoes: Vec<_> = echoes.buffer_unordered(32).collect().await;
        assert_eq!(echoes.iter().filter(|echo| matches!(echo, Ok(text) if text == "still here")).count(), 1000);
        assert_eq!(proxy.counter("connections_open").await, 1000);
        assert_eq!(origin.connections(), 1000);
    });
}

#[test]
fn pools_of_backends_that_did_not_change_are_kept() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        // One connection is one worker, and so one pool.
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(client.get("x", "/").await.status, 200);
        for number in 0..5 {
            let other = format!("[backend.other{number}]\nendpoints = \"http://127.0.0.1:1\"\n");
            proxy.apply(&format!("{PLAIN}\n[[route]]\nhost = \"n\"\nbackend = \"other{number}\"\n{other}")).await;
            assert_eq!(client.get("x", "/").await.status, 200);
        }
        assert_eq!(origin.connections(), 1);
        // Neither was the client's connection closed.
        assert_eq!(proxy.counter("connections").await, 1);
    });
}

#[test]
fn pools_of_endpoints_that_stay_are_kept_when_their_backend_changes() {
    scenario(async {
        let (one, two) = (Origin::named("one").await, Origin::named("two").await);
        let proxy = Plan::new(PLAIN).set("origin", one.address()).set("two", two.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(client.get("x", "/").await.status, 200);
        let both = PLAIN.replace("[\"http://@origin@\"]", "[\"http://@origin@\", \"http://@two@\"]");
        proxy.apply(&both).await;
        for _ in 0..4 {
            assert_eq!(client.get("x", "/").await.status, 200);
        }
        proxy.apply(&both.replace("endpoints =", "balance = \"least-requests\"\nendpoints =")).await;
        for _ in 0..4 {
            assert_eq!(client.get("x", "/").await.status, 200);
        }
        assert_eq!((one.connections(), two.connections()), (1, 1));
    });
}

#[test]
fn what_is_known_of_an_endpoints_health_is_kept() {
    scenario(async {
        let down = Port::reserve();
        let text = PLAIN.replace("endpoints =", "health = { errors = 1, eject = \"1m\" }\nendpoints =");
        let proxy = Plan::new(&*text).set("origin", down.address()).start().await;
        assert_eq!(get(proxy.address("http"), "x", "/").await.status, 503);
        proxy.apply(&format!("{text}\n[[route]]\nhost = \"n\"\nrespond = {{ status = 204 }}\n")).await;
        assert_eq!(get(proxy.address("http"), "x", "/").await.status, 503);
        assert_eq!(proxy.status().await["backends"][0]["endpoints"][0]["state"], "ejected");
    });
}

#[test]
fn an_exchange_keeps_the_configuration_it_began_with() {
    scenario(async {
        let (one, two) = (Origin::named("one").await, Origin::named("two").await);
        let first =
            PLAIN.replace("backend = \"app\"\n", "backend = \"app\"\nresponse_headers = { set = { x-by = \"1\" } }\n");
        let second = first.replace("x-by = \"1\"", "x-by = \"2\"").replace("@origin@", "@two@");
        let proxy = Plan::new(&*first).set("origin", one.address()).set("two", two.address()).start().await;
        let client = Connection::h2c(proxy.address("http")).await;
        let (slow, ()) = tokio::join!(client.get("x", "/slow?ms=1500"), async {
            eventually("it has arrived", async || (one.count() == 1).then_some(())).await;
            proxy.apply(&second).await;
            // The next one on the same connection takes the new way.
            let answer = client.get("x", "/name").await;
            assert_eq!((answer.text().as_str(), answer.header("x-by")), ("two", "2"));
        });
        assert_eq!((slow.json()["origin"].as_str(), slow.header("x-by")), (Some("one"), "1"));
        assert_eq!(proxy.log_of("/slow?ms=1500").await["generation"], 1);
        assert_eq!(proxy.log_of("/name").await["generation"], 2);
    });
}

#[test]
fn a_long_download_on_a_removed_route_ends_by_itself() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = Plan::new(with_old()).set("origin", origin.address()).start().await;
        let address = proxy.address("http");
        for client in [Connection::h1(address).await, Connection::h2c(address).await] {
            let generation = proxy.generation().await;
            let download = tokio::spawn(async move { client.get("x", "/old/drip?n=25&ms=100").await });
            eventually("it has begun", async || origin.last().filter(|last| last.target.contains("drip")).map(drop))
                .await;
            proxy.apply(&PLAIN.replace("[[route]]\n", "[[route]]\npath = \"/only\"\n")).await;
            assert_eq!(get(address, "x", "/old/name").await.status, 404);
            let answer = download.await.unwrap();
            assert_eq!((answer.status, answer.text().lines().count()), (200, 25));
            proxy.apply(&with_old()).await;
            let line = proxy.log_line(|line| line["route"] == "old" && line["generation"] == generation).await;
            assert_eq!(line["end"], "complete");
        }
    });
}

#[test]
fn what_goes_on_for_ever_on_a_removed_route_ends_at_the_drain_deadline() {
    scenario(async {
        let origin = Origin::start().await;
        let drain = "[server]\ndrain = \"1s\"\n";
        let proxy = Plan::new(format!("{drain}{}", with_old())).set("origin", origin.address()).start().await;
        let address = proxy.address("http");
        let mut download = Raw::connect(address).await;
        let mut stalled = Raw::connect(address).await;
        download.send("GET /old/drip?n=1000&ms=50 HTTP/1.1\r\nhost: x\r\n\r\n").await;
        // Nobody reads this one.
        stalled.send("GET /old/endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let two = Connection::h2c(address).await;
        let stream = two.send(request("GET", "x", "/old/drip?n=1001&ms=50")).await.unwrap();
        let mut socket = WebSocket::open(address, "x", "/old/websocket").await.unwrap();
        let mut kept = WebSocket::open(address, "x", "/websocket").await.unwrap();
        eventually("all have begun", async || (origin.count() == 5).then_some(())).await;
        let begun = Instant::now();
        proxy.apply(&format!("{drain}{PLAIN}")).await;
        assert_eq!(socket.echo("not at once").await.unwrap(), "not at once");
        let response = download.response().await;
        assert!(response.status == 200 && response.is_cut, "{}", response.head);
        assert!(portcullis_tests::client::http::Answer::read(stream).await.is_err());
        socket.closed().await;
        let took = begun.elapsed();
        assert!((Duration::from_millis(900)..Duration::from_secs(8)).contains(&took), "{took:?}");
        for target in ["/old/drip?n=1000&ms=50", "/old/drip?n=1001&ms=50", "/old/endless", "/old/websocket"] {
            assert_eq!(proxy.log_of(target).await["end"], "drained", "{target}");
        }
        assert_eq!(proxy.counter("drained").await, 4);
        // The connection of the stream, and what was on other routes, go on.
        assert_eq!(two.get("x", "/").await.status, 200);
        assert_eq!(kept.echo("still here").await.unwrap(), "still here");
        drop(stalled);
    });
}

#[test]
fn tcp_connections_and_passthrough_go_on_over_reloads() {
    scenario(async {
        let echo = RawOrigin::echo().await;
        let text = r#"
[[listener]]
name = "db"
address = "127.0.0.1:@db@"
protocol = "tcp"
backend = "db"

[backend.db]
endpoints = ["tcp://@echo@"]
"#;
        let proxy = Plan::new(text).set("echo", echo.address()).start().await;
        let mut client = Raw::connect(proxy.address("db")).await;
        for word in ["one", "two", "six"] {
            client.send(word).await;
            assert_eq!(client.read_exactly(3).await, word.as_bytes());
            proxy.apply(&format!("{text}\n[backend.{word}]\nendpoints = \"tcp://127.0.0.1:1\"\n")).await;
        }
        client.send("end").await;
        assert_eq!(client.read_exactly(3).await, b"end");
        assert_eq!(echo.connections(), 1);
    });
}

#[test]
fn connections_of_a_listener_whose_tls_changes_go_on() {
    scenario(async {
        use portcullis_tests::certificates::{authority, leaf};
        let origin = Origin::start().await;
        let proxy = Plan::new(TLS).leaf("leaf", &leaf(&["x.example"])).set("origin", origin.address()).start().await;
        let client = Connection::tls(proxy.address("https"), "x.example", &authority().client(&["h2"])).await;
        assert_eq!(client.get("x.example", "/").await.status, 200);
        proxy.apply(&TLS.replace("tls = {}", "tls = { min_version = \"1.3\", h2 = false }")).await;
        assert_eq!(client.get("x.example", "/").await.status, 200);
        let new = Connection::tls(proxy.address("https"), "x.example", &authority().client(&["h2", "http/1.1"])).await;
        assert_eq!(new.tls.as_ref().unwrap().alpn.as_deref(), Some("http/1.1"));
    });
}
