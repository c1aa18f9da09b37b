use portcullis_tests::{
    client::{
        http::{Connection, get},
        load::Load,
    },
    origin::Origin,
    proxy::Plan,
    scenario::{eventually, scenario},
};

use super::{configuration, good, guest, plan};

const HOST: &str = "a.example";

fn tag(name: &str) -> String {
    good("tag", &format!("do = 'tag', name = '{name}'"))
}

#[test]
fn a_plugins_configuration_changes_under_load_without_a_lost_exchange() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &tag("old"), r#"["tag"]"#).start().await;
        let load = Load::plain(proxy.address("http"), HOST, "/", 8);
        for round in 0..5 {
            load.go_on(50).await;
            proxy.apply(&configuration(&tag(&format!("new-{round}")), r#"["tag"]"#)).await;
            let answer = get(proxy.address("http"), HOST, "/").await;
            assert_eq!(answer.seen("x-chain"), [format!("new-{round}")]);
        }
        load.go_on(50).await;
        let tally = load.stop_unharmed().await;
        assert!(tally.done > 250);
    });
}

#[test]
fn an_exchange_ends_with_the_plugins_it_began_with() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &tag("old"), r#"["tag"]"#).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        // The origin has the request, and answers once the new configuration is in force.
        let answer = client.get(HOST, "/slow?ms=3000");
        let change = async {
            eventually("the origin has the request", async || (origin.count() == 1).then_some(())).await;
            proxy.apply(&configuration(&tag("new"), r#"["tag"]"#)).await;
        };
        let (answer, ()) = futures_util::future::join(answer, change).await;
        assert_eq!((answer.seen("x-chain"), answer.header("x-chain")), (vec!["old".into()], "old"));
        assert_eq!(client.get(HOST, "/").await.header("x-chain"), "new");
    });
}

#[test]
fn a_changed_module_is_noticed_and_what_stays_the_same_stays() {
    scenario(async {
        let origin = Origin::start().await;
        let code = std::fs::read(guest("good")).unwrap();
        let table = |name: &str| {
            format!(
                "[plugin.{name}]\nmodule = \"{name}.wasm\"\nconfig = {{ do = 'uses' }}\n[plugin.{name}.limits]\ninstances = 1\n"
            )
        };
        let text = configuration(&(table("one") + &table("two")), r#"["one"]"#)
            + "[[route]]\npath = \"/two/\"\nbackend = \"app\"\nplugins = [\"two\"]\n";
        let proxy = Plan::new(text)
            .file("one.wasm", &code)
            .file("two.wasm", &code)
            .set("origin", origin.address())
            .start()
            .await;
        let client = Connection::h1(proxy.address("http")).await;
        let uses = async |target: &str| client.get(HOST, target).await.seen("x-uses")[0].parse::<u32>().unwrap();
        for count in 1..4 {
            assert_eq!((uses("/").await, uses("/two/").await), (count, count), "one instance, used again");
        }
        let generation = proxy.generation().await;
        // Another custom section at the end: the same code in another file.
        let changed = [&code[..], &[0, 3, 1, b'x', 0]].concat();
        proxy.write("one.wasm", changed);
        proxy.reload_seen(generation + 1).await;
        assert_eq!((uses("/").await, uses("/two/").await), (1, 4), "the other one has kept its instance");
    });
}

#[test]
fn a_plugin_that_does_not_build_changes_nothing() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &tag("old"), r#"["tag"]"#).start().await;
        let generation = proxy.generation().await;
        for (table, why) in [
            (good("tag", "do = 'nonsense'"), "nonsense"),
            ("[plugin.tag]\nmodule = \"none.wasm\"\n".to_owned(), "none.wasm"),
            ("[plugin.tag]\nmodule = \"rubbish.wasm\"\n".to_owned(), "plugin tag"),
            (format!("[plugin.tag]\nmodule = \"{}\"\nconfig = {{ name = 'a' }}\n", guest("recorder")), "log"),
        ] {
            proxy.write("rubbish.wasm", b"rubbish");
            proxy.edit(&configuration(&table, r#"["tag"]"#));
            let error = eventually(why, async || {
                let status = proxy.status().await;
                status["reload"]["error"].as_str().filter(|error| error.contains(why)).map(str::to_owned)
            })
            .await;
            assert!(error.contains("portcullis.toml:") || error.contains(".toml:"), "it says where: {error}");
            assert_eq!(get(proxy.address("http"), HOST, "/").await.seen("x-chain"), ["old"]);
            assert_eq!(proxy.generation().await, generation);
        }
    });
}

#[test]
fn check_builds_plugins_and_a_start_with_a_bad_one_fails() {
    scenario(async {
        let origin = Origin::start().await;
        let bad = || plan(&origin, &good("tag", "do = 'nonsense'"), r#"["tag"]"#);
        let refused = bad().refused().await;
        assert!(refused.says.contains("plugin tag") && refused.says.contains("nonsense"), "{}", refused.says);
        let checked = bad().command(&["check"]).await;
        assert!(checked.code != Some(0), "{checked:?}");
        assert!(checked.stderr.contains("plugin tag"), "{}", checked.stderr);
        let sound = plan(&origin, &tag("a"), r#"["tag"]"#).command(&["check"]).await;
        assert!(sound.code == Some(0), "{sound:?}");
    });
}
