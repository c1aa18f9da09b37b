use std::{
    net::{TcpListener, UdpSocket},
    path::Path,
    time::Duration,
};

use portcullis_tests::{
    binary,
    process::Process,
    repository::{read, section},
    scenario::{eventually, eventually_within, scenario_within},
    tool::{Finished, Tool},
};
use rustix::process::Signal;
use tempfile::TempDir;

use super::pages::commands;

/// The demonstration's ports are fixed, so there is one demonstration at a time: all of it is one scenario.
const TCP: [u16; 8] = [8080, 8443, 9053, 9101, 9102, 9103, 9104, 9110];

const PATIENCE: Duration = Duration::from_secs(120);

async fn start(folder: &TempDir, name: &str) -> Process {
    Process::start(name, binary::portcullis(), ["demo", "--dir", "demo"], folder.path())
}

/// The WAF's rules are compiled before the first request, and its code where no cache has it: a while, on a busy machine.
async fn runs(demo: &Process) {
    eventually_within(PATIENCE, "the demonstration runs", async || {
        (demo.stdout().contains("running generation 1") || demo.stderr().contains("running generation 1")).then_some(())
    })
    .await;
}

/// The lines to try, in their order.
fn lines(tour: &str) -> Vec<String> {
    tour.lines().filter_map(|line| line.strip_prefix("  ").map(str::to_owned)).collect()
}

async fn shell(line: &str, folder: &Path) -> Finished {
    // The executable stands on the line with its path; what is relative is so to the folder of the demonstration.
    Tool::new("sh").args(["-c", line]).inside(folder).within(Duration::from_secs(60)).run().await
}

/// Runs a line that must succeed and gives what it printed.
async fn well(line: &str, folder: &Path) -> String {
    let finished = shell(line, folder).await;
    assert_eq!(finished.code, Some(0), "{line}: {finished:?}");
    finished.stdout
}

#[test]
fn the_demonstration_does_what_its_lines_say() {
    scenario_within(Duration::from_secs(600), async {
        portcullis_tests::tool::installed("curl");
        eventually_within(Duration::from_secs(60), "the ports of the demonstration are free", async || {
            let free = TCP.iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
            (free && UdpSocket::bind(("127.0.0.1", 9053)).is_ok()).then_some(())
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let mut demo = start(&folder, "first").await;
        runs(&demo).await;
        let tour = demo.stdout();
        assert!(tour.contains("Ctrl-C ends it") && tour.contains("(new;"), "{tour}");
        let lines = lines(&tour);
        let find =
            |part: &str| lines.iter().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {tour}"));

        // Two hosts, plain and over TLS.
        for line in &lines[..3] {
            let host = if line.contains("blog") { "blog" } else { "shop" };
            let answer = well(line, at).await;
            assert!(answer.starts_with(host), "{line}: {answer}");
        }
        // Balancing.
        let balanced = well(find("for i in 1 2 3"), at).await;
        // Each worker takes turns of its own, so not always two each.
        for instance in ["shop 1", "shop 2", "shop 3"] {
            assert!(balanced.contains(instance), "{balanced}");
        }
        // A private name whose addresses change under load.
        assert!(well(find("/redeploy"), at).await.contains("deploy 2 is coming"));
        let during = well(find("seq 30"), at).await;
        assert_eq!(
            during.lines().filter(|line| line.contains("web, deploy")).count(),
            30,
            "no request fails: {during}"
        );
        assert!(during.contains("deploy 2"), "{during}");
        let name = well(find(" dns "), at).await;
        assert!(name.contains("private-network.internal") && name.contains("127.0.71."), "{name}");
        // A chain of plugins.
        let statuses = well(find("http_code"), at).await;
        assert_eq!(statuses.lines().collect::<Vec<_>>(), ["200", "200", "200", "429", "429"], "{statuses}");
        let refused = well(find("-si http://shop"), at).await;
        assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after"), "{refused}");
        assert!(well(find("plugin inspect"), at).await.contains("key-value"));
        // A web application firewall.
        let refused = well(find("script"), at).await;
        assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("attack-1"), "{refused}");
        let why = well(find("explain attack-1"), at).await;
        assert!(why.contains("7000401"), "{why}");
        // Editing.
        well(find("sed -i"), at).await;
        let line = find("news.localhost:8080");
        eventually("the edit counts", async || well(line, at).await.starts_with("blog").then_some(())).await;
        // Asking why.
        let why = well(find(" explain https"), at).await;
        assert!(why.contains("forwarded to shop") && why.contains("server.pem"), "{why}");
        assert!(well(find(" status "), at).await.contains("generation"));

        // The README's next line: the Core Rule Set, where it is installed.
        if Path::new("/usr/share/modsecurity-crs/rules").exists() {
            let page = read("README.md");
            let commands = commands(section(&page, "## Try it"));
            let next = commands.iter().find(|line| line.starts_with("sed ")).unwrap().replace("target/demo", "demo");
            well(&next, at).await;
            let line = find("script").replace("attack-1", "attack-2").replace("blog.", "news.");
            let ask = find("explain attack-1").replace("attack-1", "attack-2");
            eventually_within(PATIENCE, "the Core Rule Set refuses it", async || {
                let refused = well(&line, at).await;
                (refused.starts_with("HTTP/1.1 403") && well(&ask, at).await.contains("949110")).then_some(())
            })
            .await;
        } else {
            eprintln!("SKIPPED: Debian's modsecurity-crs is not installed");
        }

        // A second one says which port is busy, and leaves the first alone.
        let mut second = start(&folder, "second").await;
        assert_eq!(second.ended().await.code(), Some(1));
        assert!(second.stderr().contains("is another demo running?"), "{}", second.stderr());
        assert!(well(&lines[0], at).await.starts_with("shop"));

        demo.signal(Signal::INT);
        assert_eq!(demo.ended().await.code(), Some(0));
        assert!(demo.stdout().contains("The demo has ended"), "{}", demo.stdout());

        // Once more: the edited file is kept.
        let mut again = start(&folder, "again").await;
        runs(&again).await;
        assert!(again.stdout().contains("kept as you left it"), "{}", again.stdout());
        assert!(well(line, at).await.starts_with("blog"));
        again.signal(Signal::TERM);
        assert_eq!(again.ended().await.code(), Some(0));
    });
}
