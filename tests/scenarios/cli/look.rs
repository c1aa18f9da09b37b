use portcullis_tests::{
    nameserver::{Mood, Nameserver},
    origin::Origin,
    proxy::Plan,
    scenario::{eventually, scenario},
};
use serde_json::Value;

use super::Desk;
use crate::ground::PLAIN;

#[test]
fn version_names_version_and_commit() {
    scenario(async {
        let finished = Desk::new().run(&["--version"]).await;
        assert_eq!(finished.code, Some(0));
        let line = finished.stdout.trim();
        let rest = line
            .strip_prefix(concat!("portcullis ", env!("CARGO_PKG_VERSION"), " ("))
            .unwrap_or_else(|| panic!("{line}"));
        let commit = rest.strip_suffix(')').unwrap();
        assert!(commit == "unknown" || commit.len() >= 7, "{line}");
    });
}

#[test]
fn every_command_has_help_with_examples() {
    scenario(async {
        let desk = Desk::new();
        let all = desk.run(&["--help"]).await;
        assert_eq!(all.code, Some(0));
        for command in ["run", "check", "schema", "explain", "dns", "status", "reload", "demo"] {
            assert!(all.stdout.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {}", all.stdout);
            let finished = desk.run(&[command, "--help"]).await;
            assert_eq!(finished.code, Some(0));
            assert!(finished.stdout.contains(&format!("portcullis {command}")), "{}", finished.stdout);
            let examples =
                finished.stdout.split("Examples:").nth(1).unwrap_or_else(|| panic!("{command} has no examples"));
            assert!(examples.contains(&format!("portcullis {command}")), "{}", finished.stdout);
            assert!(finished.stdout.lines().all(|line| line.chars().count() <= 120), "{}", finished.stdout);
        }
        assert!(all.stdout.contains("Examples:") && all.stdout.contains("Exit status"), "{}", all.stdout);
    });
}

#[test]
fn a_wrong_command_line_is_status_2() {
    scenario(async {
        let desk = Desk::new();
        for arguments in [
            &[][..],
            &["fly"],
            &["run", "a", "b"],
            &["check", "--onlin"],
            &["explain"],
            &["explain", "GET", "http://a/", "-H", "no colon"],
            &["explain", "GET", "http://a/", "--client", "nobody"],
            &["dns"],
            &["status", "--config", "x"],
        ] {
            let finished = desk.run(arguments).await;
            assert_eq!(finished.code, Some(2), "{arguments:?}: {finished:?}");
            assert!(
                finished.stderr.contains("--help") || finished.stderr.contains("Usage"),
                "{arguments:?}: {finished:?}"
            );
        }
    });
}

#[test]
fn schema_is_json_schema_that_describes_every_table() {
    scenario(async {
        let (code, schema) = Desk::new().json(&["schema"]).await;
        assert_eq!(code, Some(0));
        assert!(schema["$schema"].as_str().unwrap().contains("2020-12"), "{}", schema["$schema"]);
        for table in ["server", "log", "limits", "dns", "listener", "certificate", "route", "backend"] {
            assert!(!schema["properties"][table].is_null(), "{table}");
        }
        assert_eq!(schema["additionalProperties"], false);
        let text = schema.to_string();
        for key in ["unknown_sni", "body_idle_time", "strip_prefix", "eject_max", "ttl_ceiling"] {
            assert!(text.contains(&format!("\"{key}\"")), "{key}");
        }
        assert!(text.matches("\"description\"").count() > 50, "keys are described");
    });
}

#[test]
fn schema_may_be_cut_short_by_its_reader() {
    scenario(async {
        use std::io::Read;
        let mut child = std::process::Command::new(portcullis_tests::binary::portcullis())
            .arg("schema")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut error = String::new();
        child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert!(child.wait().unwrap().success(), "{error}");
        assert!(!error.contains("panicked"), "{error}");
    });
}

#[test]
fn commands_that_ask_a_process_say_when_there_is_none() {
    scenario(async {
        let desk = Desk::new();
        desk.write(
            "portcullis.toml",
            format!("[server]\ncontrol = \"{}\"\n", desk.path("no.sock").display())
                + "[[listener]]\naddress = \"127.0.0.1:8080\"\n[[route]]\nrespond = { status = 204 }\n",
        );
        for arguments in [
            &["status"][..],
            &["reload"],
            &["explain", "http://a.example/"],
            &["dns", "a.example"],
            &["explain", "abcdef"],
        ] {
            let finished = desk.run(arguments).await;
            assert_eq!(finished.code, Some(1), "{arguments:?}: {finished:?}");
            assert!(
                finished.stderr.contains("no portcullis runs here") && finished.stderr.contains("no.sock"),
                "{finished:?}"
            );
            let asks_files = ["explain", "dns"].contains(&arguments[0]);
            assert_eq!(finished.stderr.contains("--config"), asks_files, "{finished:?}");
        }
        // A socket that nobody serves.
        drop(std::os::unix::net::UnixListener::bind(desk.path("dead.sock")).unwrap());
        let finished = desk.run(&["status", "--control", "dead.sock"]).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains("died"), "{finished:?}");
        desk.write("file.sock", "");
        let finished = desk.run(&["status", "--control", "file.sock"]).await;
        assert_eq!(finished.code, Some(1), "{finished:?}");
    });
}

#[test]
fn dns_shows_a_name_as_the_proxy_sees_it() {
    scenario(async {
        let (origin, nameserver) = (Origin::start().await, Nameserver::start().await);
        nameserver
            .set("1.web.ap-x.pn-y.private-network.internal", &["127.0.0.9".parse().unwrap(), "::1".parse().unwrap()]);
        nameserver
            .set_services("_http._tcp.private-network.internal", &[(3000, "1.web.ap-x.pn-y.private-network.internal")]);
        let text = format!(
            "{PLAIN}\n[dns]\ntime = \"500ms\"\n[dns.hosts]\nnas = \"192.168.1.20\"\n[[dns.zone]]\nsuffix = \"private-network.internal\"\n\
             nameservers = [\"@nameserver@\"]\n"
        );
        let proxy =
            Plan::new(text).set("origin", origin.address()).set("nameserver", nameserver.address()).start().await;
        let config = proxy.folder().join("portcullis.toml").display().to_string();
        let ask = async |arguments: &[&str], file: bool| -> (Option<i32>, Value) {
            let arguments = [&["dns", "--json"], arguments].concat();
            let finished = if file {
                Desk::new().run(&[&*arguments, &["--config", &config]].concat()).await
            } else {
                proxy.command(&arguments).await
            };
            (
                finished.code,
                serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}")),
            )
        };
        for file in [false, true] {
            let (code, answer) = ask(&["1.web.ap-x.pn-y.private-network.internal"], file).await;
            assert_eq!(code, Some(0));
            assert_eq!(
                (&answer["source"], &answer["zone"]),
                (&"zone".into(), &"private-network.internal".into()),
                "{answer}"
            );
            assert_eq!(answer["nameserver"], nameserver.address().to_string());
            assert_eq!(answer["ttl"], 1.0);
            let records: Vec<_> =
                answer["records"].as_array().unwrap().iter().map(|record| record["address"].clone()).collect();
            assert!(records.contains(&"127.0.0.9".into()) && records.contains(&"::1".into()), "{answer}");
            assert_ne!(answer["state"], "stale");

            let (code, answer) = ask(&["--srv", "_http._tcp.private-network.internal"], file).await;
            assert_eq!(code, Some(0));
            assert_eq!(answer["records"][0]["port"], 3000, "{answer}");

            let (code, answer) = ask(&["nas"], file).await;
            assert_eq!((code, &answer["records"][0]["address"]), (Some(0), &"192.168.1.20".into()), "{answer}");

            let (code, answer) = ask(&["gone.private-network.internal"], file).await;
            assert_eq!(code, Some(1), "a name without records is status 1: {answer}");
            assert_eq!(answer["state"], "no_such_name", "{answer}");
        }
        let finished = proxy.command(&["dns", "1.web.ap-x.pn-y.private-network.internal"]).await;
        for part in ["zone", "private-network.internal", "127.0.0.9", &nameserver.address().to_string()] {
            assert!(finished.stdout.contains(part), "{part} in {finished:?}");
        }
    });
}

#[test]
fn dns_says_that_an_answer_is_stale_and_how_old() {
    scenario(async {
        let (origin, nameserver) = (Origin::start().await, Nameserver::start().await);
        nameserver.set("app.private.internal", &["127.0.0.1".parse().unwrap()]);
        let text = PLAIN.replace("http://@origin@", "http://app.private.internal:@port@")
            + "\n[dns]\ntime = \"300ms\"\n[[dns.zone]]\nsuffix = \"private.internal\"\nnameservers = [\"@nameserver@\"]\n";
        let proxy =
            Plan::new(text).set("port", origin.address().port()).set("nameserver", nameserver.address()).start().await;
        nameserver.mood(Mood::Silent);
        let answer = eventually("the answer is stale", async || {
            let finished = proxy.command(&["dns", "--json", "app.private.internal"]).await;
            let answer: Value = serde_json::from_str(&finished.stdout).unwrap();
            (answer["state"] == "stale").then_some(answer)
        })
        .await;
        assert_eq!(answer["records"][0]["address"], "127.0.0.1");
        assert!(
            answer["age"].as_f64().unwrap() >= 1.0 && answer["reason"].as_str().unwrap().contains("no answer"),
            "{answer}"
        );
    });
}
