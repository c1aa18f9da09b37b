use portcullis_tests::{
    certificates::leaf,
    client::http::get,
    origin::Origin,
    proxy::Plan,
    scenario::{eventually, scenario},
};

use crate::ground::{PLAIN, TLS, plain};

#[test]
fn the_line_says_what_was_added_removed_and_changed_and_how_long_it_took() {
    scenario(async {
        let origin = Origin::start().await;
        let text = |parts: &str| format!("{TLS}{parts}");
        let first = r#"
[[listener]]
name = "old-listener"
address = "127.0.0.1:@old@"

[[listener]]
name = "same-listener"
address = "127.0.0.1:@same@"
connections = 10

[[certificate]]
name = "old-certificate"
cert = "old.pem"
key = "old.key"

[[route]]
name = "old-route"
host = "old.example"
backend = "old-backend"

[[route]]
name = "same-route"
host = "same.example"
backend = "same-backend"

[backend.old-backend]
endpoints = "http://127.0.0.1:1"

[backend.same-backend]
endpoints = "http://127.0.0.1:1"
"#;
        let second = first
            .replace("old-", "new-")
            .replace("@old@", "@new@")
            .replace("old.", "new.")
            .replace("connections = 10", "connections = 20")
            .replace("backend = \"same-backend\"", "backend = \"same-backend\"\nstrip_prefix = \"/x\"")
            .replace("[backend.same-backend]", "[backend.same-backend]\nretries = 0");
        let plan = Plan::new(text(first)).leaf("leaf", &leaf(&["x.example"])).leaf("old", &leaf(&["old.example"]));
        let proxy = plan.leaf("new", &leaf(&["new.example"])).set("origin", origin.address()).start().await;
        proxy.apply(&text(&second)).await;
        let line = proxy.says("generation 2 in force").await;
        for part in [
            "listeners added new-listener removed old-listener changed same-listener",
            "routes added new-route removed old-route changed same-route",
            "backends added new-backend removed old-backend changed same-backend",
            "certificates added new-certificate removed old-certificate",
            "(a file changed)",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        // `after 3.2ms`: a time with its unit.
        let took = line.split("in force after ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
        assert!(took.ends_with('s') && took.starts_with(|digit: char| digit.is_ascii_digit()), "{line}");

        proxy.write_leaf("leaf", &leaf(&["x.example"]));
        let line = proxy.says("generation 3 in force").await;
        assert!(line.ends_with("certificates changed leaf"), "{line}");
    });
}

#[test]
fn the_command_says_the_same_as_the_line() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        // Between the event and what it causes is time enough for the command.
        proxy.edit(&PLAIN.replace("[[route]]\n", "[[route]]\nname = \"named\"\n"));
        let finished = proxy.command(&["reload"]).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.stdout.contains('2') && finished.stdout.contains("named"), "{}", finished.stdout);
        let finished = proxy.command(&["reload", "--json"]).await;
        let says: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!((&says["generation"], &says["changed"]), (&2.into(), &serde_json::json!({})));
    });
}

#[test]
fn every_reload_that_changes_something_has_the_next_number() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for generation in 2..6 {
            proxy.apply(&PLAIN.replace("[[route]]\n", &format!("[[route]]\nname = \"n{generation}\"\n"))).await;
            assert_eq!(proxy.generation().await, generation);
            let target = format!("/{generation}");
            assert_eq!(get(proxy.address("http"), "x", &target).await.status, 200);
            let line = proxy.log_of(&target).await;
            assert_eq!((&line["generation"], &line["route"]), (&generation.into(), &format!("n{generation}").into()));
        }
        // One that fails has none.
        proxy.edit("nonsense");
        eventually("it has failed", async || (proxy.status().await["reload"]["failures"] == 1).then_some(())).await;
        assert_eq!(proxy.generation().await, 5);
        proxy.apply(PLAIN).await;
        assert_eq!(proxy.generation().await, 6);
    });
}

#[test]
fn tables_that_move_and_comments_are_no_change() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let (listener, rest) = PLAIN.split_once("[[route]]").unwrap();
        proxy.edit(&format!("# A comment.\n\n\n[[route]]{rest}\n{listener}\n# The end.\n"));
        let line = proxy.says("nothing changed").await;
        assert!(line.contains("generation 1 stays"), "{line}");
        assert_eq!(proxy.generation().await, 1);
    });
}

#[test]
fn what_takes_a_restart_is_said() {
    scenario(async {
        let origin = Origin::start().await;
        let text = format!("[server]\nworkers = 1\n{PLAIN}");
        let proxy = Plan::new(&*text).set("origin", origin.address()).start().await;
        proxy.apply(&text.replace("workers = 1", "workers = 2")).await;
        let line = proxy.says("take effect at the next start").await;
        assert!(line.contains("workers") && line.contains("WARN"), "{line}");
        assert_eq!(proxy.status().await["workers"], 1);
        assert_eq!(get(proxy.address("http"), "x", "/").await.status, 200);
    });
}
