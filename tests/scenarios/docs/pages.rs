use std::{collections::BTreeSet, path::Path};

use portcullis_config::load::{Source, parse};
use portcullis_tests::{
    binary,
    certificates::leaf,
    client::http::get,
    origin::Origin,
    port::Port,
    process::Process,
    repository::{blocks, read, root, rows, section},
    scenario::scenario,
    tool::Tool,
};
use serde_json::{Value, json};

use crate::ground::plain;

/// Every page for readers.
fn pages() -> Vec<String> {
    let folder = |path: &str| {
        let entries = std::fs::read_dir(root().join(path)).unwrap();
        entries.map(|entry| Path::new(path).join(entry.unwrap().file_name()).display().to_string()).collect::<Vec<_>>()
    };
    let pages = [folder("."), folder("docs")].concat();
    let pages: Vec<_> = pages.into_iter().filter(|path| path.ends_with(".md")).collect();
    assert!(pages.len() >= 8, "{pages:?}");
    pages
}

/// The commands of a page's blocks for shells, one a line; comments and prompts are left out.
pub(super) fn commands(page: &str) -> Vec<String> {
    let lines = [blocks(page, "sh"), blocks(page, "console")].concat().concat();
    let lines = lines.lines().map(|line| line.trim_start_matches("$ ").split("  #").next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Runs a command line in a shell that finds `portcullis`.
pub(super) fn shell(line: &str, folder: &Path) -> Tool {
    let path = binary::portcullis().parent().unwrap().display();
    Tool::new("sh").args(["-c", &format!("PATH=\"{path}:$PATH\"; export PATH; {line}")]).inside(folder)
}

#[test]
fn every_configuration_on_a_page_loads() {
    let mut count = 0;
    for path in pages() {
        // Its blocks are pieces; they are completed and loaded by the tests of the crate that reads configurations.
        if path.ends_with("configuration.md") {
            continue;
        }
        for block in blocks(&read(&path), "toml") {
            let source = Source { name: path.clone(), text: block };
            let loaded = parse(&[source]).unwrap_or_else(|report| panic!("{path}: {report}"));
            assert!(loaded.warnings.is_empty(), "{path}: {}", loaded.warnings[0]);
            count += 1;
        }
    }
    assert!(count >= 1, "README.md shows a configuration");
}

#[test]
fn every_make_target_on_a_page_exists_and_is_listed_by_help() {
    scenario(async {
        let help = Tool::new("make").args(["help"]).inside(root()).output().await;
        let mut targets = BTreeSet::new();
        for path in pages() {
            let commands = commands(&read(&path));
            targets.extend(
                commands.iter().filter_map(|line| line.strip_prefix("make ")?.split(' ').next().map(str::to_owned)),
            );
        }
        assert!(targets.len() >= 3, "{targets:?}");
        for target in targets {
            assert!(help.contains(&format!("make {target} ")), "{target} is not in\n{help}");
            Tool::new("make").args(["--dry-run", &target]).inside(root()).output().await;
        }
    });
}

#[test]
fn the_readmes_commands_do_what_it_says_with_its_configuration() {
    scenario(async {
        let page = read("README.md");
        let folder = tempfile::tempdir().unwrap();
        let (http, https) = (Port::reserve(), Port::reserve());
        let pair = leaf(&["shop.example.com", "*.shop.example.com"]);
        std::fs::write(folder.path().join("shop.pem"), &pair.cert).unwrap();
        std::fs::write(folder.path().join("shop.key"), &pair.key).unwrap();
        let text = blocks(&page, "toml")[0]
            .replace("0.0.0.0:80\"", &format!("{}\"", http.address()))
            .replace("0.0.0.0:443", &https.address().to_string())
            .replace("/etc/portcullis/", "")
            // Nobody is there to be asked.
            .replace("10.240.0.53", "127.0.0.1:9");
        let control = folder.path().join("control.sock");
        let text = format!("[server]\ncontrol = \"{}\"\n{text}", control.display());
        std::fs::write(folder.path().join("portcullis.toml"), text).unwrap();

        let commands = commands(section(&page, "## Configure it"));
        let [check, run, explain] = &*commands else { panic!("{commands:?}") };
        let checked = shell(check, folder.path()).output().await;
        assert!(checked.contains("sound"), "{checked}");
        let arguments: Vec<_> = run.split(' ').skip(1).collect();
        let process = Process::start("run", binary::portcullis(), arguments, folder.path());
        process.says("running generation 1").await;
        let redirected = get(http.address(), "shop.example.com", "/api/cart").await;
        assert_eq!((redirected.status, redirected.header("location")), (308, "https://shop.example.com/api/cart"));
        let explained = shell(explain, folder.path()).output().await;
        assert!(explained.contains("shop.example.com/api"), "{explained}");
        let backend = explained.lines().find(|line| line.contains("outcome")).unwrap_or_default();
        assert!(backend.contains("api"), "{explained}");
    });
}

#[test]
fn the_operators_page_names_every_command_and_only_those() {
    scenario(async {
        let page = read("docs/operating.md");
        let rows = rows(section(&page, "## Commands and exit status"));
        let documented: BTreeSet<_> = rows
            .iter()
            .filter_map(|row| row[0].strip_prefix("`portcullis ")?.split([' ', '`']).next().map(str::to_owned))
            .collect();
        let help = Tool::at(binary::portcullis()).args(["--help"]).output().await;
        let listed = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
        let real: BTreeSet<_> = listed
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned))
            .filter(|word| !word.is_empty() && word != "help")
            .collect();
        assert_eq!(documented, real);
    });
}

#[test]
fn the_control_sockets_requests_are_answered_as_the_page_says() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        get(proxy.address("http"), "a.example", "/").await;
        let id = proxy.log_of("/").await["id"].as_str().unwrap().to_owned();
        let page = read("docs/operating.md");
        let mut names = Vec::new();
        for row in rows(section(&page, "## The control socket")) {
            let text = row[0].trim_matches('`').replacen("\"id\":\"…\"", &format!("\"id\":\"{id}\""), 1);
            let mut request: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            if request["command"] == "explain" {
                request["url"] = json!("http://shop.example.com/");
            }
            if request["command"] == "dns" {
                request["name"] = json!("localhost");
            }
            let answer = proxy.control(&request).await;
            assert!(answer.is_object() || answer.is_array(), "{request}: {answer}");
            names.push(request["command"].as_str().unwrap().to_owned());
        }
        assert_eq!(names, ["status", "reload", "recall", "explain", "dns", "record", "certs"]);
    });
}

#[test]
fn the_operators_examples_read_a_real_access_log() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for target in ["/", "/slow?ms=30", "/break?n=5"] {
            let client = portcullis_tests::client::http::Connection::h1(proxy.address("http")).await;
            drop(client.try_fetch(portcullis_tests::client::http::request("GET", "a.example", target)).await);
            proxy.log_of(target).await;
        }
        let commands = commands(section(&read("docs/operating.md"), "## The access log"));
        let [slowest, kinds] = &*commands else { panic!("{commands:?}") };
        portcullis_tests::tool::installed("jq");
        let slowest: Value = serde_json::from_str(&shell(slowest, proxy.folder()).output().await).unwrap();
        let times: Vec<_> = slowest.as_array().unwrap().iter().map(|line| line["total_us"].as_u64().unwrap()).collect();
        assert!(times.len() == 3 && times.is_sorted_by(|a, b| a >= b), "{times:?}");
        let kinds = shell(kinds, proxy.folder()).output().await;
        assert!(kinds.trim().ends_with("backend") && kinds.trim().starts_with('1'), "{kinds}");
    });
}

#[test]
fn the_commands_of_the_systemd_unit_exist() {
    scenario(async {
        let page = read("docs/operating.md");
        let unit = &blocks(&page, "ini")[0];
        let mut count = 0;
        for line in unit.lines().filter_map(|line| line.split_once("=/usr/local/bin/")) {
            shell(&format!("{} --help", line.1), &root()).output().await;
            count += 1;
        }
        assert_eq!(count, 3, "check, run and reload: {unit}");
    });
}

#[test]
fn every_key_of_the_configuration_is_described() {
    scenario(async {
        let page = read("docs/configuration.md");
        let schema: Value =
            serde_json::from_str(&Tool::at(binary::portcullis()).args(["schema"]).output().await).unwrap();
        let mut keys = BTreeSet::new();
        collect_keys(&schema, &mut keys);
        assert!(keys.len() > 60, "{keys:?}");
        let missing: Vec<_> = keys.iter().filter(|key| !page.contains(&format!("`{key}`"))).collect();
        assert!(missing.is_empty(), "not described: {missing:?}");
    });
}

/// The names of properties, in whatever depth.
fn collect_keys(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            for (name, value) in object {
                if let (true, Some(properties)) = (name == "properties", value.as_object()) {
                    keys.extend(properties.keys().cloned());
                }
                collect_keys(value, keys);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect_keys(value, keys)),
        _ => {}
    }
}

#[test]
fn links_inside_the_project_lead_somewhere() {
    let mut broken = Vec::new();
    for path in pages() {
        let folder = root().join(&path).parent().unwrap().to_owned();
        for rest in read(&path).split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                broken.push(format!("{path}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}
