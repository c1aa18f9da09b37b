use std::net::SocketAddr;

use portcullis_tests::{binary, client::http::get, origin::Origin, proxy::Plan, scenario::scenario, tool::Tool};
use tokio::net::TcpListener;

use crate::ground::PLAIN;

#[test]
fn serves_several_addresses_of_both_families() {
    scenario(async {
        let origin = Origin::start().await;
        let text =
            PLAIN.replace("\"127.0.0.1:@http@\"", "[\"127.0.0.1:@http@\", \"127.0.0.2:@http@\", \"[::1]:@six@\"]");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let four = proxy.address("http");
        let six = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], proxy.address("six").port()));
        for address in [four, SocketAddr::from(([127, 0, 0, 2], four.port())), six] {
            let answer = get(address, "any.example", "/").await;
            assert_eq!(answer.status, 200, "{address}");
            let line = proxy.log_line(|line| line["local"] == address.to_string()).await;
            assert_eq!(line["status"], 200);
        }
    });
}

#[test]
fn an_address_that_is_only_a_port_means_both_families() {
    scenario(async {
        let origin = Origin::start().await;
        let text = PLAIN.replace("127.0.0.1:@http@", ":@http@");
        let proxy = Plan::new(text).set("origin", origin.address()).start().await;
        let four = proxy.address("http");
        assert_eq!(get(four, "any.example", "/").await.status, 200);
        let six = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], four.port()));
        assert_eq!(get(six, "any.example", "/").await.status, 200);
    });
}

#[test]
fn two_listeners_on_one_address_are_an_error_that_names_both_lines() {
    scenario(async {
        let text = "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:@http@\"\n\
                    [[listener]]\nname = \"b\"\naddress = \"127.0.0.1:@http@\"\n\
                    [[route]]\nrespond = { status = 204 }\n";
        let refused = Plan::new(text).refused().await;
        assert_eq!(refused.status.code(), Some(1));
        // The harness puts `[server]` and its socket on the lines 1 and 2.
        for line in ["portcullis.toml:5:", "portcullis.toml:8:"] {
            assert!(refused.says.contains(line), "{line} is not in {}", refused.says);
        }
    });
}

#[test]
fn an_unspecified_address_overlaps_every_address_of_its_family() {
    scenario(async {
        let text = "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:@http@\"\n\
                    [[listener]]\nname = \"b\"\naddress = \"0.0.0.0:@http@\"\n\
                    [[route]]\nrespond = { status = 204 }\n";
        let refused = Plan::new(text).refused().await;
        assert_eq!(refused.status.code(), Some(1));
        assert!(refused.says.contains("portcullis.toml:5:") && refused.says.contains("portcullis.toml:8:"));
    });
}

#[test]
fn a_port_in_use_fails_the_start_and_says_how_to_find_who() {
    scenario(async {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let text =
            "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:@taken@\"\n[[route]]\nrespond = { status = 204 }\n";
        let refused = Plan::new(text).set("taken", port).refused().await;
        assert_eq!(refused.status.code(), Some(1));
        let says = refused.says;
        assert!(says.contains(&format!("127.0.0.1:{port}")) && says.contains("ss -ltnp"), "{says}");
    });
}

/// Linux lets anybody bind ports from `net.ipv4.ip_unprivileged_port_start` on; containers often set it to 0.
#[test]
fn a_port_below_1024_without_the_right_names_the_capability() {
    scenario(async {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("portcullis.toml");
        let port = (600..1000).find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap_or(600);
        let text = format!(
            "[server]\ncontrol = \"{}/control.sock\"\n[[listener]]\nname = \"low\"\naddress = \"127.0.0.1:{port}\"\n\
             [[route]]\nrespond = {{ status = 204 }}\n",
            folder.path().display(),
        );
        std::fs::write(&config, text).unwrap();
        // `timeout` ends the proxy where it may bind the port after all.
        let run = ["timeout", "5", binary::portcullis().to_str().unwrap(), "run", config.to_str().unwrap()];
        let tool = if rustix::process::geteuid().is_root() {
            Tool::new("setpriv").args(["--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service"]).args(run)
        } else {
            Tool::new("timeout").args(&run[1..])
        };
        let finished = tool.run().await;
        let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
        if first.trim().parse::<u16>().unwrap() > port {
            assert_eq!(finished.code, Some(1), "{}", finished.stderr);
            assert!(finished.stderr.contains("CAP_NET_BIND_SERVICE"), "{}", finished.stderr);
        } else {
            assert!(finished.stderr.contains("running generation 1"), "{}", finished.stderr);
        }
    });
}
