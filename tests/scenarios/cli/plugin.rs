use portcullis_tests::{
    binary,
    client::http::get,
    origin::Origin,
    proxy::Plan,
    registry::{LOGIN, Registry, digest},
    scenario::{eventually, scenario},
    tool::Tool,
};
use serde_json::json;

use super::Desk;
use crate::{
    ground::{PLAIN, plain},
    plugins::guest,
};

const WASM: &str = "application/wasm";

/// A configuration with one plugin, its modules kept in `store` beside it.
fn with_plugin(keys: &str) -> String {
    format!(
        "[server]\nplugin_store = \"store\"\n\n[[listener]]\naddress = \"127.0.0.1:8080\"\n\n\
         [[route]]\nrespond = {{ status = 200 }}\nplugins = \"a\"\n\n[plugin.a]\n{keys}\n"
    )
}

fn oci(registry: &Registry, rest: &str) -> String {
    with_plugin(&format!("module = \"oci://{}/{rest}\"", registry.address()))
}

#[test]
fn inspect_shows_what_a_plugin_is_and_the_line_that_grants_its_imports() {
    scenario(async {
        let desk = Desk::new();
        let code = std::fs::read(guest("recorder")).unwrap();
        desk.write("recorder.wasm", &code);
        let (status, value) = desk.json(&["plugin", "inspect", "--json", "recorder.wasm"]).await;
        assert_eq!(status, Some(0), "{value}");
        assert_eq!(value["contract"], "0.1.0", "{value}");
        assert_eq!(value["size_bytes"], code.len(), "{value}");
        assert_eq!(format!("sha256:{}", value["sha256"].as_str().unwrap()), digest(&code));
        assert!(value["memory_bytes"].as_u64().unwrap() >= 65536, "{value}");
        let imports: Vec<_> =
            value["imports"].as_array().unwrap().iter().map(|import| import.as_str().unwrap()).collect();
        let grants = value["grants"].as_str().unwrap();
        for (import, grant) in [("log", "log = true"), ("key-value", "key_value = true"), ("http", "http = [")] {
            assert_eq!(imports.contains(&import), grants.contains(grant), "{value}");
        }
        assert!(value["phases"].as_str().unwrap().contains("--config"), "{value}");

        // The line that it prints can be written as it is.
        let granted =
            with_plugin(&format!("module = \"recorder.wasm\"\n{}", grants.replace("name of a backend", "app")));
        desk.write("portcullis.toml", format!("{granted}\n[backend.app]\nendpoints = \"http://127.0.0.1:9\"\n"));
        let finished = desk.run(&["plugin", "pull"]).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");

        let shown = desk.run(&["plugin", "inspect", "recorder.wasm"]).await;
        assert!(shown.stdout.contains(grants) && shown.stdout.contains("contract"), "{shown:?}");
    });
}

#[test]
fn inspect_with_a_configuration_shows_the_phases_and_refuses_what_the_plugin_refuses() {
    scenario(async {
        let desk = Desk::new();
        let good = guest("good");
        let holder = r#"{ "do": "holder", "limit": 1024 }"#;
        let (status, value) = desk.json(&["plugin", "inspect", "--json", &good, "--config", holder]).await;
        assert_eq!(status, Some(0), "{value}");
        assert_eq!(value["phases"]["request_body"], "held up to 1024 bytes, more is refused", "{value}");
        assert_eq!(value["phases"]["log"], false, "{value}");
        for (config, said) in [("[1]", "no JSON object"), ("{}", "do"), (r#"{ "do": "nothing" }"#, "nothing")] {
            let finished = desk.run(&["plugin", "inspect", &good, "--config", config]).await;
            assert_eq!(finished.code, Some(1), "{finished:?}");
            assert!(finished.stderr.contains(said) && finished.stdout.is_empty(), "{said}: {finished:?}");
        }
    });
}

#[test]
fn inspect_says_what_is_no_plugin() {
    scenario(async {
        let desk = Desk::new();
        desk.write("text.wasm", "not wasm");
        desk.write("empty.wasm", "");
        desk.write("core.wasm", b"\0asm\x01\0\0\0");
        for name in ["text.wasm", "empty.wasm", "core.wasm", "none.wasm", ".", "builtin:no-such"] {
            let finished = desk.run(&["plugin", "inspect", name]).await;
            assert_eq!(finished.code, Some(1), "{name}: {finished:?}");
            assert!(finished.stderr.starts_with("error: ") && finished.stdout.is_empty(), "{name}: {finished:?}");
            assert!(!finished.stderr.contains("panicked"), "{name}: {finished:?}");
        }
    });
}

#[test]
fn pull_fetches_once_locks_and_needs_no_network_after_that() {
    scenario(async {
        let mut registry = Registry::start().await;
        let (manifest, module) = registry.push("team/a", "1", WASM, b"first").await;
        let desk = Desk::new();
        desk.write("portcullis.toml", oci(&registry, "team/a:1"));

        let (status, value) = desk.json(&["plugin", "pull", "--json"]).await;
        assert_eq!(status, Some(0), "{value}");
        assert_eq!(value["changed"], true, "{value}");
        assert_eq!(
            value["modules"],
            json!([{
                "reference": format!("oci://{}/team/a:1", registry.address()),
                "manifest": manifest,
                "module": module,
                "size_bytes": 5,
                "fetched": true,
            }])
        );
        let lock = std::fs::read_to_string(desk.path("portcullis.lock")).unwrap();
        assert!(lock.contains(&manifest) && lock.contains(&module), "{lock}");
        let stored = desk.path("store/sha256").join(module.strip_prefix("sha256:").unwrap());
        assert_eq!(std::fs::read(stored).unwrap(), b"first");

        // The tag moves, and the lock does not.
        let (moved, other) = registry.push("team/a", "1", WASM, b"second").await;
        let (_, value) = desk.json(&["plugin", "pull", "--json", "--locked"]).await;
        assert_eq!((&value["changed"], &value["modules"][0]["module"]), (&json!(false), &json!(module)), "{value}");
        let (_, value) = desk.json(&["plugin", "pull", "--json", "--update"]).await;
        assert_eq!((&value["changed"], &value["modules"][0]["module"]), (&json!(true), &json!(other)), "{value}");
        let lock = std::fs::read_to_string(desk.path("portcullis.lock")).unwrap();
        assert!(lock.contains(&moved) && !lock.contains(&manifest), "{lock}");

        registry.stop();
        let (status, value) = desk.json(&["plugin", "pull", "--json"]).await;
        assert_eq!((status, &value["modules"][0]["fetched"]), (Some(0), &json!(false)), "{value}");
        let finished = desk.run(&["plugin", "pull", "--update"]).await;
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains("onnect"), "{finished:?}");
    });
}

#[test]
fn pull_takes_both_media_types_and_a_digest_and_says_what_is_no_module() {
    scenario(async {
        let registry = Registry::start().await;
        let (manifest, _) = registry.push("a", "1", "application/vnd.wasm.content.layer.v1+wasm", b"older").await;
        let desk = Desk::new();
        for rest in [format!("a@{manifest}"), format!("a:1@{manifest}"), "a:1".to_owned()] {
            desk.write("portcullis.toml", oci(&registry, &rest));
            let finished = desk.run(&["plugin", "pull"]).await;
            assert_eq!(finished.code, Some(0), "{rest}: {finished:?}");
        }
        registry.push("image", "1", "application/vnd.oci.image.layer.v1.tar+gzip", b"layer").await;
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": 1 }],
        });
        registry.push_manifest("a", "index", &index).await;
        let none = format!("a@{}", digest(b"none"));
        for (rest, said) in [
            ("image:1", "no module in it"),
            ("a:index", "index of several"),
            ("a:2", "does not have it"),
            ("b:1", "does not have it"),
            (&*none, "does not have it"),
        ] {
            desk.write("portcullis.toml", oci(&registry, rest));
            let finished = desk.run(&["plugin", "pull"]).await;
            assert_eq!(finished.code, Some(1), "{rest}: {finished:?}");
            assert!(finished.stderr.contains(said) && finished.stderr.contains(rest), "{rest}: {finished:?}");
        }
    });
}

#[test]
fn locked_changes_nothing_and_says_what_would_change() {
    scenario(async {
        let registry = Registry::start().await;
        let (manifest, module) = registry.push("a", "1", WASM, b"code").await;
        let desk = Desk::new();
        desk.write("portcullis.toml", oci(&registry, "a:1"));
        let refused = async |said: &str| {
            let before = std::fs::read(desk.path("portcullis.lock")).ok();
            let finished = desk.run(&["plugin", "pull", "--locked"]).await;
            assert_eq!(finished.code, Some(1), "{finished:?}");
            assert!(finished.stderr.contains(said), "{said}: {finished:?}");
            assert_eq!(std::fs::read(desk.path("portcullis.lock")).ok(), before);
        };
        refused("is not in portcullis.lock").await;
        assert_eq!(desk.run(&["plugin", "pull"]).await.code, Some(0));
        assert_eq!(desk.run(&["plugin", "pull", "--locked"]).await.code, Some(0));

        let lock = std::fs::read_to_string(desk.path("portcullis.lock")).unwrap();
        desk.write("portcullis.lock", lock.replace(&module, &digest(b"other")));
        refused(&module).await;
        desk.write("portcullis.lock", lock.replace(&manifest, &digest(b"other")));
        refused("does not have it").await;
        desk.write("portcullis.lock", "version = 7\n");
        refused("version 7").await;
        desk.write("portcullis.lock", &lock);
        desk.write("portcullis.toml", with_plugin("module = \"a.wasm\""));
        refused("which the configuration has not").await;
    });
}

#[test]
fn what_was_changed_in_the_store_is_fetched_again() {
    scenario(async {
        let registry = Registry::start().await;
        let (manifest, module) = registry.push("a", "1", WASM, b"code").await;
        let desk = Desk::new();
        desk.write("portcullis.toml", oci(&registry, "a:1"));
        assert_eq!(desk.run(&["plugin", "pull"]).await.code, Some(0));
        for digest in [&module, &manifest] {
            let name = format!("store/sha256/{}", digest.strip_prefix("sha256:").unwrap());
            let right = std::fs::read(desk.path(&name)).unwrap();
            desk.write(&name, "changed");
            let (status, value) = desk.json(&["plugin", "pull", "--locked", "--json"]).await;
            assert_eq!((status, &value["modules"][0]["fetched"]), (Some(0), &json!(true)), "{value}");
            assert_eq!(std::fs::read(desk.path(&name)).unwrap(), right);
        }
    });
}

#[test]
fn a_registry_with_a_login_is_asked_with_that_of_docker() {
    scenario(async {
        let registry = Registry::start_locked().await;
        registry.push("a", "1", WASM, b"code").await;
        let desk = Desk::new();
        desk.write("portcullis.toml", oci(&registry, "a:1"));
        let pull = async || desk.run(&["plugin", "pull"]).await;

        let finished = pull().await;
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains("docker login"), "{finished:?}");
        let login = |auth: &str| json!({ "auths": { registry.address().to_string(): { "auth": auth } } }).to_string();
        desk.write("docker/config.json", login("dGVhbTp3cm9uZw=="));
        let finished = pull().await;
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains("docker login"), "{finished:?}");
        desk.write("docker/config.json", login(LOGIN));
        let finished = pull().await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
    });
}

#[test]
fn a_fetched_plugin_takes_effect_by_itself_and_starting_needs_no_registry() {
    scenario(async {
        let mut registry = Registry::start().await;
        registry.push("tag", "1", WASM, &std::fs::read(guest("good")).unwrap()).await;
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let text = format!(
            "[server]\nplugin_store = \"@dir@/store\"\n{}[plugin.tag]\nmodule = \"oci://{}/tag:1\"\nconfig = {{ do = 'tag', name = 'fetched' }}\n",
            PLAIN.replace("backend = \"app\"\n", "backend = \"app\"\nplugins = \"tag\"\n"),
            registry.address()
        );
        proxy.edit(&text);
        let refused = proxy.command(&["reload"]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("run: portcullis plugin pull --config"), "{refused:?}");
        assert!(get(proxy.address("http"), "a.example", "/").await.header("x-chain").is_empty());

        let config = proxy.folder().join("portcullis.toml");
        let pull = Tool::at(binary::portcullis()).args(["plugin", "pull", "--config"]).args([&config]);
        pull.environment("NO_PROXY", "127.0.0.1").output().await;
        eventually("the plugin is in force", async || {
            let answer = get(proxy.address("http"), "a.example", "/").await;
            (answer.header("x-chain") == "fetched").then_some(())
        })
        .await;

        registry.stop();
        let lock = std::fs::read(proxy.folder().join("portcullis.lock")).unwrap();
        let store = proxy.folder().join("store");
        let text = text.replace("@dir@/store", &store.display().to_string());
        let plan = || Plan::new(&text).set("origin", origin.address()).file("portcullis.lock", &lock);
        let offline = plan().start().await;
        assert_eq!(get(offline.address("http"), "a.example", "/").await.header("x-chain"), "fetched");

        // What somebody has changed in the store is not run.
        for entry in std::fs::read_dir(store.join("sha256")).unwrap() {
            std::fs::write(entry.unwrap().path(), "changed").unwrap();
        }
        let checked = plan().command(&["check"]).await;
        assert_eq!(checked.code, Some(1), "{checked:?}");
        assert!(checked.stderr.contains("was changed"), "{checked:?}");
    });
}
