use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use portcullis_tests::{
    client::http::get,
    origin::Origin,
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario},
};
use rustix::process::Signal;
use tokio::net::UdpSocket;

use crate::ground::{PLAIN, plain};

/// [`PLAIN`] that answers `/mark` with 204 for the host `mark`.
fn marked(mark: &str) -> String {
    format!("{PLAIN}\n[[route]]\nhost = \"{mark}\"\nrespond = {{ status = 204 }}\n")
}

async fn in_force(proxy: &Proxy, mark: &str) {
    eventually(&format!("the configuration with {mark} is in force"), async || {
        (get(proxy.address("http"), mark, "/").await.status == 204).then_some(())
    })
    .await;
}

#[test]
fn a_file_that_is_renamed_into_its_place_is_read() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for number in 0..5 {
            let mark = format!("n{number}");
            proxy.edit(&marked(&mark));
            in_force(&proxy, &mark).await;
        }
        assert_eq!(proxy.generation().await, 6);
    });
}

#[test]
fn a_file_that_is_overwritten_is_read() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for mark in ["one", "two", "six"] {
            proxy.overwrite(&marked(mark));
            in_force(&proxy, mark).await;
        }
    });
}

#[test]
fn an_editor_that_makes_a_copy_and_renames_twice_is_followed() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for mark in ["one", "two"] {
            // As vim does: the old one becomes the copy, a new one is written, the copy goes.
            let (file, copy) = (proxy.folder().join("portcullis.toml"), proxy.folder().join("portcullis.toml~"));
            fs::rename(&file, &copy).unwrap();
            proxy.overwrite(&marked(mark));
            fs::remove_file(&copy).unwrap();
            in_force(&proxy, mark).await;
        }
    });
}

/// As Kubernetes mounts a ConfigMap: files are links into `..data`, which is a link to a folder with a time in its name.
fn config_map(folder: &Path, text: &str) {
    let mount = folder.join("mounted");
    fs::create_dir_all(mount.join("..2026_01_01")).unwrap();
    fs::write(mount.join("..2026_01_01/portcullis.toml"), text).unwrap();
    symlink("..2026_01_01", mount.join("..data")).unwrap();
    symlink("..data/portcullis.toml", mount.join("portcullis.toml")).unwrap();
}

/// As Kubernetes changes one: a new folder, a new link renamed over `..data`, and the old folder removed.
fn swap_config_map(proxy: &Proxy, version: &str, text: &str) {
    let mount = proxy.folder().join("mounted");
    let old = fs::read_link(mount.join("..data")).unwrap();
    fs::create_dir(mount.join(version)).unwrap();
    fs::write(mount.join(version).join("portcullis.toml"), proxy.config_text(text)).unwrap();
    symlink(version, mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    fs::remove_dir_all(mount.join(old)).unwrap();
}

#[test]
fn a_config_map_is_followed_as_kubernetes_swaps_it() {
    scenario(async {
        let origin = Origin::start().await;
        // So late that only an event can be the reason.
        let late = |text: &str| format!("[server]\npoll = \"1h\"\n{text}");
        let plan = Plan::new(late(PLAIN)).laid_out("mounted/portcullis.toml", config_map);
        let proxy = plan.set("origin", origin.address()).start().await;
        for (version, mark) in [("..2026_01_02", "one"), ("..2026_01_03", "two"), ("..2026_01_04", "six")] {
            swap_config_map(&proxy, version, &late(&marked(mark)));
            in_force(&proxy, mark).await;
        }
        assert_eq!(proxy.generation().await, 4);
    });
}

#[test]
fn a_folder_that_is_a_config_map_is_followed_too() {
    scenario(async {
        let origin = Origin::start().await;
        let plan = Plan::new(PLAIN).laid_out("mounted", config_map).set("origin", origin.address());
        let proxy = plan.start().await;
        swap_config_map(&proxy, "..2026_01_02", &marked("one"));
        in_force(&proxy, "one").await;
    });
}

#[test]
fn the_target_of_a_link_is_watched() {
    scenario(async {
        let origin = Origin::start().await;
        let late = |text: &str| format!("[server]\npoll = \"1h\"\n{text}");
        let plan = Plan::new(late(PLAIN)).laid_out("portcullis.toml", |folder, text| {
            fs::create_dir(folder.join("elsewhere")).unwrap();
            fs::write(folder.join("elsewhere/real.toml"), text).unwrap();
            symlink("elsewhere/real.toml", folder.join("portcullis.toml")).unwrap();
        });
        let proxy = plan.set("origin", origin.address()).start().await;
        proxy.write("elsewhere/real.toml", proxy.config_text(&late(&marked("one"))));
        in_force(&proxy, "one").await;
        // The link itself leads somewhere else now.
        proxy.write("elsewhere/second.toml", proxy.config_text(&late(&marked("two"))));
        symlink("elsewhere/second.toml", proxy.folder().join("new")).unwrap();
        fs::rename(proxy.folder().join("new"), proxy.folder().join("portcullis.toml")).unwrap();
        in_force(&proxy, "two").await;
        proxy.write("elsewhere/second.toml", proxy.config_text(&late(&marked("six"))));
        in_force(&proxy, "six").await;
    });
}

#[test]
fn a_change_that_makes_no_event_is_found_by_looking() {
    scenario(async {
        let origin = Origin::start().await;
        let often = |text: &str| format!("[server]\npoll = \"1s\"\n{text}");
        // A link in the middle of the path: what changes is in a folder that has nothing to do with the file.
        let plan = Plan::new(often(PLAIN)).laid_out("current/portcullis.toml", |folder, text| {
            for release in ["releases/1", "releases/2"] {
                fs::create_dir_all(folder.join(release)).unwrap();
            }
            fs::write(folder.join("releases/1/portcullis.toml"), text).unwrap();
            symlink("releases/1", folder.join("current")).unwrap();
        });
        let proxy = plan.set("origin", origin.address()).start().await;
        proxy.write("releases/2/portcullis.toml", proxy.config_text(&often(&marked("one"))));
        symlink("releases/2", proxy.folder().join("next")).unwrap();
        fs::rename(proxy.folder().join("next"), proxy.folder().join("current")).unwrap();
        in_force(&proxy, "one").await;
    });
}

#[test]
fn a_folder_of_files_is_one_configuration_that_changes_file_by_file() {
    scenario(async {
        let origin = Origin::start().await;
        let plan = Plan::new(PLAIN).laid_out("conf.d", |folder, text| {
            fs::create_dir(folder.join("conf.d")).unwrap();
            fs::write(folder.join("conf.d/10-main.toml"), text).unwrap();
        });
        let proxy = plan.set("origin", origin.address()).start().await;
        let route = |host: &str| format!("[[route]]\nhost = \"{host}\"\nrespond = {{ status = 204 }}\n");
        // A file more, changed, one more, and each one gone again.
        proxy.write("conf.d/20-one.toml", route("one"));
        in_force(&proxy, "one").await;
        assert!(!proxy.error_log().contains("nothing changed"), "the start is no change: {}", proxy.error_log());
        proxy.write("conf.d/20-one.toml", route("other"));
        in_force(&proxy, "other").await;
        assert_eq!(get(proxy.address("http"), "one", "/").await.status, 200);
        proxy.write("conf.d/30-two.toml", route("two"));
        in_force(&proxy, "two").await;
        in_force(&proxy, "other").await;
        fs::remove_file(proxy.folder().join("conf.d/20-one.toml")).unwrap();
        proxy.reload_seen(5).await;
        assert_eq!(get(proxy.address("http"), "other", "/").await.status, 200);
        in_force(&proxy, "two").await;
        // Leftovers of editors and hidden files mean nothing.
        for name in ["30-two.toml~", ".30-two.toml.swp", "#30-two.toml#", "notes.txt", ".hidden.toml"] {
            proxy.write(&format!("conf.d/{name}"), "this is not TOML");
        }
        // A name in two files is an error that names both.
        proxy.write("conf.d/40-again.toml", "[backend.app]\nendpoints = \"http://127.0.0.1:1\"\n");
        let error =
            eventually("it is refused", async || proxy.status().await["reload"]["error"].as_str().map(str::to_owned))
                .await;
        assert!(error.contains("10-main.toml") && error.contains("40-again.toml"), "{error}");
        assert!(!error.contains("30-two") && !error.contains("hidden"), "{error}");
        fs::remove_file(proxy.folder().join("conf.d/40-again.toml")).unwrap();
        proxy.write("conf.d/50-last.toml", route("last"));
        in_force(&proxy, "last").await;
    });
}

#[test]
fn one_save_that_makes_many_events_is_one_reload() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        for _ in 0..20 {
            proxy.overwrite(&marked("one"));
        }
        in_force(&proxy, "one").await;
        assert_eq!(proxy.generation().await, 2);
    });
}

#[test]
fn the_signal_and_the_command_read_the_configuration_at_once() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        // Nothing changed: the generation stays.
        proxy.signal(Signal::HUP);
        let line = proxy.says("SIGHUP").await;
        assert!(line.contains("nothing changed") && line.contains("generation 1 stays"), "{line}");
        proxy.edit(&marked("one"));
        let begun = Instant::now();
        let finished = proxy.command(&["reload", "--json"]).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!(get(proxy.address("http"), "one", "/").await.status, 204);
        assert!(begun.elapsed() < Duration::from_secs(5));
        let says: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(says["generation"], 2, "{says}");
        proxy.edit(&marked("two"));
        proxy.signal(Signal::HUP);
        in_force(&proxy, "two").await;
    });
}

#[test]
fn a_file_that_changes_while_the_process_starts_is_not_missed() {
    scenario(async {
        let origin = Origin::start().await;
        // A name that nobody answers for makes the start last, between reading the file and watching it.
        let nobody = "\n[backend.slow]\nendpoints = \"http://slow.internal:1\"\n\
                      [[dns.zone]]\nsuffix = \"internal\"\nnameservers = \"127.0.0.1:@nobody@\"\n[dns]\ntime = \"1s\"\n";
        let late = |text: &str| format!("[server]\npoll = \"1h\"\n{text}{nobody}");
        let plan = Plan::new(late(PLAIN)).set("origin", origin.address());
        let silent = UdpSocket::bind(plan.address("nobody")).await.unwrap();
        let proxy = plan.start_while(async |proxy| {
            // It asks for the name: the file was read.
            silent.recv_from(&mut [0; 512]).await.unwrap();
            proxy.edit(&late(&marked("one")));
        });
        in_force(&proxy.await, "one").await;
    });
}
