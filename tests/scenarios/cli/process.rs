use std::os::unix::fs::PermissionsExt;

use portcullis_tests::{
    binary,
    client::http::get,
    origin::Origin,
    port::Port,
    process::Process,
    proxy::Plan,
    scenario::{eventually, scenario},
};
use rustix::process::Signal;
use serde_json::Value;

use super::Desk;
use crate::ground::{PLAIN, plain};

/// A listener at `port` that answers with `body`.
fn fixed(desk: &Desk, port: &Port, body: &str) -> String {
    format!(
        "[server]\ncontrol = \"{}\"\n[[listener]]\naddress = \"127.0.0.1:{}\"\n[[route]]\nrespond = {{ status = 200, body = \"{body}\" }}\n",
        desk.path("control.sock").display(),
        port.number()
    )
}

async fn body(port: &Port) -> String {
    get(port.address(), "a.example", "/").await.text()
}

#[test]
fn run_takes_the_file_of_this_folder_and_says_what_it_does() {
    scenario(async {
        let (desk, port) = (Desk::new(), Port::reserve());
        desk.write("portcullis.toml", fixed(&desk, &port, "hello"));
        let mut process = Process::start("run", binary::portcullis(), ["run"], desk.folder.path());
        process.says("running generation 1").await;
        assert_eq!(body(&port).await, "hello");
        assert!(process.stderr().contains(&format!("127.0.0.1:{}", port.number())), "{}", process.stderr());
        // The commands find the same file, and in it the socket.
        let (code, status) = desk.json(&["status", "--json"]).await;
        assert_eq!((code, &status["state"]), (Some(0), &"running".into()));
        assert_eq!(desk.run(&["reload"]).await.code, Some(0));
        process.signal(Signal::INT);
        assert_eq!(process.ended().await.code(), Some(0));
        assert_eq!(desk.run(&["status"]).await.code, Some(1));
    });
}

#[test]
fn run_without_any_configuration_says_how_to_begin() {
    scenario(async {
        if std::path::Path::new("/etc/portcullis/portcullis.toml").exists() {
            panic!("this machine has a configuration in /etc/portcullis: the scenario needs a machine without one");
        }
        let finished = Desk::new().run(&["run"]).await;
        assert_eq!(finished.code, Some(1));
        for part in ["portcullis.toml", "/etc/portcullis/portcullis.toml", "portcullis demo"] {
            assert!(finished.stderr.contains(part), "{part}: {finished:?}");
        }
    });
}

#[test]
fn run_takes_a_folder_and_follows_files_that_come_and_go() {
    scenario(async {
        let (desk, port) = (Desk::new(), Port::reserve());
        desk.write("conf.d/10-base.toml", fixed(&desk, &port, "base"));
        desk.write("conf.d/.hidden.toml", "broken = = =");
        desk.write("conf.d/20-old.toml~", "broken = = =");
        let process = Process::start("run", binary::portcullis(), ["run", "conf.d"], desk.folder.path());
        process.says("running generation 1").await;
        assert_eq!(body(&port).await, "base");
        desk.write(
            "conf.d/20-more.toml",
            "[[route]]\nhost = \"a.example\"\nrespond = { status = 200, body = \"more\" }\n",
        );
        eventually("the new file counts", async || (body(&port).await == "more").then_some(())).await;
        std::fs::remove_file(desk.path("conf.d/20-more.toml")).unwrap();
        eventually("it is gone again", async || (body(&port).await == "base").then_some(())).await;
        // The same table in two files is a mistake that names both.
        desk.write("conf.d/30-twice.toml", "[server]\ndrain = \"1s\"\ncontrol = \"x\"\n");
        process.says("30-twice.toml").await;
        assert_eq!(body(&port).await, "base");
    });
}

#[test]
fn status_for_eyes_and_for_scripts_say_the_same() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        get(proxy.address("http"), "a.example", "/").await;
        let text = proxy.command(&["status"]).await;
        assert_eq!(text.code, Some(0));
        for part in ["running", "generation", &proxy.address("http").to_string(), &origin.address().to_string(), "good"]
        {
            assert!(text.stdout.contains(part), "{part} in {}", text.stdout);
        }
        assert!(!text.stdout.contains('{'), "{}", text.stdout);
        let json = proxy.command(&["status", "--json"]).await;
        let value: Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(value["pid"], proxy.pid());
    });
}

#[test]
fn reload_waits_for_the_outcome_and_tells_it() {
    scenario(async {
        let origin = Origin::start().await;
        let text = format!("[server]\npoll = \"1h\"\n{PLAIN}");
        let proxy = Plan::new(&*text).set("origin", origin.address()).start().await;
        let finished = proxy.command(&["reload", "--json"]).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let value: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(value["generation"], 1, "nothing changed");

        proxy.edit(&format!("{text}\n[[route]]\nhost = \"new.example\"\nrespond = {{ status = 204 }}\n"));
        let finished = proxy.command(&["reload"]).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        // In force when the command has ended, whether it or the watch was first.
        assert_eq!(get(proxy.address("http"), "new.example", "/").await.status, 204);
        assert_eq!(proxy.generation().await, 2);

        proxy.edit(&text.replace("backend = \"app\"", "backend = \"ap\""));
        let finished = proxy.command(&["reload"]).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains("the old configuration serves on"), "{finished:?}");
        assert!(
            finished.stderr.contains("portcullis.toml:") && finished.stderr.contains("did you mean `app`"),
            "{finished:?}"
        );
        let finished = proxy.command(&["reload", "--json"]).await;
        assert_eq!(finished.code, Some(1));
        let value: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert!(value["error"].as_str().unwrap().contains("did you mean `app`"), "{value}");
        assert!(!value["detail"].is_null(), "{value}");
        assert_eq!(get(proxy.address("http"), "new.example", "/").await.status, 204);
    });
}

#[test]
fn the_control_socket_is_its_owners_alone() {
    scenario(async {
        let origin = Origin::start().await;
        let text = format!("[server]\nworkers = 1\n{PLAIN}");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        assert_eq!(proxy.control_path().metadata().unwrap().permissions().mode() & 0o777, 0o600);

        // A missing folder is made for its owner alone.
        let (desk, port) = (Desk::new(), Port::reserve());
        let control = desk.path("run/deep/control.sock");
        let text = fixed(&desk, &port, "x")
            .replace(&desk.path("control.sock").display().to_string(), &control.display().to_string());
        desk.write("portcullis.toml", text);
        let process = Process::start("run", binary::portcullis(), ["run"], desk.folder.path());
        process.says("running generation 1").await;
        assert_eq!(control.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(control.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    });
}

#[test]
fn a_file_in_the_control_sockets_place_is_left_alone() {
    scenario(async {
        let (desk, port) = (Desk::new(), Port::reserve());
        desk.write("portcullis.toml", fixed(&desk, &port, "x"));
        desk.write("control.sock", "precious");
        let finished = desk.run(&["run"]).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains("not a socket"), "{finished:?}");
        assert_eq!(std::fs::read_to_string(desk.path("control.sock")).unwrap(), "precious");
    });
}

#[test]
fn the_error_log_is_as_loud_as_asked() {
    scenario(async {
        let origin = Origin::start().await;
        let text = format!("[log]\nlevel = \"error\"\n{PLAIN}");
        let proxy = Plan::new(&*text).set("origin", origin.address()).start().await;
        assert!(!proxy.error_log().contains("running generation"), "{}", proxy.error_log());
        proxy.edit(PLAIN);
        proxy.reload_seen(1).await;
        proxy.edit(&format!("{PLAIN}\n[[route]]\nhost = \"new.example\"\nrespond = {{ status = 204 }}\n"));
        proxy.says("in force").await;
        let proxy =
            Plan::new(&*text).set("origin", origin.address()).environment("PORTCULLIS_LOG", "debug").start().await;
        proxy.says("running generation").await;
    });
}
