use portcullis_tests::{
    repository::{blocks, read},
    scenario::scenario,
};
use serde_json::json;

use super::pages::{commands, shell};

/// Where Debian puts the Core Rule Set.
const CRS: &str = "/usr/share/modsecurity-crs/rules";

#[test]
fn the_commands_of_the_wafs_page_do_what_it_says() {
    scenario(async {
        let page = read("docs/waf.md");
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
        let configs = blocks(&page, "toml");
        write("portcullis.toml", &configs[0]);
        let attack = format!("{}\n", blocks(&page, "http")[0]);
        write("attack.http", &attack);
        write(
            "ordinary.http",
            "GET /product?id=42 HTTP/1.1\nHost: shop.example.com\nUser-Agent: Mozilla/5.0\nAccept: */*\n\n",
        );
        write("excepted.toml", configs.iter().find(|config| config.contains("except")).unwrap());
        std::fs::create_dir(folder.path().join("requests")).unwrap();
        write("requests/a.http", &attack);
        let record = |client: &str| {
            let request = json!({ "method": "GET", "uri": "/p?q=1'+or+'1'='1", "headers": { "Host": "a" } });
            json!({ "transaction": { "client_ip": client, "request": request, "messages": [] } }).to_string() + "\n"
        };
        write("audit.jsonl", &["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(record).concat());

        let mut counted = 0;
        for line in commands(&page) {
            if line.contains(CRS) && !std::path::Path::new(CRS).exists() {
                eprintln!("SKIPPED: {line}: Debian's modsecurity-crs is not installed");
                continue;
            }
            let finished = shell(&line, folder.path()).run().await;
            // What explains an attack says so with its status.
            let is_refusal = line.starts_with("portcullis waf explain attack.http --config portcullis.toml");
            assert_eq!(finished.code, Some(i32::from(is_refusal)), "{line}: {finished:?}");
            let says = if line.contains("check") {
                "sound"
            } else if line.contains("tune") {
                "proposal 1: ARGS:q on /p"
            } else if line.contains("cost") {
                "us a request"
            } else if line.contains("portcullis.toml") && line.contains("attack") {
                "refused with 403 by rule 7000"
            } else {
                "The request passes"
            };
            assert!(finished.stdout.contains(says), "{line}: {finished:?}");
            counted += 1;
        }
        assert!(counted >= 8, "{counted}");
    });
}
