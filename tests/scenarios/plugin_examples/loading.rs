use portcullis_tests::{proxy::Plan, repository, scenario::scenario};

use super::{module, text};

const ALL: [&str; 7] = ["basic-auth", "headers", "ip-policy", "jwt", "maintenance", "rate-limit", "rewrite-body"];

/// What every README shows, completed by what it leaves out: a listener, and the backends that it names.
fn completed(block: &str) -> String {
    let mut text = format!("[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@http@\"\n{block}\n");
    for name in block.lines().filter_map(|line| line.strip_prefix("backend = \"")?.strip_suffix('"')) {
        if !block.contains(&format!("[backend.{name}]")) {
            text.push_str(&format!("[backend.{name}]\nendpoints = [\"http://127.0.0.1:1\"]\n"));
        }
    }
    text
}

#[test]
fn what_the_readmes_show_loads() {
    scenario(async {
        for name in ALL {
            let page = repository::read(&format!("plugins/{name}/README.md"));
            let mut blocks = repository::blocks(&page, "toml");
            assert!(!blocks.is_empty(), "{name} shows no configuration");
            for block in blocks.drain(..) {
                assert!(block.contains(&format!("module = \"builtin:{name}\"")), "{name}: {block}");
                // Not its file: what comes with the executable has grants that a file has not.
                let finished = Plan::new(completed(&block)).command(&["check"]).await;
                assert!(finished.code == Some(0), "{name}:\n{block}\n{finished:?}");
            }
        }
    });
}

#[test]
fn a_mistake_in_a_plugin_s_table_names_plugin_and_key() {
    scenario(async {
        for (name, table, parts) in [
            (
                "ip-policy",
                "grants = { log = true }\nconfig = { allow = [\"10.1.2.3/8\"] }",
                ["ip-policy", "allow[0]", "10.0.0.0/8"],
            ),
            (
                "rate-limit",
                "grants = { key_value = true, clock = true, log = true }\nconfig = { limits = [{ requests = 0, window = \"1s\" }] }",
                ["rate-limit", "limits[0].requests", "write at least 1"],
            ),
            (
                "jwt",
                "grants = { key_value = true, clock = true, log = true, http = [] }\nconfig = { keys = [{ secret = \"short\" }] }",
                ["jwt", "keys[0]", "at least 32"],
            ),
            (
                "basic-auth",
                "grants = { key_value = true }\nconfig = { usrs = [] }",
                ["basic-auth", "usrs", "unknown field"],
            ),
        ] {
            let plan = Plan::new(text(name, "", table)).set("module", module(name)).set("origin", "127.0.0.1:1");
            let finished = plan.command(&["check"]).await;
            assert!(finished.code != Some(0), "{name}");
            let said = format!("{}{}", finished.stdout, finished.stderr);
            for part in parts {
                assert!(said.contains(part), "{name}: {part} is not in {said}");
            }
        }
    });
}

#[test]
fn an_import_without_its_grant_says_what_to_write() {
    scenario(async {
        let config = "config = { deny = [\"10.0.0.0/8\"] }";
        let plan =
            Plan::new(text("ip-policy", "", config)).set("module", module("ip-policy")).set("origin", "127.0.0.1:1");
        let finished = plan.command(&["check"]).await;
        assert!(finished.code != Some(0));
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(said.contains("log = true"), "{said}");
    });
}
