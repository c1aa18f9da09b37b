use std::{
    cell::Cell,
    collections::BTreeSet,
    io::Read,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use portcullis_tests::{
    certificates::{authority, leaf},
    client::{
        http::{Connection, get, request},
        raw::Raw,
    },
    nameserver::{Mood, Nameserver},
    origin::{Origin, raw::RawOrigin},
    port::Port,
    proxy::{Plan, Proxy},
    repository::{read, rows, section},
    scenario::{eventually, scenario},
};
use serde_json::{Value, json};

use crate::{
    ground::{PLAIN, plain},
    plugins::guest,
};

/// The fields that `docs/operating.md` lists, in its order.
fn documented() -> Vec<String> {
    let page = read("docs/operating.md");
    let fields = rows(section(&page, "## The access log"));
    fields.iter().map(|row| row[0].trim_matches('`').to_owned()).collect()
}

/// Fails when `line` has a field that is not documented, or has them in another order.
fn check_fields(line: &Value, documented: &[String]) {
    let mut rest = documented.iter();
    for key in line.as_object().unwrap().keys() {
        assert!(rest.any(|field| field == key), "`{key}` is not documented, or not at this place: {line}");
    }
}

/// The values of the human form up to the fixed places' end, and the pairs behind.
fn human(line: &str) -> (Vec<&str>, Vec<&str>) {
    let words: Vec<&str> = line.split(' ').collect();
    let (fixed, pairs) = words.split_at(8);
    (fixed.to_vec(), pairs.to_vec())
}

#[test]
fn every_field_is_documented_and_every_documented_field_is_written() {
    scenario(async {
        let (origin, dead, nameserver) = (Origin::start().await, Port::reserve(), Nameserver::start().await);
        nameserver.set("app.private.internal", &["127.0.0.1".parse().unwrap()]);
        let text = r#"
[[listener]]
name = "https"
address = "127.0.0.1:@https@"
tls = {}
trusted = "127.0.0.1"

[[certificate]]
name = "leaf"
cert = "leaf.pem"
key = "leaf.key"

[[route]]
name = "posts"
path = "/named"
method = "POST"
backend = "named"

[[route]]
name = "named"
path = "/named"
backend = "named"

[[route]]
name = "decided"
path = "/decided"
plugins = ["decide"]
backend = "app"

[plugin.decide]
module = "@guest@"
config = { do = "respond", status = 403 }

[[route]]
name = "retried"
backend = "app"

[backend.app]
endpoints = ["http://@dead@", "http://@origin@"]
health = { errors = 0 }

[backend.named]
endpoints = ["http://app.private.internal:@port@"]

[dns]
negative_ceiling = "1s"

[[dns.zone]]
suffix = "private.internal"
nameservers = ["@nameserver@"]
"#;
        let proxy = Plan::new(text)
            .leaf("leaf", &leaf(&["shop.example"]))
            .set("guest", guest("good"))
            .set("origin", origin.address())
            .set("port", origin.address().port())
            .set("dead", dead.address())
            .set("nameserver", nameserver.address())
            .start()
            .await;
        let client = Connection::tls(proxy.address("https"), "shop.example", &authority().client(&["h2"])).await;
        let mut first = request("GET", "shop.example", "/named/first?x=1");
        first.headers_mut().insert("user-agent", "scenario/1".parse().unwrap());
        first.headers_mut().insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
        assert_eq!(client.fetch(first).await.status, 200);
        // The second finds the connection of the first, on the same worker.
        assert_eq!(client.get("shop.example", "/named/second").await.status, 200);
        for turn in 0..4 {
            assert_eq!(client.get("shop.example", &format!("/retried/{turn}")).await.status, 200);
        }
        assert_eq!(client.get("other.example", "/misdirected").await.status, 421);
        assert_eq!(client.get("shop.example", "/decided").await.status, 403);
        nameserver.mood(Mood::Failing);
        eventually("an exchange is served from an answer past its time to live", async || {
            client.get("shop.example", "/named/stale").await;
            proxy.log_lines().iter().any(|line| line["dns_stale"] == true).then_some(())
        })
        .await;

        let documented = documented();
        assert!(documented.len() >= 40, "{documented:?}");
        let mut seen = BTreeSet::new();
        for line in proxy.log_lines() {
            check_fields(&line, &documented);
            seen.extend(line.as_object().unwrap().keys().cloned());
        }
        let never: Vec<_> = documented.iter().filter(|field| !seen.contains(*field)).collect();
        assert!(never.is_empty(), "documented and never written: {never:?}");

        let line = proxy.log_of("/named/first?x=1").await;
        let expected = [
            ("kind", "http"),
            ("listener", "https"),
            ("sni", "shop.example"),
            ("tls", "TLSv1.3"),
            ("alpn", "h2"),
            ("certificate", "leaf"),
            ("version", "HTTP/2.0"),
            ("method", "GET"),
            ("host", "shop.example"),
            ("user_agent", "scenario/1"),
            ("route", "named"),
            ("backend", "named"),
            ("endpoint", &origin.address().to_string()),
            ("endpoint_name", "app.private.internal"),
            ("chosen", "only"),
            ("end", "complete"),
            ("local", &proxy.address("https").to_string()),
        ];
        for (field, value) in expected {
            assert_eq!(line[field], value, "{field} in {line}");
        }
        assert!(line["client"].as_str().unwrap().starts_with("203.0.113.9:"), "{line}");
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        assert_eq!((&line["status"], &line["reused"], &line["generation"]), (&200.into(), &false.into(), &1.into()));
        assert_eq!(line["misses"][0], json!({ "route": "posts", "failed": "method" }), "the more specific one: {line}");
        assert!(line["first_byte_us"].as_u64() <= line["total_us"].as_u64(), "{line}");
        assert_eq!(proxy.log_of("/named/second").await["reused"], true);
        let retried = proxy.log_line(|line| line["attempts"].is_array()).await;
        let attempts = retried["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 2, "{retried}");
        assert_eq!((&attempts[0]["error"], &attempts[1]["chosen"]), (&"connection_refused".into(), &"retry".into()));
        assert_eq!(retried["endpoint"], attempts[1]["endpoint"]);
    });
}

#[test]
fn each_exchange_of_any_kind_has_one_line() {
    scenario(async {
        let (origin, echo) = (Origin::start().await, RawOrigin::echo().await);
        let text = format!(
            "{PLAIN}\n[[listener]]\nname = \"raw\"\naddress = \"127.0.0.1:@raw@\"\nprotocol = \"tcp\"\nbackend = \"echo\"\n\
             [[listener]]\nname = \"tls\"\naddress = \"127.0.0.1:@tls@\"\ntls = {{}}\n\
             [[route]]\nname = \"through\"\nsni = \"through.example\"\npassthrough = \"secret\"\n\
             [backend.echo]\nendpoints = [\"tcp://@echo@\"]\n[backend.secret]\nendpoints = [\"tcp://@secret@\"]\n"
        );
        let secret = Origin::plan("secret").tls(leaf(&["through.example"]).server(&["http/1.1"])).start().await;
        let proxy = Plan::new(text)
            .set("origin", origin.address())
            .set("echo", echo.address())
            .set("secret", secret.address())
            .start()
            .await;

        let client = Connection::h1(proxy.address("http")).await;
        for number in 0..3 {
            client.get("a.example", &format!("/{number}")).await;
        }
        let mut raw = Raw::connect(proxy.address("raw")).await;
        raw.send("hello").await;
        assert_eq!(raw.read_exactly(5).await, b"hello");
        raw.finish().await;
        assert!(raw.is_closed().await);
        let mut socket =
            portcullis_tests::client::websocket::WebSocket::open(proxy.address("http"), "a.example", "/websocket")
                .await
                .unwrap();
        socket.echo("hello").await.unwrap();
        socket.close().await.unwrap();
        let through =
            Connection::tls(proxy.address("tls"), "through.example", &authority().client(&["http/1.1"])).await;
        through.get("through.example", "/").await;
        drop(through);

        let lines = eventually("six exchanges have a line", async || {
            let lines = proxy.log_lines();
            (lines.len() >= 6).then_some(lines)
        })
        .await;
        let count = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
        assert_eq!([count("http"), count("tcp"), count("upgrade"), count("passthrough")], [3, 1, 1, 1], "{lines:?}");
        let ids: BTreeSet<_> = lines.iter().map(|line| line["id"].as_str().unwrap_or_default().to_owned()).collect();
        assert_eq!(ids.len(), 6, "ids are unique: {lines:?}");
        let tcp = lines.iter().find(|line| line["kind"] == "tcp").unwrap();
        assert_eq!((&tcp["listener"], &tcp["backend"]), (&"raw".into(), &"echo".into()));
        assert_eq!((&tcp["received"], &tcp["sent"]), (&5.into(), &5.into()));
        let through = lines.iter().find(|line| line["kind"] == "passthrough").unwrap();
        assert_eq!((&through["sni"], &through["route"]), (&"through.example".into(), &"through".into()));
        let connections: BTreeSet<_> = lines.iter().map(|line| line["connection"].as_u64().unwrap()).collect();
        assert_eq!(connections.len(), 4, "three exchanges share a connection");
    });
}

#[test]
fn says_how_an_exchange_ended() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let address = proxy.address("http");
        let mut gone = Raw::connect(address).await;
        gone.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(!gone.read_exactly(100_000).await.is_empty());
        drop(gone);
        let mut gone = Raw::connect(address).await;
        gone.send("GET /slow?ms=60000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        eventually("the origin is asked", async || (origin.count() == 2).then_some(())).await;
        drop(gone);
        let mut cut = Raw::connect(address).await;
        assert!(cut.exchange("GET /break HTTP/1.1\r\nhost: a\r\n\r\n").await.is_cut);
        for target in ["/endless", "/slow?ms=60000"] {
            let line = proxy.log_of(target).await;
            assert_eq!(line["end"], "client_gone", "{line}");
        }
        assert!(proxy.log_of("/endless").await["sent"].as_u64().unwrap() >= 90_000);
        let line = proxy.log_of("/break").await;
        assert_eq!(
            (&line["end"], &line["origin"], &line["status"]),
            (&"aborted".into(), &"backend".into(), &200.into())
        );
        assert_eq!(line["sent"], 1000, "{line}");
    });
}

#[test]
fn counts_the_bytes_of_both_bodies() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let upload =
            "POST /bytes?n=70000 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        assert_eq!(client.exchange(upload).await.body.len(), 70_000);
        let line = proxy.log_of("/bytes?n=70000").await;
        assert_eq!((&line["received"], &line["sent"]), (&5.into(), &70_000.into()));
        client.send("HEAD /bytes?n=5 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.response_to("HEAD").await.status, 200);
        assert_eq!(proxy.log_of("/bytes?n=5").await["sent"], 0);
    });
}

#[test]
fn request_ids_are_kept_where_usable_and_made_otherwise() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let long = "x".repeat(129);
        let longest = "y".repeat(128);
        for (number, (given, kept)) in [
            ("mine-1", true),
            (&*longest, true),
            (&*long, false),
            ("two words", false),
            ("caf\u{e9}", false),
            ("", false),
        ]
        .into_iter()
        .enumerate()
        {
            let answer =
                client.exchange(format!("GET /{number} HTTP/1.1\r\nhost: a\r\nx-request-id: {given}\r\n\r\n")).await;
            let line = proxy.log_of(&format!("/{number}")).await;
            let id = line["id"].as_str().unwrap();
            assert_eq!(id == given, kept, "{line}");
            assert!(id.len() >= 16 || kept, "{line}");
            let echo: Value = serde_json::from_slice(&answer.body).unwrap();
            let sent: Vec<_> =
                echo["headers"].as_array().unwrap().iter().filter(|field| field[0] == "x-request-id").collect();
            assert_eq!(sent.len(), 1, "{echo}");
            assert_eq!(sent[0][1], id, "the backend gets the same");
        }
    });
}

#[test]
fn nothing_a_client_sends_forges_a_line() {
    scenario(async {
        let origin = Origin::start().await;
        for access in ["json", "human"] {
            let text = format!("[log]\naccess = \"{access}\"\n{PLAIN}");
            let proxy = Plan::new(text).set("origin", origin.address()).start().await;
            let mut client = Raw::connect(proxy.address("http")).await;
            let mut random = fastrand::Rng::with_seed(11);
            let mut sent = 0;
            for number in 0..40 {
                let mut value: Vec<u8> = (0..random.usize(1..300)).map(|_| random.u8(0x20..)).collect();
                value.retain(|byte| *byte != 0x7f);
                value.extend_from_slice(b"\"}\t{\"forged\":1,\\ \xe2\x80\xae \xff");
                let target = format!("/{number}?%0a%1b[2Jroute=admin&%22%7d'");
                let mut request = format!("GET {target} HTTP/1.1\r\nhost: a\r\nuser-agent: ").into_bytes();
                request.extend_from_slice(&value);
                request.extend_from_slice(b"\r\n\r\n");
                client.send(&request).await;
                let status = client.response().await.status;
                assert!([200, 400].contains(&status), "{status}");
                sent += 1;
                if status == 400 {
                    client = Raw::connect(proxy.address("http")).await;
                }
            }
            let log = eventually("each exchange has a line", async || {
                let log = proxy.access_log();
                (log.lines().count() >= sent).then_some(log)
            })
            .await;
            assert_eq!(log.lines().count(), sent, "one line each: {log}");
            let harmful = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!log.contains(harmful), "{log}");
            if access == "json" {
                for line in proxy.log_lines() {
                    assert!(line.get("forged").is_none(), "{line}");
                }
            }
        }
    });
}

#[test]
fn long_texts_are_cut() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut client = Raw::connect(proxy.address("http")).await;
        let (target, agent) = (format!("/{}", "t".repeat(5000)), "u".repeat(1000));
        let answer = client.exchange(format!("GET {target} HTTP/1.1\r\nhost: a\r\nuser-agent: {agent}\r\n\r\n")).await;
        assert_eq!(answer.status, 200);
        let line = proxy.log_line(|line| line["status"] == 200).await;
        assert_eq!(line["target"].as_str().unwrap().len(), 2048);
        assert_eq!(line["user_agent"].as_str().unwrap().len(), 256);
        assert!(answer.text().contains(&target), "the backend gets all of it");
    });
}

#[test]
fn the_human_form_has_fixed_places_and_then_pairs() {
    scenario(async {
        let origin = Origin::start().await;
        let text = format!("[log]\naccess = \"human\"\n{PLAIN}");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        client.get("Shop.Example", "/cart?x=1").await;
        let mut cut = Raw::connect(proxy.address("http")).await;
        cut.exchange("GET /break?n=7 HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\n\r\n").await;
        let log = eventually("both have a line", async || {
            let log = proxy.access_log();
            (log.lines().count() == 2).then_some(log)
        })
        .await;
        let find = |part: &str| log.lines().find(|line| line.contains(part)).unwrap().to_owned();
        let line = find("/cart");
        let (fixed, pairs) = human(&line);
        assert!(fixed[0].len() == 27 && fixed[0].ends_with('Z'), "{line}");
        assert_eq!(fixed[1..6], ["200", "GET", "shop.example", "/cart?x=1", "127.0.0.1"]);
        assert!(fixed[6].ends_with('s') && fixed[7].ends_with('B'), "{line}");
        assert!(
            pairs.contains(&"backend=app") && pairs.contains(&&*format!("endpoint={}", origin.address())),
            "{line}"
        );
        let line = find("/break");
        let (fixed, pairs) = human(&line);
        assert_eq!(fixed[7], "7B");
        for pair in ["end=aborted", "origin=backend", "id=mine"] {
            assert!(pairs.contains(&pair), "{line}");
        }
    });
}

#[test]
fn a_file_survives_rotation_and_loses_no_line() {
    scenario(async {
        let origin = Origin::start().await;
        let text = format!("[log]\nfile = \"requests.log\"\n{PLAIN}");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let path = proxy.folder().join("requests.log");
        let written = |name: &str| std::fs::read_to_string(proxy.folder().join(name)).unwrap_or_default();
        let client = Connection::h1(proxy.address("http")).await;
        let sent = Cell::new(0);
        let ask = async || {
            client.get("a.example", &format!("/{}", sent.get())).await;
            sent.set(sent.get() + 1);
        };
        ask().await;
        eventually("the file has a line", async || (!written("requests.log").is_empty()).then_some(())).await;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        for moved in ["requests.log.1", "requests.log.2"] {
            std::fs::rename(&path, proxy.folder().join(moved)).unwrap();
            eventually("the new file has a line", async || {
                ask().await;
                (!written("requests.log").is_empty()).then_some(())
            })
            .await;
        }
        let all = || ["requests.log.1", "requests.log.2", "requests.log"].map(written).concat();
        eventually("all lines are written", async || (all().lines().count() >= sent.get()).then_some(())).await;
        let targets: BTreeSet<String> = all()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["target"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            (targets.len(), all().lines().count()),
            (sent.get(), sent.get()),
            "every exchange is in one of the files once"
        );
        assert!(proxy.access_log().is_empty(), "nothing goes to standard output");

        std::fs::remove_file(&path).unwrap();
        eventually("a removed file is made anew", async || {
            ask().await;
            (!written("requests.log").is_empty()).then_some(())
        })
        .await;
    });
}

#[test]
fn a_log_that_cannot_be_written_is_counted_and_holds_up_nobody() {
    scenario(async {
        let origin = Origin::start().await;
        let text = format!("[log]\nfile = \"/dev/full\"\n{PLAIN}");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        eventually("dropped lines are counted", async || {
            assert_eq!(client.get("a.example", "/").await.status, 200);
            (proxy.status().await["log_lines_dropped"].as_u64().unwrap() > 0).then_some(())
        })
        .await;
        proxy.says("lines are dropped").await;
    });
}

#[test]
fn a_reader_that_stops_or_leaves_holds_up_nobody() {
    scenario(async {
        let origin = Origin::start().await;
        let (reader, writer) = std::io::pipe().unwrap();
        let proxy = Plan::new(PLAIN).set("origin", origin.address()).stdout(writer).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        // Each line has about 700 bytes, a pipe 64 KiB: after a hundred it is full.
        let agent = "a".repeat(256);
        let begun = Instant::now();
        for number in 0..600 {
            let mut request = request("GET", "a.example", &format!("/{number}?{}", "q".repeat(1000)));
            request.headers_mut().insert("user-agent", agent.parse().unwrap());
            assert_eq!(client.fetch(request).await.status, 200);
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        // What is in the pipe are whole lines.
        let mut first = [0; 4096];
        let mut reader = reader;
        reader.read_exact(&mut first).unwrap();
        let line = String::from_utf8_lossy(&first);
        assert!(serde_json::from_str::<Value>(line.lines().next().unwrap()).is_ok(), "{line}");
        drop(reader);
        eventually("the loss is counted", async || {
            assert_eq!(client.get("a.example", "/after").await.status, 200);
            (proxy.status().await["log_lines_dropped"].as_u64().unwrap() > 0).then_some(())
        })
        .await;
    });
}

#[test]
fn a_reload_changes_form_and_place_and_may_turn_it_off() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let address = proxy.address("http");
        get(address, "a.example", "/json").await;
        assert_eq!(proxy.log_of("/json").await["generation"], 1);
        let with = |table: &str| format!("[log]\n{table}\n{PLAIN}");
        let contains = async |proxy: &Proxy, name: &str, text: &str| {
            eventually(&format!("{name} has {text}"), async || {
                let log = std::fs::read_to_string(proxy.folder().join(name)).unwrap_or_default();
                log.contains(text).then_some(log)
            })
            .await
        };
        proxy.apply(&with("access = \"human\"")).await;
        get(address, "a.example", "/human").await;
        contains(&proxy, "access.log", " 200 GET a.example /human 127.0.0.1 ").await;
        proxy.apply(&with("file = \"new.log\"")).await;
        get(address, "a.example", "/file").await;
        contains(&proxy, "new.log", "\"/file\"").await;
        proxy.apply(&with("access = \"off\"\nfile = \"new.log\"")).await;
        get(address, "a.example", "/silent").await;
        proxy.apply(&with("file = \"last.log\"")).await;
        get(address, "a.example", "/last").await;
        contains(&proxy, "last.log", "\"/last\"").await;
        let everything = ["access.log", "new.log", "last.log"]
            .map(|name| std::fs::read_to_string(proxy.folder().join(name)).unwrap_or_default());
        assert!(!everything.concat().contains("/silent"), "{everything:?}");
        assert!(!everything[0].contains("/file"), "{everything:?}");
    });
}
